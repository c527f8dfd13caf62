//! `[dns.cookies]`, and the secrets that several servers share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;

use super::{ConfigError, value};
use crate::model::{Finding, Place};

/// Octets of a secret (RFC 9018 section 4.4).
const SECRET: usize = 16;

/// `[dns.cookies]`: DNS cookies (RFC 7873, RFC 9018).
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CookieSettings {
    /// Whether cookies are read and given.
    pub enabled: bool,
    /// Whether clients that use cookies over UDP need a good one to be answered.
    pub require: bool,
    /// How often a secret that the server made itself is replaced.
    #[serde(deserialize_with = "value::duration")]
    pub rotation: Duration,
    /// Secrets that several servers share, in hexadecimal; the first makes cookies, all of them verify.
    pub secrets: Vec<String>,
    /// A file of such secrets.
    pub secret_file: Option<PathBuf>,
}

impl Default for CookieSettings {
    fn default() -> Self {
        let rotation = Duration::from_secs(86_400);
        Self { enabled: true, require: false, rotation, secrets: Vec::new(), secret_file: None }
    }
}

/// Never shows the secrets.
impl std::fmt::Debug for CookieSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieSettings")
            .field("enabled", &self.enabled)
            .field("require", &self.require)
            .field("rotation", &self.rotation)
            .field("secret_file", &self.secret_file)
            .finish_non_exhaustive()
    }
}

impl CookieSettings {
    /// The shared secrets, from the file if there is one; empty when the server is to make its own.
    pub fn read_secrets(&self) -> Result<Vec<[u8; SECRET]>, ConfigError> {
        let Some(path) = &self.secret_file else {
            return Ok(self.secrets.iter().filter_map(|text| parse_secret(text).ok()).collect());
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        parse_file(path, &text).map_err(ConfigError::Wrong)
    }

    /// What is wrong, each with its key; the file is looked at by [`Self::read_secrets`].
    pub(super) fn faults(&self) -> Vec<(String, String)> {
        let key = |key: &str| format!("dns.cookies.{key}");
        let mut faults = Vec::new();
        for (at, text) in self.secrets.iter().enumerate() {
            if let Err(message) = parse_secret(text) {
                faults.push((key(&format!("secrets[{at}]")), message));
            }
        }
        if !self.secrets.is_empty() && self.secret_file.is_some() {
            faults.push((key("secret_file"), "stands beside secrets; keep one of the two".to_owned()));
        }
        if self.rotation < Duration::from_secs(3600) {
            let message = "is shorter than a cookie lives; expected at least \"1h\"";
            faults.push((key("rotation"), message.to_owned()));
        }
        faults
    }
}

/// Reads one secret. The message does not repeat it: it may be nearly right, and messages are logged.
fn parse_secret(text: &str) -> Result<[u8; SECRET], String> {
    let octets = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|octets| octets.try_into().ok());
    octets.ok_or_else(|| "is not 32 hexadecimal digits; make one with: openssl rand -hex 16".to_owned())
}

/// One secret a line; `#` begins a comment.
fn parse_file(path: &Path, text: &str) -> Result<Vec<[u8; SECRET]>, Vec<Finding>> {
    let file = path.to_string_lossy();
    let (mut secrets, mut findings) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let secret = line.split('#').next().unwrap_or_default().trim();
        match parse_secret(secret) {
            _ if secret.is_empty() => {}
            Ok(secret) => secrets.push(secret),
            Err(message) => {
                let place = Place { line: number as u32 + 1, column: 1, ..Place::whole(&file) };
                findings.push(Finding::error(place, format!("the secret {message}")));
            }
        }
    }
    if secrets.is_empty() && findings.is_empty() {
        let message = "has no secret; write one with: openssl rand -hex 16";
        findings.push(Finding::error(Place::whole(&file), message.to_owned()));
    }
    if findings.is_empty() { Ok(secrets) } else { Err(findings) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    #[test]
    fn secrets_have_128_bits() {
        assert_eq!(parse_secret(ONE).map(|secret| secret[..2].to_vec()), Ok(vec![0xe5, 0xe9]));
        assert_eq!(parse_secret(&ONE.to_uppercase()), parse_secret(ONE));
        for bad in ["", "e5", &ONE[1..], &format!("{ONE}00"), &ONE.replace('f', "g")] {
            assert!(parse_secret(bad).is_err_and(|message| bad.len() < 9 || !message.contains(bad)), "{bad}");
        }
    }

    #[test]
    fn a_file_has_a_secret_a_line_and_says_which_line_is_wrong() {
        let parse = |text: &str| parse_file(Path::new("cookies"), text);
        let two = format!("# made by ops\n{ONE} # the first makes cookies\n\n{}\n", ONE.replace('e', "a"));
        assert_eq!(parse(&two).map(|secrets| secrets.len()), Ok(2));
        let wrong = parse(&format!("{ONE}\nsecret\n")).unwrap_err();
        assert!(wrong[0].render(false).contains("cookies:2"), "{}", wrong[0].render(false));
        assert!(parse("# nothing\n").is_err_and(|findings| findings[0].render(false).contains("no secret")));
    }

    #[test]
    fn what_cannot_work_is_said_with_its_key() {
        let settings = CookieSettings {
            rotation: Duration::from_secs(60),
            secrets: vec![ONE.to_owned(), "short".to_owned()],
            secret_file: Some("cookies".into()),
            ..CookieSettings::default()
        };
        let keys: Vec<_> = settings.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["dns.cookies.secrets[1]", "dns.cookies.secret_file", "dns.cookies.rotation"]);
        assert!(CookieSettings::default().faults().is_empty());
    }

    #[test]
    fn secrets_are_never_shown() {
        let settings = CookieSettings { secrets: vec![ONE.to_owned()], ..CookieSettings::default() };
        assert!(!format!("{settings:?}").contains("e5e9"));
    }
}
