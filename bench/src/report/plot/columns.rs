//! A plot of one figure a server: a bar from zero, its value beside it.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, Drawn, FAINT, GRID, INK, heading, text_style};
use crate::report::number::Scale;
use crate::report::palette::Look;

/// Bars below each other, in the order given.
#[derive(Clone, Debug)]
pub struct Columns {
    pub file: String,
    pub title: String,
    /// Of all values, as recorded (`ns`, `bytes`, `/s`).
    pub unit: String,
    pub rows: Vec<Row>,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub look: Look,
    pub value: f64,
    /// Lowest and highest of the rounds.
    pub spread: (f64, f64),
    /// Said after the value, such as who did what.
    pub note: String,
}

const WIDTH: i32 = 760;
const TOP: i32 = 68;
const ROW: i32 = 34;
/// About the width of a letter of a name.
const LETTER: i32 = 8;
/// Room behind the longest bar for its value.
const BEHIND: i32 = 220;

impl Columns {
    pub(super) fn size(&self) -> (u32, u32) {
        (WIDTH.unsigned_abs(), (TOP + ROW * i32::try_from(self.rows.len()).unwrap_or(1) + 14).unsigned_abs())
    }

    /// Where bars begin: names are before it.
    fn left(&self) -> i32 {
        let longest = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        (i32::try_from(longest).unwrap_or(0) * LETTER + 24).min(WIDTH / 2)
    }

    pub(super) fn draw(&self, area: &Area) -> Drawn {
        let scale = Scale::of(&self.unit, self.rows.iter().map(|row| row.value));
        let most = self.rows.iter().map(|row| row.spread.1).fold(f64::MIN_POSITIVE, f64::max);
        let left = self.left();
        let at = |value: f64| left + (value / most * f64::from(WIDTH - left - BEHIND)).round() as i32;
        heading(area, &self.title, "median and spread of the rounds")?;
        let end = TOP + ROW * i32::try_from(self.rows.len()).unwrap_or(1);
        area.draw(&PathElement::new([(left, TOP - 4), (left, end)], GRID.stroke_width(1)))?;
        for (row, top) in self.rows.iter().zip((TOP..).step_by(ROW.unsigned_abs() as usize)) {
            let middle = top + ROW / 2;
            area.draw_text(&row.name, &text_style(14, &INK, HPos::Right, VPos::Center), (left - 10, middle))?;
            let tip = at(row.value).max(left + 1);
            area.draw(&Rectangle::new([(left, top + 6), (tip, top + ROW - 6)], row.look.color.filled()))?;
            let (low, high) = (at(row.spread.0), at(row.spread.1));
            if high > low {
                area.draw(&PathElement::new([(low, middle), (high, middle)], INK.stroke_width(1)))?;
                for end in [low, high] {
                    area.draw(&PathElement::new([(end, middle - 4), (end, middle + 4)], INK.stroke_width(1)))?;
                }
            }
            let value = scale.full(row.value);
            let behind = high.max(tip) + 8;
            area.draw_text(&value, &text_style(14, &INK, HPos::Left, VPos::Center), (behind, middle))?;
            // About the width of the value in this size: the note follows it.
            let width = i32::try_from(value.chars().count()).unwrap_or(0) * 8 + 8;
            area.draw_text(&row.note, &text_style(12, &FAINT, HPos::Left, VPos::Center), (behind + width, middle))?;
        }
        Ok(())
    }
}
