//! The file becomes a configuration, flags are laid over it.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Config;
use super::locate::{Source, at_span};
use crate::model::finding::render_all;
use crate::model::{Finding, Name};

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file or directory cannot be read.
    #[error("cannot read \"{}\": {source}", path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What it says is wrong.
    #[error("{}", render_all(.0, false).trim_end())]
    Wrong(Vec<Finding>),
}

/// What flags say; laid over the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Zones to declare beside those of the file.
    pub zones: Vec<Name>,
    /// In place of `zones_dir`.
    pub zones_dir: Option<PathBuf>,
    /// In place of `dns.listen`, if any.
    pub listen: Vec<SocketAddr>,
    /// In place of `http.listen`.
    pub http: Vec<SocketAddr>,
    /// In place of `data_dir`.
    pub data_dir: Option<PathBuf>,
}

impl Config {
    /// Reads a file. What keys mean together is checked by [`Config::validate`], after the flags.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(&path.to_string_lossy(), &text)
    }

    /// Reads a text; `file` is its name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        match read_toml::<Self>(file, text) {
            Ok(config) => {
                let source = Source { file: Some((file.into(), Arc::from(text))), replaced: Vec::new() };
                Ok(Self { source, ..config })
            }
            Err(finding) => Err(ConfigError::Wrong(vec![*finding])),
        }
    }

    /// Lays flags over the configuration.
    pub fn apply(&mut self, flags: Overrides) {
        let Overrides { zones, zones_dir, listen, http, data_dir } = flags;
        for name in zones {
            if !self.zone.iter().any(|zone| zone.name == name) {
                self.zone.push(super::ZoneSettings::new(name));
            }
        }
        if !listen.is_empty() {
            self.dns.listen = listen;
            self.source.replaced.push("dns.listen");
        }
        if !http.is_empty() {
            self.http.listen = http;
            self.source.replaced.push("http.listen");
        }
        if let Some(folder) = data_dir {
            self.data_dir = folder;
            self.source.replaced.push("data_dir");
        }
        if zones_dir.is_some() {
            self.zones_dir = zones_dir;
            self.source.replaced.push("zones_dir");
        }
    }
}

/// Reads a TOML text strictly; what is wrong is said with its place. `file` is its name in messages. Files of other
/// parts, such as the agent's, are read by it too, so that they complain in the same words.
pub fn read_toml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Box<Finding>> {
    toml::from_str(text).map_err(|error| Box::new(explain(file, text, &error)))
}

/// A message of the TOML reader with its place, and for an unknown key what was probably meant.
fn explain(file: &str, text: &str, error: &toml::de::Error) -> Finding {
    let span = error.span().unwrap_or(0..0);
    let message = error.message().replace('`', "\"").replace('\n', "; ");
    let quoted: Vec<&str> = message.split('"').skip(1).step_by(2).collect();
    match (message.starts_with("unknown field"), quoted.as_slice()) {
        (true, [unknown, known @ ..]) => {
            let help = match nearest(unknown, known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("keys that are known here: {}", known.join(", ")),
            };
            at_span(file, text, span, format!("unknown key \"{unknown}\"")).with_help(help)
        }
        _ => without_secret(with_value(file, text, span, in_plain_words(message))),
    }
}

/// What the reader expected, without the names of our types.
fn in_plain_words(message: String) -> String {
    let Some((wrong, expected)) = message.rsplit_once("expected ") else { return message };
    let plain = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "a boolean" => "true or false",
        "a string" => "a text in quotes",
        "a sequence" => "a list in brackets, such as [\"one\", \"two\"]",
        _ if expected.starts_with("struct ") => "a table of keys",
        _ => return message,
    };
    format!("{wrong}expected {plain}")
}

/// A message of the TOML reader repeats the value that it is about, which may be a secret.
fn without_secret(finding: Finding) -> Finding {
    match finding.source.as_deref().map(str::trim_start) {
        Some(line) if line.contains("secret") || line.starts_with("token ") || line.starts_with("token=") => {
            let message = "a secret is not written as it has to be; its line is not shown".to_owned();
            Finding { message, source: None, ..finding }
        }
        _ => finding,
    }
}

/// A message that says what is wrong with a text and not which: the value, and how it is written.
fn with_value(file: &str, text: &str, span: Range<usize>, message: String) -> Finding {
    let value = text.get(span.clone()).filter(|value| value.starts_with(['"', '\'']) && !value.contains('\n'));
    let inner = value.map(|value| value.trim_matches(['"', '\'']));
    let help = match message.as_str() {
        "invalid socket address syntax" => {
            Some("write address and port, as in \"192.0.2.1:53\" or \"[2001:db8::1]:53\"")
        }
        "invalid IP address syntax" => Some("write an address as \"192.0.2.1\", a prefix as \"192.0.2.0/24\""),
        _ => None,
    };
    let message = match inner.filter(|inner| !message.contains(inner)) {
        Some(inner) => format!("\"{inner}\": {message}"),
        None => message,
    };
    let finding = at_span(file, text, span, message);
    match help {
        Some(help) => finding.with_help(help),
        None => finding,
    }
}

/// The known word that is most like `word`, if one is like it.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    const ALIKE: f64 = 0.75;
    let scored = known.iter().map(|known| (strsim::jaro_winkler(word, known), *known));
    let (score, near) = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score >= ALIKE).then_some(near)
}
