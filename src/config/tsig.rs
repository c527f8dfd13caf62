//! `[[tsig_key]]`: keys for signed queries, transfers and updates (RFC 8945), and their secrets.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde::Deserialize;

use super::{Config, ConfigError};
use crate::model::{Finding, Name, Place, TsigAlgorithm};

/// Shorter secrets than this many octets are warned about.
const LEAST_SECRET: usize = 16;

/// What makes a secret.
const MAKE: &str = "make one with: head -c 32 /dev/urandom | base64";

/// `[[tsig_key]]`: a key, and what it may do.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsigKey {
    /// Name of the key, the same on both sides.
    pub name: Name,
    /// Algorithm, as `hmac-sha256`.
    #[serde(default = "usual_algorithm")]
    pub algorithm: String,
    /// The shared secret in base 64.
    #[serde(default)]
    pub secret: String,
    /// A file that has it.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Zones it may transfer; `*` is every zone.
    #[serde(default)]
    pub transfer: Vec<Name>,
    /// Zones it may update; `*` is every zone.
    #[serde(default)]
    pub update: Vec<Name>,
}

fn usual_algorithm() -> String {
    TsigAlgorithm::HmacSha256.as_str().to_owned()
}

/// Never shows the secret.
impl std::fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TsigKey")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .field("secret_file", &self.secret_file)
            .field("transfer", &self.transfer)
            .field("update", &self.update)
            .finish_non_exhaustive()
    }
}

impl TsigKey {
    /// Whether it may update a zone.
    pub(super) fn updates(&self, zone: &Name) -> bool {
        self.update.iter().any(|listed| listed == zone || listed.as_wire() == b"\x01*\0")
    }

    /// The secret, from its file if it has one.
    pub fn read_secret(&self) -> Result<Vec<u8>, ConfigError> {
        let Some(path) = &self.secret_file else { return Ok(parse_secret(&self.secret).unwrap_or_default()) };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
        parse_file(path, &text).map_err(|finding| ConfigError::Wrong(vec![*finding]))
    }

    /// What it signs with; `None` for what `faults` complains about.
    pub fn algorithm(&self) -> Option<TsigAlgorithm> {
        TsigAlgorithm::parse(&self.algorithm)
    }

    /// What is wrong, each with its key in the table; the file is looked at by [`Self::read_secret`].
    fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if self.name == Name::root() {
            faults.push(("name", "is the root; give the key a name, such as \"transfer.example.org\"".to_owned()));
        }
        if self.algorithm().is_none() {
            faults.push(("algorithm", unknown_algorithm(&self.algorithm)));
        }
        match &self.secret_file {
            Some(_) if !self.secret.is_empty() => {
                faults.push(("secret_file", "stands beside secret; keep one of the two".to_owned()));
            }
            Some(_) => {}
            None if self.secret.is_empty() => {
                faults.push(("secret", format!("is missing, and so is secret_file; {MAKE}")));
            }
            None => faults.extend(parse_secret(&self.secret).err().map(|message| ("secret", message))),
        }
        faults
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if parse_secret(&self.secret).is_ok_and(|secret| secret.len() < LEAST_SECRET) {
            warnings.push(format!("tsig_key {}: the secret has less than {LEAST_SECRET} octets", self.name));
        }
        if self.algorithm() == Some(TsigAlgorithm::HmacSha1) {
            warnings.push(format!("tsig_key {}: hmac-sha1 is for old clients only; use hmac-sha256", self.name));
        }
        if self.transfer.is_empty() && self.update.is_empty() {
            warnings.push(format!("tsig_key {}: may neither transfer nor update any zone", self.name));
        }
        warnings
    }
}

fn unknown_algorithm(text: &str) -> String {
    let known = TsigAlgorithm::ALL.map(TsigAlgorithm::as_str).join(", ");
    let lower = text.trim_end_matches('.').to_ascii_lowercase();
    match lower.as_str() {
        "hmac-md5" | "hmac-md5.sig-alg.reg.int" => format!(
            "\"{text}\" is not served: RFC 8945 section 6 forbids its use; expected one of {known} (clients such as \
             cert-manager sign with it unless they are told another)"
        ),
        _ => format!("\"{text}\" is not an algorithm; known are {known}"),
    }
}

