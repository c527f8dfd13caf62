//! CDS and CDNSKEY: what the zone asks the zone above to publish (RFC 7344, RFC 8078).

use sha2::Digest;

use crate::model::Finding;
use crate::zone::check::draft::{CDNSKEY, CDS, DNSKEY};
use crate::zone::check::index::Zone;
use crate::zone::parse::Draft;

use super::keys;

/// Whether CDS, CDNSKEY and DNSKEY say the same.
pub(super) fn children(zone: &Zone<'_>, remarks: &mut Vec<Finding>) {
    let of = |rtype| zone.at_apex(rtype).collect::<Vec<&Draft>>();
    let (all_cds, all_cdnskey, keys) = (of(CDS), of(CDNSKEY), of(DNSKEY));
    match (all_cds.first(), all_cdnskey.first()) {
        (Some(cds), None) => remarks.push(cds.warning("there are CDS records and no CDNSKEY records".to_owned())),
        (None, Some(key)) => remarks.push(key.warning("there are CDNSKEY records and no CDS records".to_owned())),
        _ => {}
    }
    deletions(&all_cds, &[0, 0, 0, 0, 0], 2, remarks);
    deletions(&all_cdnskey, &[0, 0, 3, 0, 0], 3, remarks);
    let is_same = |one: &Draft, other: &Draft| one.record().rdata == other.record().rdata;
    for key in all_cdnskey.iter().filter(|key| !is_deletion(key, 3)) {
        if !keys.iter().any(|known| is_same(known, key)) {
            remarks.push(key.warning("this CDNSKEY record is no key of the zone".to_owned()));
        }
    }
    let asked = if all_cdnskey.is_empty() { &keys } else { &all_cdnskey };
    for cds in all_cds.iter().filter(|cds| !is_deletion(cds, 2)) {
        if !asked.iter().any(|key| is_digest_of(zone, cds, key)) {
            remarks.push(cds.warning("this CDS record is the digest of no key that is asked for".to_owned()));
        }
    }
}

/// Algorithm 0 asks for the deletion of the DS records: with exactly these data, and alone (RFC 8078 section 4).
fn deletions(records: &[&Draft], data: &[u8], algorithm: usize, remarks: &mut Vec<Finding>) {
    for draft in records.iter().filter(|draft| is_deletion(draft, algorithm)) {
        if *draft.record().rdata != *data || records.len() > 1 {
            let name = crate::zone::types::mnemonic(draft.rtype());
            let message = format!("{name} of algorithm 0 asks to delete all, and so stands alone and with zeros");
            remarks.push(draft.warning(message));
        }
    }
}

fn is_deletion(draft: &Draft, algorithm: usize) -> bool {
    draft.record().rdata.get(algorithm) == Some(&0)
}

/// Whether a CDS record is made from a key; of a digest that is unknown here only the tag is compared.
fn is_digest_of(zone: &Zone<'_>, cds: &Draft, key: &Draft) -> bool {
    let [tag1, tag2, algorithm, kind, digest @ ..] = &*cds.record().rdata else { return false };
    let key = &key.record().rdata;
    let text = [zone.apex.as_wire(), key].concat();
    let is_key = u16::from_be_bytes([*tag1, *tag2]) == keys::tag(key) && key.get(3) == Some(algorithm);
    is_key
        && match kind {
            1 => sha1::Sha1::digest(&text)[..] == *digest,
            2 => sha2::Sha256::digest(&text)[..] == *digest,
            4 => sha2::Sha384::digest(&text)[..] == *digest,
            _ => true,
        }
}
