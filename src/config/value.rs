//! Values with a notation of their own: durations, sizes, mail addresses.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserializer;
use serde::de::{Error, Visitor};

use crate::model::Name;

/// The longest TTL (RFC 2181 section 8).
const MAX_TTL: u64 = 0x7fff_ffff;

/// A text or a whole number that becomes a `T`.
struct TextOrNumber<T, F> {
    expected: &'static str,
    read: F,
    value: PhantomData<T>,
}

impl<T, F: Fn(&str) -> Result<T, String>> Visitor<'_> for TextOrNumber<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        (self.read)(&number.to_string()).map_err(E::custom)
    }
}

/// A duration such as `"15s"` or `"1h30m"`; a number alone counts seconds.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let expected = "a duration such as \"15s\" or a number of seconds";
    deserializer.deserialize_any(TextOrNumber { expected, read: parse_duration, value: PhantomData })
}

/// A TTL or timer of a zone in whole seconds, written as a duration.
pub(super) fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let expected = "a number of seconds or a duration such as \"30s\"";
    let read = |text: &str| {
        let value = parse_duration(text)?;
        match value.as_secs() {
            seconds @ 0..=MAX_TTL if value.subsec_nanos() == 0 => Ok(seconds as u32),
            _ => Err(format!("\"{text}\" is out of range; expected whole seconds up to {MAX_TTL}")),
        }
    };
    deserializer.deserialize_any(TextOrNumber { expected, read, value: PhantomData })
}

/// A size such as `"64KiB"`; a number alone counts octets.
pub(super) fn octets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let expected = "a size such as \"64KiB\" or a number of octets";
    deserializer.deserialize_any(TextOrNumber { expected, read: parse_octets, value: PhantomData })
}

/// A mail address, as `hostmaster@example.org` or in the form of an SOA record.
pub(super) fn mailbox<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Name>, D::Error> {
    let expected = "a mail address such as \"hostmaster@example.org\"";
    let read = |text: &str| parse_mailbox(text).map(Some);
    deserializer.deserialize_str(TextOrNumber { expected, read, value: PhantomData })
}

/// Numbers with units, largest first or not; a number alone counts seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a duration; write it as in \"15s\", \"500ms\", \"1h30m\" or \"30d\"");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, behind) = rest.split_at(digits);
        let unit_end = behind.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = number.checked_mul(milliseconds).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(part)).ok_or_else(wrong)?;
        rest = behind.trim_start();
    }
    if text.trim().is_empty() { Err(wrong()) } else { Ok(total) }
}

fn parse_octets(text: &str) -> Result<usize, String> {
    let wrong = || format!("\"{text}\" is not a size; write it as in \"64KiB\", \"1MiB\" or 65536");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let scale = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    number.parse::<usize>().ok().and_then(|number| number.checked_mul(scale)).ok_or_else(wrong)
}

/// The part before the @ becomes one label (RFC 1035 section 8).
fn parse_mailbox(text: &str) -> Result<Name, String> {
    match text.rsplit_once('@') {
        None => Name::parse_absolute(text).map_err(|error| error.to_string()),
        Some((local, domain)) => Name::parse_absolute(domain)
            .and_then(|domain| domain.child(local.as_bytes()))
            .map_err(|error| format!("\"{text}\" is not a mail address: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [("15s", 15_000), ("7", 7000), ("1h30m", 5_400_000), ("500ms", 500), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "s", "15x", "-1s", "1.5s", "15 s s", "99999999999999999999s", "99999999999999999w"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_octets("64KiB"), Ok(65_536));
        assert_eq!(parse_octets("10"), Ok(10));
        for bad in ["", "KiB", "-1", "1GB", "99999999999999999999MiB"] {
            assert!(parse_octets(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mail_addresses_become_names() {
        let name = |text: &str| parse_mailbox(text).map(|name| name.to_string());
        assert_eq!(name("j.doe@example.org").as_deref(), Ok("j\\.doe.example.org."));
        assert_eq!(name("hostmaster.example.org.").as_deref(), Ok("hostmaster.example.org."));
        assert!(name("@example.org").is_err());
    }
}
