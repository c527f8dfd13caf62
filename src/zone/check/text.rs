//! SPF policies: in TXT records, and one for each name (RFC 7208 section 3).

use super::draft::SPF;
use crate::model::{Finding, Name, Rtype};
use crate::zone::parse::Draft;

/// SPF records without their TXT record, and two policies for one name.
pub(super) fn policies(owners: &[(&Name, Vec<&Draft>)], remarks: &mut Vec<Finding>) {
    for (owner, all) in owners {
        let texts = all.iter().filter(|draft| draft.rtype() == Rtype::TXT && is_policy(&draft.record().rdata));
        let texts: Vec<&&Draft> = texts.collect();
        if let Some(spf) = all.iter().find(|draft| draft.rtype() == SPF).filter(|_| texts.is_empty()) {
            let message =
                format!("{owner} has an SPF record and no TXT record with the policy, which is the one that is read");
            remarks.push(spf.warning(message).with_help("RFC 7208 section 3.1: only TXT records count"));
        }
        if let [first, second, ..] = texts[..] {
            let message = format!("{owner} has an SPF policy at {} already; two of them are an error", first.place());
            remarks.push(second.warning(message));
        }
    }
}

/// Whether the character strings together begin with `v=spf1` and a space, or are just that.
fn is_policy(rdata: &[u8]) -> bool {
    let strings = crate::zone::fields::strings(rdata).unwrap_or_default();
    let text = strings.concat();
    let rest = text.get(..6).filter(|head| head.eq_ignore_ascii_case(b"v=spf1")).map(|_| &text[6..]);
    rest.is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
}
