//! Names of quantities and parameters as people say them.

use super::number::count;
use crate::results::Parameter;

/// A quantity's name: `cpu_per_delivery` is `CPU per delivery`, `latency_p999` is `latency p99.9`.
pub fn quantity(name: &str) -> String {
    if let Some((base, percentile)) = percentile(name) {
        return format!("{} {percentile}", quantity(base));
    }
    let spaced = name.replace('_', " ");
    match spaced.strip_prefix("cpu") {
        Some(rest) => format!("CPU{rest}"),
        None => spaced,
    }
}

/// What is before and after `_p` in the name of a percentile: `latency_p999` is `latency` and `p99.9`.
pub fn percentile(name: &str) -> Option<(&str, String)> {
    let (base, digits) = name.rsplit_once("_p")?;
    let plain = digits.replace('.', "");
    if plain.len() < 2 || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (whole, part) = plain.split_at(2);
    Some((base, if part.is_empty() { format!("p{whole}") } else { format!("p{whole}.{part}") }))
}

/// A parameter with its value: `5,000 streams`, `events of 100 bytes`.
pub fn parameter(name: &str, given: &Parameter) -> String {
    let value = value(given);
    match name {
        "streams" | "topics" | "clients" => format!("{value} {name}"),
        "bytes" => format!("events of {value} bytes"),
        "rate" => format!("{value} a second"),
        "poll" => format!("polled every {value} s"),
        "request" => format!("{value} requests"),
        _ => format!("{} {value}", quantity(name)),
    }
}

/// A parameter's value.
pub fn value(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Number(number) => count(*number),
        Parameter::Word(word) => word.clone(),
    }
}

/// With a capital.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_quantities_as_people_do() {
        let said = ["cpu", "cpu_per_delivery", "latency_p99", "latency_p999", "latency_p99.9", "memory_per_stream"]
            .map(quantity);
        assert_eq!(
            said,
            ["CPU", "CPU per delivery", "latency p99", "latency p99.9", "latency p99.9", "memory per stream"],
        );
    }

    #[test]
    fn says_parameters_with_their_values() {
        assert_eq!(parameter("streams", &5000.into()), "5,000 streams");
        assert_eq!(parameter("bytes", &100.into()), "events of 100 bytes");
        assert_eq!(parameter("load", &"busy pool".into()), "load busy pool");
    }
}
