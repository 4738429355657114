//! A run beside an earlier one: what moved, and what moved by more than the rounds differ among themselves.

use std::fmt::Write as _;

use super::number::{Scale, number};
use super::words::{parameter, quantity};
use crate::results::{Figure, Results};

/// A move smaller than this is none, however close the rounds were together.
const LEAST: f64 = 0.03;

/// The same where there was one round only, which has no spread.
const LEAST_OF_ONE: f64 = 0.15;

/// How a figure moved from one run to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Within what rounds of one run differ by.
    Noise,
    Better,
    Worse,
    /// By more than the spread, in a quantity that is neither good nor bad in itself.
    Other,
}

/// A figure that both runs have.
pub struct Pair<'a> {
    pub old: &'a Figure,
    pub new: &'a Figure,
}

/// Figures of both runs, in the new one's order.
pub fn pairs<'a>(old: &'a Results, new: &'a Results) -> Vec<Pair<'a>> {
    new.figures
        .iter()
        .filter_map(|figure| {
            Some(Pair { old: old.figures.iter().find(|other| other.is_same_as(figure))?, new: figure })
        })
        .filter(|pair| !pair.old.values.is_empty() && !pair.new.values.is_empty())
        .collect()
}

impl Pair<'_> {
    /// New by old.
    pub fn ratio(&self) -> f64 {
        self.new.median() / self.old.median()
    }

    /// Whether it moved, and in which direction.
    pub fn moved(&self) -> Move {
        let ((old_low, old_high), (new_low, new_high)) = (self.old.spread(), self.new.spread());
        let apart = new_low > old_high || new_high < old_low;
        let least = if self.old.values.len().min(self.new.values.len()) > 1 { LEAST } else { LEAST_OF_ONE };
        if !apart || (self.ratio() - 1.0).abs() < least {
            return Move::Noise;
        }
        match self.more_is_better() {
            Some(more) if more == (self.new.median() > self.old.median()) => Move::Better,
            Some(_) => Move::Worse,
            None => Move::Other,
        }
    }

    /// By the unit: rates are to be high; times, bytes and shares of a core low; mere numbers are what they are.
    fn more_is_better(&self) -> Option<bool> {
        match self.new.unit.as_str() {
            "1/s" | "/s" => Some(true),
            "us" | "ms" | "s" | "bytes" => Some(false),
            "%" if self.new.quantity == "cpu" => Some(false),
            _ => None,
        }
    }
}

/// The comparison as lines for a terminal. The runs may be of different machines or hours: the floor's lines tell by how
/// much the machine itself moved.
pub fn text(old: &Results, new: &Results) -> String {
    let pairs = pairs(old, new);
    let mut text = format!("Compared with the kept result of {} ({} figures in both):\n", old.when, pairs.len());
    let mut scenario = "";
    for pair in &pairs {
        if pair.new.scenario != scenario {
            scenario = &pair.new.scenario;
            let _ = writeln!(text, "\n{scenario}");
        }
        let mark = match pair.moved() {
            Move::Noise => "",
            Move::Better => "  better",
            Move::Worse => "  WORSE",
            Move::Other => "  moved",
        };
        let scale = Scale::of(&pair.new.unit, [pair.old.median(), pair.new.median()]);
        let _ = writeln!(
            text,
            "  {:<64} {:>10} → {:<12} × {:<6}{mark}",
            name(pair.new),
            scale.show(pair.old.median()),
            scale.full(pair.new.median()),
            number(pair.ratio()),
        );
    }
    let count = |wanted: Move| pairs.iter().filter(|pair| pair.moved() == wanted).count();
    let _ = writeln!(
        text,
        "\n{} better, {} worse by more than the rounds' spread; the rest is within it.",
        count(Move::Better),
        count(Move::Worse),
    );
    let _ = writeln!(text, "If the floor moved as well, the machine did, and not php-sse.");
    text
}

fn name(figure: &Figure) -> String {
    let parameters: Vec<String> = figure.parameters.iter().map(|(name, given)| parameter(name, given)).collect();
    let mut text = format!("{}: {}", figure.server, quantity(&figure.quantity));
    if !parameters.is_empty() {
        let _ = write!(text, " ({})", parameters.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(figures: &[(&str, &str, &str, &[f64])]) -> Results {
        let figures = figures.iter().map(|(server, quantity, unit, values)| Figure {
            scenario: "fanout".into(),
            server: (*server).into(),
            quantity: (*quantity).into(),
            unit: (*unit).into(),
            values: values.to_vec(),
            ..Figure::default()
        });
        Results { when: "2026-11-21T12:00:00Z".into(), figures: figures.collect(), ..Results::default() }
    }

    fn moved(unit: &str, old: &[f64], new: &[f64]) -> Move {
        pairs(&run(&[("floor", "cpu", unit, old)]), &run(&[("floor", "cpu", unit, new)]))[0].moved()
    }

    #[test]
    fn marks_only_what_moved_by_more_than_the_spread() {
        assert_eq!(moved("us", &[10.0, 12.0, 11.0], &[11.9, 13.0, 14.0]), Move::Noise);
        assert_eq!(moved("us", &[10.0, 12.0, 11.0], &[13.0, 14.0, 13.5]), Move::Worse);
        assert_eq!(moved("us", &[10.0, 12.0, 11.0], &[8.0, 9.0, 8.5]), Move::Better);
        assert_eq!(moved("1/s", &[10.0, 12.0, 11.0], &[8.0, 9.0, 8.5]), Move::Worse);
        assert_eq!(moved("", &[100.0], &[20.0]), Move::Other);
        assert_eq!(moved("us", &[10.0, 10.0], &[10.2, 10.2]), Move::Noise);
        assert_eq!(moved("us", &[10.0], &[11.4]), Move::Noise);
    }

    #[test]
    fn tells_each_figure_that_both_runs_have() {
        let old = run(&[("floor", "cpu_per_delivery", "us", &[8.0]), ("gone", "cpu", "us", &[1.0])]);
        let new = run(&[("floor", "cpu_per_delivery", "us", &[12.0]), ("new", "cpu", "us", &[1.0])]);
        let text = text(&old, &new);
        assert!(
            text.starts_with("Compared with the kept result of 2026-11-21T12:00:00Z (1 figures in both):\n\nfanout\n"),
            "{text}"
        );
        assert!(
            text.contains("CPU per delivery") && text.contains("8 → 12 µs   ") && text.contains("× 1.5     WORSE"),
            "{text}"
        );
        assert!(text.contains("0 better, 1 worse") && !text.contains("gone"), "{text}");
    }
}
