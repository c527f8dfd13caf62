//! Substitution expressions of NAPTR records: delimiter, expression, replacement, delimiter,
//! flags (RFC 3402 section 3.2).
//!
//! The expression is a POSIX extended one. It is checked as far as a typing error shows: brackets, repetitions and
//! back references; the texts that pass are those that clients can compile.

/// Whether octets are a substitution expression, or nothing.
pub(super) fn is_valid(text: &[u8]) -> bool {
    let Some((&delimiter, rest)) = text.split_first() else { return true };
    if delimiter.is_ascii_digit() || matches!(delimiter, b'\\' | b'i' | 0) {
        return false;
    }
    let Some((expression, rest)) = until(rest, delimiter) else { return false };
    let Some((replacement, flags)) = until(rest, delimiter) else { return false };
    let Some(groups) = groups_of(expression) else { return false };
    flags.iter().all(|flag| *flag == b'i') && references(replacement).all(|group| (1..=groups).contains(&group))
}

/// Splits at the first delimiter that has no backslash before it.
fn until(text: &[u8], delimiter: u8) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        match octet {
            b'\\' => at += 2,
            found if found == delimiter => return Some((&text[..at], &text[at + 1..])),
            _ => at += 1,
        }
    }
    None
}

/// The digits behind backslashes.
fn references(replacement: &[u8]) -> impl Iterator<Item = u8> {
    let mut escaped = false;
    replacement.iter().filter_map(move |&octet| {
        let behind = escaped;
        escaped = octet == b'\\' && !behind;
        (behind && octet.is_ascii_digit()).then(|| octet - b'0')
    })
}

/// How many groups an extended regular expression has; `None` if it is none.
fn groups_of(expression: &[u8]) -> Option<u8> {
    let (mut groups, mut open) = (0u8, 0u32);
    let mut repeatable = false; // whether something stands before that a `*` can repeat
    let mut empty = true; // whether the branch has nothing yet
    let mut at = 0;
    while let Some(&octet) = expression.get(at) {
        at += 1;
        let (was_repeatable, was_empty) = (repeatable, empty);
        (repeatable, empty) = (true, false);
        match octet {
            0 => return None,
            b'\\' => {
                let escaped = expression.get(at)?;
                if escaped.is_ascii_digit() && !(1..=groups).contains(&(escaped - b'0')) {
                    return None;
                }
                at += 1;
            }
            b'(' => (groups, open, repeatable, empty) = (groups.checked_add(1)?, open + 1, false, true),
            b')' if open > 0 && was_empty && expression.get(at.wrapping_sub(2)) != Some(&b'(') => return None,
            b')' => open = open.saturating_sub(1),
            b'[' => at += bracket(&expression[at..])?,
            b'{' if expression.get(at).is_some_and(u8::is_ascii_digit) => {
                at += bounds(&expression[at..]).filter(|_| was_repeatable)?;
                repeatable = false;
            }
            b'*' | b'+' | b'?' if !was_repeatable => return None,
            b'*' | b'+' | b'?' | b'^' | b'$' => repeatable = false,
            b'|' if was_empty => return None,
            b'|' => (repeatable, empty) = (false, true),
            _ => {}
        }
    }
    (open == 0 && !empty).then_some(groups)
}

/// The length of what follows a `[`, its `]` included.
fn bracket(rest: &[u8]) -> Option<usize> {
    const CLASSES: [&[u8]; 12] = [
        b"alnum", b"alpha", b"blank", b"cntrl", b"digit", b"graph", b"lower", b"print", b"punct", b"space", b"upper",
        b"xdigit",
    ];
    let start = usize::from(rest.first() == Some(&b'^'));
    let mut at = start;
    let mut last = None; // the character before, which a range can begin with
    loop {
        match (*rest.get(at)?, rest.get(at + 1)) {
            (b']', _) if at > start => return Some(at + 1),
            (b'[', Some(&kind @ (b':' | b'.' | b'='))) => {
                let inside = &rest[at + 2..];
                let end = inside.windows(2).position(|pair| pair == [kind, b']'])?;
                if end == 0 || kind == b':' && !CLASSES.contains(&&inside[..end]) {
                    return None;
                }
                (at, last) = (at + end + 4, None);
            }
            (b'-', Some(&high)) if high != b']' && last.is_some_and(|low| low > high) => return None,
            (other, _) => (at, last) = (at + 1, (at > start || other != b'-').then_some(other)),
        }
    }
}

/// The length of what follows a `{`, its `}` included: `n}`, `n,}` or `n,m}`.
fn bounds(rest: &[u8]) -> Option<usize> {
    let end = rest.iter().position(|octet| *octet == b'}')?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|value| *value <= 255);
    let valid = match text.split_once(',') {
        None => number(text).is_some(),
        Some((low, "")) => number(low).is_some(),
        Some((low, high)) => number(low)? <= number(high)?,
    };
    valid.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_taken_or_refused_as_bind_does() {
        for good in
            ["", "!a!b!", "!a!b!i", "!a!!", "!(a)!\\1!", "!^.*$!sip:a@b!", "/a\\/b/c/", "!^\\+46(.*)$!sip:\\1@x!"]
        {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in ["z", "!a!b!x", "!a!b", "!a", "1a1b1", "iaibi", "!(a!b!", "![a!b!", "!a!\\1!", "!(a)!\\2!", "!!b!"] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
