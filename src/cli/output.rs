//! What people read: text, tables without borders, ages in words. The only file that prints.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Table};

use crate::model::Timestamp;

/// Prints to standard output and ends the line.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.trim_end_matches('\n').as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints lines to standard error.
pub fn eprint(text: &str) {
    let mut out = io::stderr().lock();
    for line in text.lines() {
        let _ = writeln!(out, "{}", printable(line)); // there is nobody to tell if that fails
    }
}

/// A table: columns two spaces apart, aligned by display width, nothing at the ends of lines.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.map(Cell::new));
    for row in rows {
        table.add_row(row.map(|text| Cell::new(printable(&text))));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// The text without control characters: what others wrote must not move the cursor of who reads it.
pub fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// A line on standard error that says how far something is; only where that is a terminal.
#[derive(Debug)]
pub struct Progress {
    shown: Option<Instant>,
    is_terminal: bool,
}

/// How often the line changes.
const PROGRESS: Duration = Duration::from_millis(200);

impl Default for Progress {
    fn default() -> Self {
        Self { shown: None, is_terminal: io::stderr().is_terminal() }
    }
}

impl Progress {
    /// Shows the text in place of the one before, unless that has only just been shown.
    pub fn show(&mut self, text: impl FnOnce() -> String) {
        if self.is_terminal && self.shown.is_none_or(|shown| shown.elapsed() >= PROGRESS) {
            self.shown = Some(Instant::now());
            let _ = write!(io::stderr().lock(), "\r{}\x1b[K", printable(&text())); // nobody to tell
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K"); // as above
        }
    }
}

/// Octets in words: `1.2 MB`.
pub fn octets(count: u64) -> String {
    let scaled = |unit: u64, word: &str| format!("{:.1} {word}", count as f64 / unit as f64);
    match count {
        0..1_000 => format!("{count} octets"),
        1_000..1_000_000 => scaled(1_000, "kB"),
        1_000_000..1_000_000_000 => scaled(1_000_000, "MB"),
        _ => scaled(1_000_000_000, "GB"),
    }
}

/// How long ago, in words: `4 s ago`.
pub fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0 => format!("{:.1} s ago", age.as_secs_f64()),
        1..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// The same for a number of seconds as a server writes it.
pub fn seconds_ago(seconds: f64) -> String {
    ago(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// How long ago a time on the server was, by the clock of this machine.
pub fn since(time: Timestamp, now: Timestamp) -> String {
    ago(time.age(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_no_borders_and_no_trailing_spaces() {
        let rows = [["search".into(), "3".into()], ["größe".into(), String::new()]];
        let expected = "SERVICE  SERVING\nsearch   3\ngröße";
        assert_eq!(table(["SERVICE", "SERVING"], rows), expected);
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        let rows = [["a\u{1b}[2Jb\nc".into()]];
        assert_eq!(table(["TEXT"], rows), "TEXT\na\\u{1b}[2Jb\\nc");
    }

    #[test]
    fn ages_are_words() {
        let words = [0, 4, 119, 120, 7_199, 7_200, 172_800].map(|s| ago(Duration::from_secs(s)));
        let expected = ["0.0 s ago", "4 s ago", "119 s ago", "2 min ago", "119 min ago", "2 h ago", "2 days ago"]
            .map(String::from);
        assert_eq!(words, expected);
        assert_eq!(seconds_ago(0.42), "0.4 s ago");
        assert_eq!(seconds_ago(-3.0), "0.0 s ago");
        assert_eq!(seconds_ago(f64::NAN), "0.0 s ago");
    }
}
