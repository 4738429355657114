//! Plots as SVG, to be read on a light and on a dark page: ink and paper follow the reader's colour scheme.

mod columns;
mod lines;

pub use columns::{Columns, Row};
pub use lines::{Lines, Point, Series};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Texts and axes.
const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// What is said beside: units, spreads.
const FAINT: RGBColor = RGBColor(0x59, 0x63, 0x6e);
/// Lines to read a value by.
const GRID: RGBColor = RGBColor(0xd1, 0xd9, 0xe0);
const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
/// The same four where the reader prefers dark pages.
const DARK: [(RGBColor, &str); 4] = [(INK, "#e6edf3"), (FAINT, "#9198a1"), (GRID, "#3d444d"), (PAPER, "#0d1117")];

/// Why a plot could not be drawn: a text, as the drawing library's errors name its back-end's types.
#[derive(Debug, thiserror::Error)]
#[error("the plot {file} can't be drawn: {reason}")]
pub struct PlotError {
    file: String,
    reason: String,
}

impl PlotError {
    fn of(file: &str) -> impl Fn(DrawingAreaErrorKind<std::io::Error>) -> Self {
        let file = file.to_owned();
        move |error| Self { file: file.clone(), reason: error.to_string() }
    }
}

/// A plot of either kind.
#[derive(Clone, Debug)]
pub enum Plot {
    Lines(Lines),
    Columns(Columns),
}

impl Plot {
    /// The name of its file, without a folder.
    pub fn file(&self) -> &str {
        match self {
            Self::Lines(lines) => &lines.file,
            Self::Columns(columns) => &columns.file,
        }
    }

    /// What it shows, in words, for its title and for those who can't see it.
    pub fn title(&self) -> &str {
        match self {
            Self::Lines(lines) => &lines.title,
            Self::Columns(columns) => &columns.title,
        }
    }

    /// The SVG file's content.
    ///
    /// # Errors
    /// Where the drawing library fails.
    pub fn svg(&self) -> Result<String, PlotError> {
        let (size, mut svg) = match self {
            Self::Lines(lines) => (lines.size(), String::new()),
            Self::Columns(columns) => (columns.size(), String::new()),
        };
        {
            let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
            let drawn = root.fill(&PAPER).and_then(|()| match self {
                Self::Lines(lines) => lines.draw(&root),
                Self::Columns(columns) => columns.draw(&root),
            });
            drawn.and_then(|()| root.present()).map_err(PlotError::of(self.file()))?;
        }
        Ok(with_dark_colors(&svg, self.title()))
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Style rules win over the attributes that the library writes, so it need not know of the second set of colours.
fn with_dark_colors(svg: &str, title: &str) -> String {
    let mut rules = String::new();
    for (color, dark) in DARK {
        let light = format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2);
        rules.push_str(&format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}"));
    }
    let head = format!(
        "<title>{}</title>\n<style>text{{font-family:system-ui,-apple-system,\"Segoe UI\",\"Noto Sans\",Helvetica,Arial,sans-serif}}\
         @media(prefers-color-scheme:dark){{{rules}}}</style>\n",
        title.replace('&', "&amp;").replace('<', "&lt;"),
    );
    match svg.find('>') {
        Some(end) => format!("{}\n{head}{}", &svg[..=end], svg[end + 1..].trim_start()),
        None => svg.to_owned(),
    }
}

fn text_style(size: u32, color: &RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(color).pos(Pos::new(horizontal, vertical))
}

/// Title and what the figures are, above every plot.
fn heading(area: &Area, title: &str, below: &str) -> Drawn {
    area.draw_text(title, &text_style(17, &INK, HPos::Left, VPos::Top), (16, 14))?;
    area.draw_text(below, &text_style(13, &FAINT, HPos::Left, VPos::Top), (16, 38))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::palette::look;

    #[test]
    fn follows_the_readers_color_scheme() {
        let row = |server: &str, value| Row {
            name: server.into(),
            look: look(server),
            value,
            spread: (value, value),
            note: String::new(),
        };
        let columns = Columns {
            file: "idle.svg".into(),
            title: "Idle CPU & more".into(),
            unit: "%".into(),
            rows: vec![row("php-s", 0.4), row("nchan", 0.9)],
        };
        let svg = Plot::Columns(columns).svg().unwrap();
        assert!(svg.contains("<title>Idle CPU &amp; more</title>"), "{svg}");
        assert!(svg.contains("[fill=\"#1F2328\"]{fill:#e6edf3}"), "{svg}");
        assert!(svg.contains("fill=\"#1F2328\"") && svg.contains("fill=\"#FFFFFF\""), "{svg}");
        assert!(svg.contains("0.4%") && svg.contains("nchan"), "{svg}");
    }
}
