//! Reads arguments of union types, and options.

use ext_php_rs::types::Zval;
use sse_protocol::topic;

use super::exceptions::Problem;
use crate::ini;
use crate::php::engine::{Argument, ArrayArgument, Engine};
use crate::response::FIXED;
use crate::zend::type_name;

/// Reads `string|array $topics`.
///
/// # Errors
/// `Type` for any other type, worded as PHP does; `Argument` for an empty array.
pub fn strings(engine: &Engine, function: &str, value: Argument<'_>) -> Result<Vec<String>, Problem> {
    let value = value.look(engine);
    match value.array() {
        Some(table) if table.is_empty() => {
            Err(Problem::Argument(format!("{function}: no topic given; name at least one")))
        }
        Some(table) => table.values().map(|item| string(function, item.dereference(), "an array of strings")).collect(),
        None => Ok(vec![string(function, value, "of type array|string")?]),
    }
}

fn string(function: &str, value: &Zval, expected: &str) -> Result<String, Problem> {
    match text(value) {
        Some(text) => Ok(text.to_owned()),
        None if value.is_string() => Err(Problem::Argument(format!("{function}: a topic must be valid UTF-8"))),
        None => {
            let given = type_name(value);
            Err(Problem::Type(format!("{function}: Argument #1 ($topics) must be {expected}, {given} given")))
        }
    }
}

/// Reads topics or patterns to watch.
///
/// # Errors
/// As [`strings`], and `Argument` for an invalid pattern.
pub fn patterns(engine: &Engine, function: &str, value: Argument<'_>) -> Result<Vec<String>, Problem> {
    let patterns = strings(engine, function, value)?;
    let (count, limit) = (patterns.len(), ini::max_topics()?);
    if count > limit {
        return Err(Problem::Argument(format!("{function}: {count} topics given; sse.max_topics allows {limit}")));
    }
    for pattern in &patterns {
        topic::check_pattern(pattern)?;
    }
    Ok(patterns)
}

/// Borrows texts for a wire message.
pub fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn text(value: &Zval) -> Option<&str> {
    value.zend_str().and_then(|text| std::str::from_utf8(text.as_bytes()).ok())
}

/// Options by name. The caller must take every key; a key that is left over is an error. Read all options before PHP code
/// runs that could change them.
pub struct Options<'a> {
    function: &'static str,
    left: Vec<(String, &'a Zval)>,
    known: Vec<&'static str>,
}

impl<'a> Options<'a> {
    /// Wraps the options of a call.
    pub fn new(engine: &'a Engine, function: &'static str, table: Option<ArrayArgument<'a>>) -> Self {
        let table = table.map(|table| table.look(engine));
        let left = table.map(|table| table.iter().map(|(key, value)| (key.to_string(), value.dereference())).collect());
        Self { function, left: left.unwrap_or_default(), known: Vec::new() }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Zval> {
        self.known.push(name);
        let at = self.left.iter().position(|(key, _)| key == name)?;
        Some(self.left.swap_remove(at).1)
    }

    fn wrong<T>(&self, name: &str, expected: &str, value: &Zval) -> Result<T, Problem> {
        let shown = match value.long() {
            Some(number) => number.to_string(),
            None => type_name(value).into(),
        };
        Err(Problem::Argument(format!("{}: option '{name}' must be {expected}, {shown} given", self.function)))
    }

    /// Takes an integer from 0 to `max`.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn number(&mut self, name: &'static str, unit: &str, max: u32) -> Result<Option<u32>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.long().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= max && value.is_long()) {
            Some(number) => Ok(Some(number)),
            None => self.wrong(name, &format!("an int from 0 to {max} ({unit})"), value),
        }
    }

    /// Takes seconds, possibly fractional. `None` for null.
    ///
    /// # Errors
    /// `Argument` for anything but a number of seconds from 0.
    pub fn seconds(&mut self, name: &'static str) -> Result<Option<f64>, Problem> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else { return Ok(None) };
        #[allow(clippy::cast_precision_loss)]
        let seconds = value.double().or_else(|| value.long().map(|n| n as f64));
        match seconds.filter(|s| (0.0..=1e9).contains(s)) {
            Some(seconds) => Ok(Some(seconds)),
            None => self.wrong(name, "a number of seconds from 0", value),
        }
    }

    /// Takes a non-empty text.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match text(value).filter(|text| !text.is_empty()) {
            Some(text) => Ok(Some(text)),
            None => self.wrong(name, "a string of UTF-8 that is not empty", value),
        }
    }

    /// Takes one of two words. `None` for null.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn choice<T>(&mut self, name: &'static str, words: [(&str, T); 2]) -> Result<Option<T>, Problem> {
        let Some(value) = self.take(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let expected = format!("'{}' or '{}', or null for neither", words[0].0, words[1].0);
        match words.into_iter().find(|(word, _)| text(value) == Some(word)) {
            Some((_, meaning)) => Ok(Some(meaning)),
            None => match text(value) {
                Some(other) => Err(Problem::Argument(format!(
                    "{}: option '{name}' must be {expected}, '{}' given",
                    self.function,
                    other.escape_debug()
                ))),
                None => self.wrong(name, &expected, value),
            },
        }
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// `Argument` for anything else.
    pub fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.bool() {
            Some(value) => Ok(Some(value)),
            None => self.wrong(name, "a bool", value),
        }
    }

    /// Takes response headers by name, as header lines.
    ///
    /// # Errors
    /// `Argument` for anything but an array of strings that form valid headers.
    pub fn headers(&mut self, name: &'static str) -> Result<Vec<String>, Problem> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let Some(table) = value.array() else { return self.wrong(name, "an array of header names and values", value) };
        let mut lines = Vec::new();
        for (key, value) in table {
            if key.is_long() {
                let function = self.function;
                let message = format!(
                    "{function}: option '{name}' must be an array of name => value, such as ['X-A' => 'b']; a list was given"
                );
                return Err(Problem::Argument(message));
            }
            let (key, value) = (key.to_string(), value.dereference());
            if FIXED.iter().any(|fixed| fixed.eq_ignore_ascii_case(&key)) {
                let function = self.function;
                let message = format!("{function}: option '{name}': '{key}' of an event stream can't be chosen");
                return Err(Problem::Argument(message));
            }
            let token =
                !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
            let text = text(value).filter(|text| !text.contains(['\r', '\n', '\0']));
            match (token, text) {
                (true, Some(text)) => lines.push(format!("{key}: {text}")),
                _ => {
                    return Err(Problem::Argument(format!(
                        "{}: option '{name}': '{}' is not a header name with a one-line string value",
                        self.function,
                        key.escape_debug()
                    )));
                }
            }
        }
        Ok(lines)
    }

    /// Ends reading.
    ///
    /// # Errors
    /// `Argument` if an option was given that the caller did not take.
    pub fn finish(self) -> Result<(), Problem> {
        match self.left.first() {
            None => Ok(()),
            Some((key, _)) => Err(Problem::Argument(format!(
                "{}: unknown option '{}'; known are: {}",
                self.function,
                key.escape_debug(),
                self.known.join(", ")
            ))),
        }
    }
}
