//! A plot of curves: one a server, named at its end, with the spread of the rounds at each point.

use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, LogCoord};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, Drawn, FAINT, GRID, INK, heading, text_style};
use crate::report::number::{Scale, number};
use crate::report::palette::{Look, Mark};

/// Curves over a parameter that grows, both axes logarithmic.
#[derive(Clone, Debug)]
pub struct Lines {
    pub file: String,
    pub title: String,
    /// What is along the bottom, such as `streams`.
    pub x: String,
    /// Names for the values along the bottom; numbers where there are none.
    pub x_names: Vec<(f64, String)>,
    /// Unit of all values, as recorded (`ns`, `bytes`).
    pub unit: String,
    pub series: Vec<Series>,
}

/// One server's curve.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub look: Look,
    /// In the order of x.
    pub points: Vec<Point>,
}

/// What was measured at one x.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub x: f64,
    /// The median of the rounds.
    pub y: f64,
    /// Lowest and highest of the rounds.
    pub spread: (f64, f64),
}

const SIZE: (u32, u32) = (760, 440);
/// Room on the right for the names.
const NAMES: i32 = 214;
/// Names are at least so far apart, in pixels.
const NAME_HEIGHT: i32 = 18;

impl Lines {
    pub(super) fn size(&self) -> (u32, u32) {
        SIZE
    }

    pub(super) fn draw(&self, area: &Area) -> Drawn {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let scale = Scale::of(&self.unit, points().map(|point| point.y));
        let shown = |point: &Point| [point.spread.0, point.y, point.spread.1].map(|y| scale.value(y));
        let y_range = range(points().flat_map(shown));
        let xs = sorted(points().map(|point| point.x));
        let x_range = range(xs.iter().copied());
        let below = format!("{}, median and spread of the rounds, logarithmic", unit_word(&scale.unit));
        heading(area, &self.title, &below)?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(72)
            .margin_right(NAMES)
            .margin_left(12)
            .margin_bottom(8)
            .x_label_area_size(48)
            .y_label_area_size(52)
            .build_cartesian_2d(
                LogCoord::from((x_range.0..x_range.1).log_scale()).with_key_points(xs.clone()),
                LogCoord::from((y_range.0..y_range.1).log_scale()).with_key_points(ticks(y_range)),
            )?;
        let x_name = |x: &f64| {
            let named = self.x_names.iter().find(|(value, _)| value == x);
            named.map_or_else(|| short(*x), |(_, name)| name.clone())
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(1))
            .axis_style(GRID.stroke_width(1))
            .label_style(text_style(13, &INK, HPos::Center, VPos::Center))
            .x_label_formatter(&x_name)
            .y_label_formatter(&|y| number(*y))
            .x_desc(self.x.clone())
            .axis_desc_style(text_style(13, &FAINT, HPos::Center, VPos::Center))
            .draw()?;
        let mut names = Vec::new();
        for series in &self.series {
            let color = series.look.color;
            let at: Vec<(i32, i32)> =
                series.points.iter().map(|point| chart.backend_coord(&(point.x, scale.value(point.y)))).collect();
            for point in &series.points {
                let low = chart.backend_coord(&(point.x, scale.value(point.spread.0)));
                let high = chart.backend_coord(&(point.x, scale.value(point.spread.1)));
                area.draw(&PathElement::new([low, high], color.mix(0.55).stroke_width(3)))?;
            }
            area.draw(&PathElement::new(at.clone(), color.stroke_width(2)))?;
            for place in &at {
                mark(area, *place, series.look)?;
            }
            if let Some(last) = at.last() {
                names.push((*last, series));
            }
        }
        place_names(area, names)
    }
}

fn mark(area: &Area, (x, y): (i32, i32), look: Look) -> Drawn {
    match look.mark {
        Mark::Disc => area.draw(&Circle::new((x, y), 4, look.color.filled())),
        Mark::Ring => {
            area.draw(&Circle::new((x, y), 4, super::PAPER.filled()))?;
            area.draw(&Circle::new((x, y), 4, look.color.stroke_width(2)))
        }
        Mark::Cross => area.draw(&Cross::new((x, y), 4, look.color.stroke_width(2))),
    }
}

/// Names right of the plot, each as near to its curve's end as the others let it, with a thin line to it.
fn place_names(area: &DrawingArea<SVGBackend, Shift>, mut names: Vec<((i32, i32), &Series)>) -> Drawn {
    names.sort_by_key(|((_, y), _)| *y);
    let wanted: Vec<i32> = names.iter().map(|((_, y), _)| *y).collect();
    let left = i32::try_from(SIZE.0).unwrap_or(0) - NAMES + 12;
    let room = (64, i32::try_from(SIZE.1).unwrap_or(0) - 60);
    for (((x, y), series), place) in names.iter().zip(apart(&wanted, room)) {
        area.draw(&PathElement::new([(x + 6, *y), (left - 3, place)], series.look.color.mix(0.5).stroke_width(1)))?;
        area.draw_text(&series.name, &text_style(13, &series.look.color, HPos::Left, VPos::Center), (left, place))?;
    }
    Ok(())
}

/// Moves heights (in ascending order) apart by [`NAME_HEIGHT`], first down, then back up from the lower end.
fn apart(wanted: &[i32], (top, bottom): (i32, i32)) -> Vec<i32> {
    let mut places = wanted.to_vec();
    let mut least = top;
    for place in &mut places {
        *place = (*place).max(least);
        least = *place + NAME_HEIGHT;
    }
    let mut most = bottom;
    for place in places.iter_mut().rev() {
        *place = (*place).min(most);
        most = *place - NAME_HEIGHT;
    }
    places
}

/// From a little below the least to a little above the most.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| *value > 0.0)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if low > high { (1.0, 10.0) } else { (low / 1.25, high * 1.25) }
}

/// 1, 2, 5, 10, … within the range.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let decades = (-9..13).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    decades.filter(|tick| (low..=high).contains(tick)).collect()
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// 5k rather than 5,000, so that neighbours don't touch.
fn short(x: f64) -> String {
    if x >= 1000.0 { format!("{}k", number(x / 1000.0)) } else { number(x) }
}

fn unit_word(unit: &str) -> String {
    unit.strip_prefix('/')
        .map_or_else(|| unit.to_owned(), |per| format!("per {}", if per == "s" { "second" } else { per }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_names_apart_and_inside() {
        assert_eq!(apart(&[100, 101, 200], (64, 380)), [100, 118, 200]);
        assert_eq!(apart(&[10, 370, 379, 380], (64, 380)), [64, 344, 362, 380]);
    }

    #[test]
    fn marks_one_two_and_five() {
        assert_eq!(ticks((6.0, 90.0)), [10.0, 20.0, 50.0]);
    }

    #[test]
    fn writes_thousands_short() {
        assert_eq!([1.0, 100.0, 5000.0, 2500.0].map(short), ["1", "100", "5k", "2.5k"]);
    }
}
