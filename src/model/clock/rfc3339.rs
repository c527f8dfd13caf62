//! Times as text. A start reads a million of them, so the form in which we write them is read by hand.

use super::Timestamp;

/// Reads a time; one before 1970 becomes the first of it.
pub(super) fn parse(text: &str) -> Result<Timestamp, jiff::Error> {
    match own_form(text.as_bytes()) {
        Some(time) => Ok(time),
        None => Ok(Timestamp(text.parse::<jiff::Timestamp>()?.as_millisecond().max(0) as u64)),
    }
}

/// A time in the form in which we write it, `2026-11-23T08:35:13.058Z` with any number of digits behind the point or
/// none; `None` if it has another one, is no time, is a leap day, or in the year 9999, whose last hours are beyond what
/// [`jiff::Timestamp`] holds.
fn own_form(text: &[u8]) -> Option<Timestamp> {
    let (head, fraction) = text.strip_suffix(b"Z")?.split_at_checked(19)?;
    let digits = |range: std::ops::Range<usize>| number(&head[range]);
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.into_iter().any(|(at, mark)| head[at] != mark) {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    let longest = match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if !(1970..9999).contains(&year) || !(1..=12).contains(&month) || !(1..=longest).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp(seconds * 1000 + milliseconds(fraction)?))
}

/// Days since 1970-01-01. Years begin in March, so that the day that some do not have is their last one.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_BEFORE_1970
}

/// From March 1 of the year 0 to January 1, 1970.
const DAYS_BEFORE_1970: u64 = 719_468;

/// What stands behind the seconds: nothing, or a point and up to nine digits.
fn milliseconds(fraction: &[u8]) -> Option<u64> {
    let Some((point, digits)) = fraction.split_first() else { return Some(0) };
    let length @ 1..=9 = digits.len() else { return None };
    let of_nine = number(digits)? * 10u64.pow(9 - length as u32);
    (*point == b'.').then_some(of_nine / 1_000_000)
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_jiff(text: &str) -> Option<Timestamp> {
        Some(Timestamp(text.parse::<jiff::Timestamp>().ok()?.as_millisecond().max(0) as u64))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_by_hand(time in 0u64..253_402_000_000_000) {
            let text = Timestamp(time).to_string();
            let is_leap_day = text[4..].starts_with("-02-29");
            prop_assert_eq!(own_form(text.as_bytes()), Some(Timestamp(time)).filter(|_| !is_leap_day));
            prop_assert_eq!(parse(&text).ok(), Some(Timestamp(time)));
        }

        #[test]
        fn every_other_text_is_what_it_was(
            text in "(1969|1970|2024|2026|9999)-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?(Z|z|)",
            at in any::<prop::sample::Index>(),
            with in "[0-9Z:T.+-]",
        ) {
            prop_assert_eq!(parse(&text).ok(), by_jiff(&text));
            let at = at.index(text.len());
            let changed = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(parse(&changed).ok(), by_jiff(&changed));
        }
    }
}
