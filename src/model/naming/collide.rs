//! Whether names of two templates can coincide, although different services own them or different things stand there.
//!
//! Compared label by label, over everything that policy lets be registered: no label has an underscore, none is both a
//! service and a site, and the literal labels of active patterns are no service, site or instance. Names coincide only
//! where every label can. Two templates of one kind may then still share names of one service, if both have it in the
//! same place. The answer errs towards "they can".

use super::{Publishes, Template};

/// One label of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part<'p> {
    prefix: &'p str,
    placeholder: Option<&'p str>,
    suffix: &'p str,
}

/// Whether a label of a pattern has one placeholder at most, with literal text around it that a name can have.
pub(super) fn is_label(label: &str) -> bool {
    let part = Part::of(label);
    let literal = |text: &str| text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet));
    !label.is_empty() && literal(part.prefix) && literal(part.suffix)
}

/// Whether two active templates must not stand side by side.
pub(super) fn collide(a: &Template, b: &Template) -> bool {
    let (ours, theirs) = (parts(a), parts(b));
    if a == b || ours.len() != theirs.len() {
        return false;
    }
    let pairs = || ours.iter().copied().zip(theirs.iter().copied());
    let browsing = |template: &Template| matches!(template.publishes, Publishes::Types | Publishes::Browse);
    if pairs().any(|(x, y)| differ(x, y, browsing(a), browsing(b))) {
        return false;
    }
    let same_service = pairs().any(|(x, y)| x == y && x.placeholder == Some("service"));
    a.publishes != b.publishes || !same_service
}

fn parts(template: &Template) -> Vec<Part<'_>> {
    template.pattern.split('.').filter(|label| *label != "{domain}").map(Part::of).collect()
}

impl<'p> Part<'p> {
    fn of(label: &'p str) -> Self {
        let split = label.split_once('{').and_then(|(prefix, rest)| Some((prefix, rest.split_once('}')?)));
        match split {
            Some((prefix, (placeholder, suffix))) => Self { prefix, placeholder: Some(placeholder), suffix },
            None => Self { prefix: label, placeholder: None, suffix: "" },
        }
    }
}

/// Whether the two never give the same label; `browses` says of each that its pattern is one of DNS-SD browsing, whose
/// literals are not reserved.
fn differ(x: Part<'_>, y: Part<'_>, x_browses: bool, y_browses: bool) -> bool {
    match (x.placeholder, y.placeholder) {
        (None, None) => !x.prefix.eq_ignore_ascii_case(y.prefix),
        (None, Some(placeholder)) => never(x.prefix, y, placeholder, x_browses),
        (Some(placeholder), None) => never(y.prefix, x, placeholder, y_browses),
        (Some(one), Some(other)) => {
            let kept_apart = matches!((one, other), ("service", "site") | ("site", "service"));
            let same_text = x.prefix.eq_ignore_ascii_case(y.prefix) && x.suffix.eq_ignore_ascii_case(y.suffix);
            prefixes_differ(x.prefix, y.prefix) || suffixes_differ(x.suffix, y.suffix) || (kept_apart && same_text)
        }
    }
}

/// Whether the placeholder never becomes this literal label.
fn never(literal: &str, part: Part<'_>, placeholder: &str, browses: bool) -> bool {
    let literal = literal.to_ascii_lowercase();
    let (prefix, suffix) = (part.prefix.to_ascii_lowercase(), part.suffix.to_ascii_lowercase());
    let value = literal.strip_prefix(&*prefix).and_then(|rest| rest.strip_suffix(&*suffix));
    let Some(value) = value.filter(|value| !value.is_empty() && !value.contains('_')) else { return true };
    match browses {
        true => placeholder == "service" && literal == "_dns-sd",
        false => value == literal && matches!(placeholder, "service" | "site" | "instance"),
    }
}

/// Two prefixes differ for good, or one goes on with an underscore, which no value has.
fn prefixes_differ(x: &str, y: &str) -> bool {
    let (x, y) = (x.to_ascii_lowercase(), y.to_ascii_lowercase());
    let longer = x.strip_prefix(&*y).or_else(|| y.strip_prefix(&*x));
    longer.is_none_or(|rest| rest.contains('_'))
}

fn suffixes_differ(x: &str, y: &str) -> bool {
    let (x, y) = (x.to_ascii_lowercase(), y.to_ascii_lowercase());
    let longer = x.strip_suffix(&*y).or_else(|| y.strip_suffix(&*x));
    longer.is_none_or(|rest| rest.contains('_'))
}