/// Reads a secret. The message does not repeat it: it may be nearly right, and messages are logged.
fn parse_secret(text: &str) -> Result<Vec<u8>, String> {
    let secret = BASE64.decode(text.as_bytes()).ok().filter(|secret| !secret.is_empty());
    secret.ok_or_else(|| format!("is not base 64; {MAKE}"))
}

/// One line with the secret; `#` begins a comment.
fn parse_file(path: &Path, text: &str) -> Result<Vec<u8>, Box<Finding>> {
    let wrong = |line: usize, message: String| {
        let place = Place { line: line as u32, column: line.min(1) as u32, ..Place::whole(&path.to_string_lossy()) };
        Box::new(Finding::error(place, message))
    };
    let line = |(at, line): (usize, &'_ str)| (at + 1, line.split('#').next().unwrap_or_default().trim().to_owned());
    let mut lines = text.lines().enumerate().map(line).filter(|(_, line)| !line.is_empty());
    let Some((number, secret)) = lines.next() else { return Err(wrong(0, format!("has no secret; {MAKE}"))) };
    if let Some((number, _)) = lines.next() {
        return Err(wrong(number, "is a second secret; a key has one".to_owned()));
    }
    parse_secret(&secret).map_err(|message| wrong(number, format!("the secret {message}")))
}

impl Config {
    /// What is wrong with the keys, each with its place in the file's terms.
    pub(super) fn tsig_faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        for (at, key) in self.tsig_key.iter().enumerate() {
            if self.tsig_key[..at].iter().any(|other| other.name == key.name) {
                faults.push((format!("tsig_key[{at}].name"), format!("{} is named twice", key.name)));
            }
            let own = key.faults().into_iter().map(|(field, message)| (format!("tsig_key[{at}].{field}"), message));
            faults.extend(own);
        }
        faults
    }

    /// What works with keys and is probably not what was meant.
    pub(super) fn tsig_warnings(&self) -> impl Iterator<Item = String> {
        self.tsig_key.iter().flat_map(TsigKey::warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TsigKey {
        TsigKey {
            name: Name::parse_absolute("k.example.org").expect("a name"),
            algorithm: usual_algorithm(),
            secret: "c2VjcmV0IG9mIHRoZSBleGFtcGxl".to_owned(),
            secret_file: None,
            transfer: vec![Name::parse_absolute("*").expect("a name")],
            update: Vec::new(),
        }
    }

    #[test]
    fn a_secret_stands_in_one_place() {
        assert_eq!(key().faults(), []);
        assert_eq!(key().read_secret().expect("it is base 64"), b"secret of the example");
        let fields = |key: TsigKey| key.faults().into_iter().map(|(field, _)| field).collect::<Vec<_>>();
        assert_eq!(fields(TsigKey { secret: String::new(), ..key() }), ["secret"]);
        assert_eq!(fields(TsigKey { secret_file: Some("k".into()), ..key() }), ["secret_file"]);
        assert!(fields(TsigKey { secret: String::new(), secret_file: Some("k".into()), ..key() }).is_empty());
        assert_eq!(fields(TsigKey { secret: "not base 64".into(), name: Name::root(), ..key() }), ["name", "secret"]);
    }

    #[test]
    fn a_file_has_one_secret_and_says_what_is_wrong() {
        let parse = |text: &str| parse_file(Path::new("k"), text).map_err(|finding| finding.render(false));
        assert_eq!(parse("# made by ops\n\nQUJD # for ns2\n"), Ok(b"ABC".to_vec()));
        assert!(parse("# nothing\n").is_err_and(|text| text.contains("no secret")));
        assert!(parse("QUJD\nQUJE\n").is_err_and(|text| text.contains("k:2") && text.contains("second")));
        assert!(parse("\nhunter2\n").is_err_and(|text| text.contains("k:2") && !text.contains("hunter2")));
    }

    #[test]
    fn algorithms_that_are_not_served_say_why() {
        let message = |algorithm: &str| TsigKey { algorithm: algorithm.into(), ..key() }.faults()[0].1.clone();
        assert!(message("HMAC-MD5.SIG-ALG.REG.INT.").contains("RFC 8945"));
        assert!(message("hmac-sha224").contains("known are hmac-sha256"));
        assert!(TsigKey { algorithm: "hmac-sha1".into(), ..key() }.warnings()[0].contains("old clients"));
        assert!(!format!("{:?}", key()).contains("c2Vj"));
    }
}
