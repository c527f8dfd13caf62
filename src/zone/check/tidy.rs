//! What is put right before a zone is checked: records that stand twice.

use std::collections::HashMap;

use crate::model::{Finding, Name, Place, Rtype};
use crate::zone::parse::Draft;
use crate::zone::{fields, types};

/// Types whose names DNSSEC compares without case (RFC 4034 section 6.2, RFC 6840 section 5.1).
const FOLDED: [u16; 24] = [2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 17, 18, 21, 24, 26, 30, 33, 35, 36, 38, 39, 46];

/// Where a record stands first, and the ways in which it is written.
type Earlier = (Place, Vec<Box<[u8]>>);

/// Removes records that stand twice, and tells those that only DNSSEC tells apart.
pub(super) fn drop_repeated(drafts: &mut Vec<Draft>, remarks: &mut Vec<Finding>) {
    let mut first: HashMap<(Name, Rtype, Vec<u8>), Earlier> = HashMap::with_capacity(drafts.len());
    drafts.retain(|draft| {
        let record = draft.record();
        let folded = fields::canonical(record.rtype, &record.rdata);
        let exact = match FOLDED.contains(&record.rtype.0) {
            true => folded.clone().into(),
            false => record.rdata.clone(),
        };
        let key = (record.owner.clone(), record.rtype, folded);
        let name = types::mnemonic(record.rtype);
        let Some((earlier, known)) = first.get_mut(&key) else {
            first.insert(key, (draft.place().clone(), vec![exact]));
            return true;
        };
        if known.contains(&exact) {
            remarks.push(draft.warning(format!("this {name} record stands at {earlier} already; it is used once")));
            return false;
        }
        let message =
            format!("this {name} record is the one at {earlier} in another case; only DNSSEC tells them apart");
        remarks.push(draft.warning(message));
        known.push(exact);
        true
    });
}
