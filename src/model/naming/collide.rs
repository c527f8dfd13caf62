//! Whether names of two patterns can coincide, although different services own them or different things stand there.
//!
//! Compared label by label, over everything that policy lets be registered: no label has an underscore, none is both a
//! service and a site, and the literal labels of active patterns are no service, site or instance. Names coincide only
//! where every label can. Two patterns of one kind may then still share names of one service, if both have it in the
//! same place. The answer errs towards "they can".

use super::Publishes;
use super::pattern::{Label, Pattern, Placeholder};

/// Whether two active patterns must not stand side by side.
pub(super) fn collide(a: &Pattern, b: &Pattern) -> bool {
    if a == b || a.labels.len() != b.labels.len() {
        return false;
    }
    let pairs = || a.labels.iter().zip(&b.labels);
    let browsing = |pattern: &Pattern| matches!(pattern.publishes, Publishes::Types | Publishes::Browse);
    if pairs().any(|(x, y)| differ(x, y, browsing(a), browsing(b))) {
        return false;
    }
    let same_service = pairs().any(|(x, y)| x == y && x.placeholder == Some(Placeholder::Service));
    a.publishes != b.publishes || !same_service
}

/// Whether the two never give the same label; `browses` says of each that its pattern is one of DNS-SD browsing, whose
/// literals are not reserved.
fn differ(x: &Label, y: &Label, x_browses: bool, y_browses: bool) -> bool {
    match (x.placeholder, y.placeholder) {
        (None, None) => !x.prefix.eq_ignore_ascii_case(&y.prefix),
        (None, Some(placeholder)) => never(&x.prefix, y, placeholder, x_browses),
        (Some(placeholder), None) => never(&y.prefix, x, placeholder, y_browses),
        (Some(one), Some(other)) => {
            use Placeholder::{Service, Site};
            let kept_apart = matches!((one, other), (Service, Site) | (Site, Service));
            let same_text = x.prefix.eq_ignore_ascii_case(&y.prefix) && x.suffix.eq_ignore_ascii_case(&y.suffix);
            prefixes_differ(&x.prefix, &y.prefix) || suffixes_differ(&x.suffix, &y.suffix) || (kept_apart && same_text)
        }
    }
}

/// Whether the placeholder never becomes this literal label.
fn never(literal: &[u8], label: &Label, placeholder: Placeholder, browses: bool) -> bool {
    let literal = literal.to_ascii_lowercase();
    let (prefix, suffix) = (label.prefix.to_ascii_lowercase(), label.suffix.to_ascii_lowercase());
    let value = literal.strip_prefix(&*prefix).and_then(|rest| rest.strip_suffix(&*suffix));
    let Some(value) = value.filter(|value| !value.is_empty() && !value.contains(&b'_')) else { return true };
    match browses {
        true => placeholder == Placeholder::Service && literal == b"_dns-sd",
        false => {
            value == literal && matches!(placeholder, Placeholder::Service | Placeholder::Site | Placeholder::Instance)
        }
    }
}

/// Two prefixes differ for good, or one goes on with an underscore, which no value has.
fn prefixes_differ(x: &[u8], y: &[u8]) -> bool {
    let (x, y) = (x.to_ascii_lowercase(), y.to_ascii_lowercase());
    let longer = x.strip_prefix(&*y).or_else(|| y.strip_prefix(&*x));
    longer.is_none_or(|rest| rest.contains(&b'_'))
}

fn suffixes_differ(x: &[u8], y: &[u8]) -> bool {
    let (x, y) = (x.to_ascii_lowercase(), y.to_ascii_lowercase());
    let longer = x.strip_suffix(&*y).or_else(|| y.strip_suffix(&*x));
    longer.is_none_or(|rest| rest.contains(&b'_'))
}
