//! Figures as people read them: three digits that count, thousands apart, a unit that suits all figures of one table.

/// How figures of one unit are shown together: each divided by the same number, under one unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    divisor: f64,
    /// The unit to print, such as `µs` or `KiB`; empty for mere counts.
    pub unit: String,
}

/// Units as results have them, each with what figures in it may be shown in, upwards.
const STEPS: [(&str, &[(f64, &str)]); 6] = [
    ("us", &[(1.0, "µs"), (1e3, "ms"), (1e6, "s")]),
    ("ms", &[(1e-3, "µs"), (1.0, "ms"), (1e3, "s")]),
    ("s", &[(1e-3, "ms"), (1.0, "s")]),
    ("bytes", &[(1.0, "bytes"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB")]),
    ("1/s", &[(1.0, "/s")]),
    ("/s", &[(1.0, "/s")]),
];

impl Scale {
    /// The step in which these figures, taken together (their geometric mean), have one to three digits before the point.
    pub fn of(unit: &str, figures: impl IntoIterator<Item = f64>) -> Self {
        let sizes: Vec<f64> =
            figures.into_iter().map(f64::abs).filter(|size| *size > 0.0 && size.is_finite()).collect();
        let logarithms: f64 = sizes.iter().map(|size| size.ln()).sum();
        // Of no figure at all it is 0, which has the smallest step.
        let middle = if sizes.is_empty() { 0.0 } else { (logarithms / sizes.len() as f64).exp() };
        let steps = STEPS.iter().find(|(name, _)| *name == unit).map(|(_, steps)| *steps);
        let fitting =
            steps.and_then(|steps| steps.iter().rev().find(|(size, _)| middle >= *size * 0.9999).or(steps.first()));
        match fitting {
            Some((divisor, name)) => Self { divisor: *divisor, unit: (*name).to_owned() },
            None => Self { divisor: 1.0, unit: unit.to_owned() },
        }
    }

    /// The figure in this scale's unit.
    pub fn value(&self, figure: f64) -> f64 {
        figure / self.divisor
    }

    /// The figure in this scale's unit, without naming it.
    pub fn show(&self, figure: f64) -> String {
        number(self.value(figure))
    }

    /// The figure with its unit.
    pub fn full(&self, figure: f64) -> String {
        match self.unit.as_str() {
            "" => self.show(figure),
            unit if unit.starts_with('/') || unit == "%" => format!("{}{unit}", self.show(figure)),
            unit => format!("{} {unit}", self.show(figure)),
        }
    }
}

/// A single figure with the unit that suits it: `9.31 µs`.
pub fn with_unit(unit: &str, figure: f64) -> String {
    Scale::of(unit, [figure]).full(figure)
}

/// Three digits that count, or all of those before the point: `0.0421`, `9.31`, `152`, `18,400`.
pub fn number(figure: f64) -> String {
    if !figure.is_finite() {
        return "–".to_owned();
    }
    let size = figure.abs();
    if size >= 9_999.5 {
        return thousands((figure / 100.0).round() * 100.0);
    }
    if size >= 99.95 || figure.fract() == 0.0 {
        return thousands(figure.round());
    }
    let decimals = match size {
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        size if size >= 0.09995 => 3,
        size if size >= 0.00995 => 4,
        _ => 5,
    };
    let text = format!("{figure:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number as it is given, thousands apart: `1,048,576`.
pub fn count(whole: u64) -> String {
    apart(&whole.to_string())
}

fn thousands(whole: f64) -> String {
    let sign = if whole < 0.0 { "-" } else { "" };
    format!("{sign}{}", apart(&format!("{:.0}", whole.abs())))
}

fn apart(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_three_digits_that_count() {
        let shown = [0.0, 0.042_13, 0.52, 9.312, 15.66, 152.4, 1234.4, 18_432.0, -3.5, f64::NAN].map(number);
        assert_eq!(shown, ["0", "0.0421", "0.52", "9.31", "15.7", "152", "1,234", "18,400", "-3.5", "–"]);
    }

    #[test]
    fn shows_given_numbers_whole() {
        assert_eq!([100, 10_240, 1_048_576].map(count), ["100", "10,240", "1,048,576"]);
    }

    #[test]
    fn chooses_one_unit_for_all_figures() {
        let scale = Scale::of("us", [900.0, 9_310.0, 81_000.0]);
        assert_eq!(
            (scale.unit.as_str(), scale.show(900.0).as_str(), scale.full(81_000.0).as_str()),
            ("ms", "0.9", "81 ms")
        );
        assert_eq!(with_unit("us", 9.31), "9.31 µs");
        assert_eq!(with_unit("ms", 0.18), "180 µs");
        assert_eq!(with_unit("bytes", 614.4), "614 bytes");
        assert_eq!(with_unit("bytes", 45_056.0), "44 KiB");
        assert_eq!(with_unit("1/s", 7_700.0), "7,700/s");
        assert_eq!(with_unit("", 100.0), "100");
        assert_eq!(with_unit("us", 1000.0), "1 ms");
        assert_eq!(with_unit("us", 0.0), "0 µs");
    }
}
