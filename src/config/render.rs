//! Diagnostics as text for a terminal.

use std::fmt;

use super::diagnostics::{Diagnostic, Diagnostics, Severity};

/// Whether a text for people may be coloured. Its caller knows where it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    #[default]
    Plain,
    /// With ANSI colours.
    Colour,
}

impl Paint {
    fn style(self, code: &'static str) -> (&'static str, &'static str) {
        match self {
            Self::Plain => ("", ""),
            Self::Colour => (code, "\u{1b}[0m"),
        }
    }
}

const BOLD: &str = "\u{1b}[1m";
const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const BLUE: &str = "\u{1b}[1;34m";
const GREEN: &str = "\u{1b}[1;32m";

impl Diagnostic {
    /// This diagnostic with its line and its help, ending in a newline.
    pub fn render(&self, paint: Paint) -> Rendered<'_, Self> {
        Rendered { what: self, paint }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, paint: Paint) -> fmt::Result {
        let (bold, plain) = paint.style(BOLD);
        let (level, _) = paint.style(match self.severity {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
        });
        let (blue, _) = paint.style(BLUE);
        let (green, _) = paint.style(GREEN);
        writeln!(
            f,
            "{bold}{}{plain}: {level}{}{plain}: {bold}{}{plain}",
            self.place, self.severity, self.message
        )?;
        let number = self.place.line.to_string();
        let gutter = number.len().max(3);
        if let Some(excerpt) = &self.excerpt {
            writeln!(f, "{blue}{number:>gutter$} |{plain} {}", excerpt.text.trim_end())?;
            writeln!(
                f,
                "{blue}{:gutter$} |{plain} {:start$}{level}{}{plain}",
                "",
                "",
                "^".repeat(excerpt.width),
                start = excerpt.start
            )?;
        }
        for help in &self.help {
            writeln!(f, "{:gutter$} {green}help:{plain} {help}", "")?;
        }
        if let Some((text, place)) = &self.related {
            writeln!(f, "{:gutter$} {blue}note:{plain} {text} {place}", "")?;
        }
        Ok(())
    }
}

impl Diagnostics {
    /// All of them, a blank line between, and how many there are.
    pub fn render(&self, paint: Paint) -> Rendered<'_, Self> {
        Rendered { what: self, paint }
    }
}

/// Something to be shown, and whether in colour.
#[derive(Debug, Clone, Copy)]
pub struct Rendered<'a, T> {
    what: &'a T,
    paint: Paint,
}

impl fmt::Display for Rendered<'_, Diagnostic> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.write(f, self.paint)
    }
}

impl fmt::Display for Rendered<'_, Diagnostics> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for found in self.what {
            writeln!(f, "{}", found.render(self.paint))?;
        }
        if self.what.is_empty() { Ok(()) } else { writeln!(f, "{}", self.what.summary()) }
    }
}

/// As [`Diagnostics::render`] without colour.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.render(Paint::Plain))
    }
}

impl std::error::Error for Diagnostics {}
