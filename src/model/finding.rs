//! What is wrong in a file that a person wrote: where it stands, which value, and a caret under it.
//!
//! Zone files and the configuration report in this one form, so that `zonebeat check`, `serve` and a reload show the
//! same text. Text from the file is made harmless: control characters never reach a terminal.

use std::fmt::{self, Write as _};
use std::sync::Arc;

/// Where something stands in a file; lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Line; 0 stands for the file as a whole.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}

impl Place {
    /// The file as a whole.
    pub fn whole(file: &str) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used; somebody should look.
    Warning,
}

impl Severity {
    /// The word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where its first character stands.
    pub place: Place,
    /// How many characters are meant.
    pub width: u32,
    /// What is wrong, with which value.
    pub message: String,
    /// What would be right, when that is known.
    pub help: Option<String>,
    /// The line of the file, when there is one to show.
    pub source: Option<String>,
}

/// The longest piece of a source line that is shown.
const SHOWN: usize = 120;
/// How much of a long line is shown before the caret.
const BEFORE_CARET: usize = 50;

impl Finding {
    /// A finding of one character's width, without help and source line.
    pub fn new(severity: Severity, place: Place, message: impl Into<String>) -> Self {
        let message = message.into().chars().map(harmless).collect();
        Self { severity, place, width: 1, message, help: None, source: None }
    }

    /// An error.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, place, message)
    }

    /// A warning.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, place, message)
    }

    /// With the number of characters that are meant.
    pub fn with_width(self, width: u32) -> Self {
        Self { width: width.max(1), ..self }
    }

    /// With what would be right.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        let help = help.into().chars().map(harmless).collect();
        Self { help: Some(help), ..self }
    }

    /// With the line of the file that holds the place.
    pub fn with_source(self, line: &[u8]) -> Self {
        Self { source: Some(String::from_utf8_lossy(line).chars().map(harmless).collect()), ..self }
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The text for a terminal: message, place, source line and caret; in colours if wanted.
    pub fn render(&self, colours: bool) -> String {
        let paint = if colours { Paint::ansi(self.severity) } else { Paint::plain() };
        let Paint { word, bold, rule, end } = paint;
        let mut out = format!("{word}{}{end}{bold}: {}{end}\n", self.severity.as_str(), self.message);
        let number = self.place.line.to_string();
        let gutter = " ".repeat(number.len());
        out.push_str(&format!("{gutter}{rule}-->{end} {}\n", self.place));
        if let Some(source) = &self.source {
            let (shown, indent, width) = crop(source, self.place.column as usize, self.width as usize);
            out.push_str(&format!("{gutter} {rule}|{end}\n{rule}{number} |{end} {shown}\n"));
            let (space, carets) = (" ".repeat(indent), "^".repeat(width));
            out.push_str(&format!("{gutter} {rule}|{end} {space}{word}{carets}{end}\n"));
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("{gutter} {rule}={end} {bold}help{end}: {help}\n"));
        }
        out
    }
}

/// One line, as a log shows it.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.severity.as_str(), self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// Renders all findings, one after the other, with an empty line between them.
pub fn render_all(findings: &[Finding], colours: bool) -> String {
    let mut out = String::new();
    for (index, finding) in findings.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        write!(out, "{gap}{}", finding.render(colours)).expect("a String takes everything");
    }
    out
}

struct Paint {
    word: &'static str,
    bold: &'static str,
    rule: &'static str,
    end: &'static str,
}

impl Paint {
    fn plain() -> Self {
        Self { word: "", bold: "", rule: "", end: "" }
    }

    fn ansi(severity: Severity) -> Self {
        let word = match severity {
            Severity::Error => "\x1b[1;31m",
            Severity::Warning => "\x1b[1;33m",
        };
        Self { word, bold: "\x1b[1m", rule: "\x1b[1;34m", end: "\x1b[0m" }
    }
}

/// The piece of a line around a column, with the caret's indent and width in it.
fn crop(line: &str, column: usize, width: usize) -> (String, usize, usize) {
    let length = line.chars().count();
    let at = column.saturating_sub(1).min(length);
    let start = if length <= SHOWN { 0 } else { at.saturating_sub(BEFORE_CARET) };
    let mut shown: String = line.chars().skip(start).take(SHOWN).collect();
    let left = SHOWN.min(length - start).saturating_sub(at - start).max(1);
    if start + SHOWN < length {
        shown.push_str("...");
    }
    let (lead, extra) = if start > 0 { ("...", 3) } else { ("", 0) };
    (format!("{lead}{shown}").trim_end().to_owned(), at - start + extra, width.clamp(1, left))
}

/// A character as it may be shown: controls become a replacement of the same width.
fn harmless(character: char) -> char {
    match character {
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        shown => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u32, column: u32) -> Place {
        Place { file: "zones/a.zone".into(), line, column }
    }

    #[test]
    fn the_caret_stands_under_the_value() {
        let finding = Finding::error(place(12, 8), "\"300.1.1.1\" is not an IPv4 address");
        let shown = finding.with_width(9).with_source(b"www\tA  300.1.1.1").render(false);
        let expected = "error: \"300.1.1.1\" is not an IPv4 address\n  --> zones/a.zone:12:8\n   |\n\
                        12 | www A  300.1.1.1\n   |        ^^^^^^^^^\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let finding = Finding::warning(place(1, 1), "bad \x1b[2J").with_source(b"\x1b[31m\xff").with_help("\x07");
        assert!(!finding.render(false).contains(['\x1b', '\x07']));
    }

    #[test]
    fn a_long_line_is_cropped_around_the_caret() {
        let line = "x".repeat(100_000);
        let shown = Finding::error(place(1, 70_000), "m").with_width(50_000).with_source(line.as_bytes()).render(false);
        assert!(shown.len() < 600, "{}", shown.len());
    }
}
