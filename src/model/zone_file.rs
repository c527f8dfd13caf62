//! A zone file that is to be read: where it is, for which zone, and where the files are that it includes.

use std::path::{Path, PathBuf};

use super::Name;

/// A zone file that is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZoneFile {
    /// The file, as findings name it.
    pub path: String,
    /// The zone that it has to hold; `None`: the one that its name stands for, unless the file says otherwise.
    pub zone: Option<Name>,
    /// The directory that names of included files are relative to; `None`: that of the file.
    pub folder: Option<PathBuf>,
}

impl ZoneFile {
    /// A file that is named after its zone.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), zone: None, folder: None }
    }
}

/// The zone that a file's name stands for: `NAME.zone`, and as BIND's users have it `db.NAME` and `NAME.db`. In the
/// latter two NAME has a dot, because names such as `db.local` and `db.root` stand for something else; digits are the
/// beginning of an IPv4 address and stand for its reverse zone. The error says what is wrong with the name.
pub fn zone_of(path: &str) -> Result<Name, String> {
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(stem) = name.strip_suffix(".zone").filter(|stem| !stem.is_empty()) {
        return Name::parse_absolute(stem).map_err(|error| error.to_string());
    }
    let stem = name.strip_prefix("db.").or_else(|| name.strip_suffix(".db"));
    let Some(stem) = stem.filter(|stem| !stem.is_empty()) else {
        return Err(format!("\"{name}\" is not NAME.zone, db.NAME or NAME.db"));
    };
    if let Some(reverse) = reverse_of(stem) {
        return Ok(reverse);
    }
    let parsed = Name::parse_absolute(stem).map_err(|error| error.to_string())?;
    match parsed.labels().count() {
        0 | 1 => Err(format!("\"{name}\" may mean several zones")),
        _ => Ok(parsed),
    }
}

/// The reverse zone of one to three leading numbers of an IPv4 address, as in `db.192.0.2`.
fn reverse_of(stem: &str) -> Option<Name> {
    let numbers: Vec<u8> = stem.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let plain = numbers.iter().map(u8::to_string).collect::<Vec<_>>();
    let reversed = plain.iter().rev().map(String::as_str).collect::<Vec<_>>().join(".");
    let written = plain.join(".") == stem && (1..=3).contains(&numbers.len());
    written.then(|| Name::parse_absolute(&format!("{reversed}.in-addr.arpa")).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stand_for_zones() {
        for (file, zone) in [
            ("zones/sd.example.org.zone", "sd.example.org."),
            ("example.zone", "example."),
            ("db.example.org", "example.org."),
            ("example.org.db", "example.org."),
            ("db.192.0.2", "2.0.192.in-addr.arpa."),
            ("db.127", "127.in-addr.arpa."),
            ("db.2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa."),
            ("8.b.d.0.1.0.0.2.ip6.arpa.db", "8.b.d.0.1.0.0.2.ip6.arpa."),
        ] {
            assert_eq!(zone_of(file).map(|name| name.to_string()), Ok(zone.to_owned()), "{file}");
        }
        for none in
            ["db.local", "db.root", "db.empty", "example.org", "README.md", ".zone", "db.", "named.conf", "a..b.zone"]
        {
            assert!(zone_of(none).is_err(), "{none}");
        }
    }
}
