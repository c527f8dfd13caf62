//! Argument values with a grammar of their own: labels, leases, key=value, targets.

use std::time::Duration;

use crate::config::value::parse_duration;
use crate::model::Name;
use crate::model::label::{LabelKind, parse_label};

/// The longest reason that history keeps, in octets.
const MAX_REASON: usize = 500;

/// A service label.
pub fn service(text: &str) -> Result<String, String> {
    label(LabelKind::Service, text)
}

/// An instance label.
pub fn instance(text: &str) -> Result<String, String> {
    label(LabelKind::Instance, text)
}

/// A site label.
pub fn site(text: &str) -> Result<String, String> {
    label(LabelKind::Site, text)
}

/// A tag.
pub fn tag(text: &str) -> Result<String, String> {
    label(LabelKind::Tag, text)
}

/// A protocol label, with or without its underscore.
pub fn proto(text: &str) -> Result<String, String> {
    label(LabelKind::Proto, text.strip_prefix('_').unwrap_or(text))
}

fn label(kind: LabelKind, text: &str) -> Result<String, String> {
    parse_label(kind, text).map_err(|refusal| refusal.detail)
}

/// A weight; none is the registered one.
#[derive(Debug, Clone, Copy)]
pub struct Weight(pub Option<i64>);

/// An SRV weight, or `registered`.
pub fn weight(text: &str) -> Result<Weight, String> {
    match (text, text.parse::<u16>()) {
        ("registered", _) => Ok(Weight(None)),
        (_, Ok(weight)) => Ok(Weight(Some(weight.into()))),
        _ => Err(format!("\"{text}\" is not a weight; write 0 to 65535, or registered")),
    }
}

/// A time, and how the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Time {
    /// In whole seconds.
    pub seconds: i64,
    /// With its unit.
    pub written: String,
}

/// A time in whole seconds, as `20m`, `1h` or `90`.
pub fn time(text: &str) -> Result<Time, String> {
    let wrong = |_| format!("\"{text}\" is not a time; write whole seconds, minutes or hours: 90s, 20m, 1h");
    let seconds = lease(text).map_err(wrong)?;
    let unit = if text.ends_with(|last: char| last.is_ascii_digit()) { "s" } else { "" };
    Ok(Time { seconds, written: format!("{text}{unit}") })
}

/// A lease in whole seconds, as `15s`, `2m`, `1h` or `15`.
pub fn lease(text: &str) -> Result<i64, String> {
    let wrong = || format!("\"{text}\" is not a lease; write whole seconds, minutes or hours: 15s, 2m, 1h");
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<i64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

/// A duration, as `500ms`, `10s`, `2m`, `1h30m` or `10`.
pub fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
}

/// One fact: `KEY=VALUE`; the value may be empty and may hold further equals signs.
pub fn fact(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("\"{text}\" is not KEY=VALUE, as in version=2.4.1")),
    }
}

/// Sites of one tier, as in `lon` or `sto,ash`.
pub fn sites(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(|part| site(part.trim())).collect()
}

/// A reason: one line of at most 500 octets.
pub fn reason(text: &str) -> Result<String, String> {
    match text {
        long if long.len() > MAX_REASON => Err(format!("it has {} octets; at most {MAX_REASON} are kept", long.len())),
        text if text.chars().any(char::is_control) => Err("it has control characters; write it in one line".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// A host name.
pub fn target(text: &str) -> Result<Name, String> {
    Name::parse_absolute(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_have_units() {
        assert_eq!(["15", "15s", "2m", "1h"].map(|text| lease(text).expect(text)), [15, 15, 120, 3600]);
        for bad in ["", "0", "s", "-1", "1.5s", "15 s", "1d", "99999999999999999999"] {
            assert!(lease(bad).expect_err(bad).contains("15s, 2m, 1h"));
        }
    }

    #[test]
    fn a_time_is_shown_as_it_was_written() {
        let written = |text: &str| time(text).map(|time| (time.seconds, time.written));
        assert_eq!(written("20m"), Ok((1200, "20m".into())));
        assert_eq!(written("90"), Ok((90, "90s".into())));
        assert!(time("1d").expect_err("no unit").contains("90s, 20m, 1h"));
    }

    #[test]
    fn reasons_are_one_short_line() {
        assert_eq!(reason("disk größer").as_deref(), Ok("disk größer"));
        assert!(reason("a\nb").is_err());
        assert!(reason(&"x".repeat(501)).expect_err("long").contains("501"));
    }

    #[test]
    fn facts_keep_further_equals_signs() {
        assert_eq!(fact("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(fact("a="), Ok(("a".into(), String::new())));
        assert!(fact("=b").is_err());
        assert!(fact("ab").is_err());
    }

    #[test]
    fn labels_are_folded_and_explained() {
        assert_eq!(proto("_TCP").as_deref(), Ok("tcp"));
        assert!(service("a.b").expect_err("dot").contains("has the character \".\""));
    }
}
