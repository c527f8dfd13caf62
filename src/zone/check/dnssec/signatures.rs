//! RRSIG records: over every set that counts, by a key of the zone, in time (RFC 4034 section 3, RFC 4035 section 2.2).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Node;
use super::keys::Keys;
use crate::model::{Finding, Name, Rtype};
use crate::zone::check::draft::NSEC;
use crate::zone::check::index::Zone;
use crate::zone::parse::Draft;
use crate::zone::types::mnemonic;

/// The fields of an RRSIG record.
struct Signature {
    covered: Rtype,
    algorithm: u8,
    labels: u8,
    original_ttl: u32,
    expiration: u32,
    inception: u32,
    tag: u16,
    signer: Name,
}

impl Signature {
    fn of(draft: &Draft) -> Option<Self> {
        let rdata = &draft.record().rdata;
        let signer = draft.names().pop()?;
        let number = |at: usize| Some(u32::from_be_bytes(rdata.get(at..at + 4)?.try_into().ok()?));
        Some(Self {
            covered: draft.covered()?,
            algorithm: *rdata.get(2)?,
            labels: *rdata.get(3)?,
            original_ttl: number(4)?,
            expiration: number(8)?,
            inception: number(12)?,
            tag: u16::from_be_bytes([*rdata.get(16)?, *rdata.get(17)?]),
            signer,
        })
    }
}

/// Faults that many signatures share, each with the first of them and their number.
#[derive(Default)]
struct Tally<'d> {
    faults: BTreeMap<String, (Option<&'d Draft>, usize)>,
}

impl<'d> Tally<'d> {
    fn add(&mut self, fault: String, draft: &'d Draft) {
        let (first, count) = self.faults.entry(fault).or_default();
        first.get_or_insert(draft);
        *count += 1;
    }

    fn tell(self, remarks: &mut Vec<Finding>) {
        for (fault, (first, count)) in self.faults {
            let others = match count {
                1 => String::new(),
                2 => "; 1 other signature too".to_owned(),
                more => format!("; {} other signatures too", more - 1),
            };
            remarks.extend(first.map(|draft| draft.warning(format!("{fault}{others}"))));
        }
    }
}

/// Sets without a signature, and signatures that do not fit.
pub(super) fn signatures<'d>(
    zone: &Zone<'d>,
    nodes: &[Node<'_, 'd>],
    keys: &Keys,
    now: Option<u32>,
    remarks: &mut Vec<Finding>,
) {
    let mut tally = Tally::default();
    for node in nodes {
        let mut sets: BTreeMap<Rtype, &'d Draft> = BTreeMap::new();
        for draft in node.all {
            sets.entry(draft.rtype()).or_insert(draft);
        }
        let signed: BTreeSet<Rtype> = node.all.iter().filter_map(|draft| draft.covered()).collect();
        for (rtype, first) in &sets {
            let counts = *rtype != Rtype::RRSIG && (!node.is_cut || [Rtype::DS, NSEC].contains(rtype));
            if counts && !signed.contains(rtype) {
                let message = format!("the {} set of {} has no RRSIG record", mnemonic(*rtype), node.name);
                remarks.push(first.warning(message));
            }
        }
        for draft in node.all.iter().filter(|draft| draft.rtype() == Rtype::RRSIG) {
            let Some(signature) = Signature::of(draft) else { continue };
            match sets.get(&signature.covered) {
                Some(set) => fits(draft, set, &signature, remarks),
                None => {
                    let covered = mnemonic(signature.covered);
                    remarks.push(draft.warning(format!("RRSIG of {covered}, which {} does not have", node.name)));
                }
            }
            shared(zone, draft, &signature, keys, now, &mut tally);
        }
    }
    tally.tell(remarks);
}

/// What a signature says of its own set.
fn fits(draft: &Draft, set: &Draft, signature: &Signature, remarks: &mut Vec<Finding>) {
    let (owner, covered) = (draft.owner(), mnemonic(signature.covered));
    let labels = owner.labels().count() - usize::from(owner.as_wire().starts_with(b"\x01*"));
    if usize::from(signature.labels) != labels {
        let found = signature.labels;
        remarks.push(draft.warning(format!("RRSIG of {covered} counts {found} labels; {owner} has {labels}")));
    }
    let (ttl, original) = (set.record().ttl, signature.original_ttl);
    if ttl != original {
        remarks.push(draft.warning(format!("RRSIG of {covered} was made for TTL {original}; the set has {ttl}")));
    } else if draft.record().ttl != ttl {
        let own = draft.record().ttl;
        remarks.push(draft.warning(format!("RRSIG of {covered} has TTL {own}; its set has {ttl}")));
    }
}

/// What many signatures may have in common: the key, the signer, the time.
fn shared<'d>(
    zone: &Zone<'_>,
    draft: &'d Draft,
    signature: &Signature,
    keys: &Keys,
    now: Option<u32>,
    tally: &mut Tally<'d>,
) {
    let Signature { algorithm, expiration, inception, tag, signer, .. } = signature;
    if signer != zone.apex {
        tally.add(format!("the signer of an RRSIG record is the zone, {}; this one says {signer}", zone.apex), draft);
    } else if !keys.has(*tag, *algorithm) {
        tally.add(format!("RRSIG by key {tag} of algorithm {algorithm}, which is no DNSKEY of the zone"), draft);
    }
    // RFC 4034 section 3.1.5: serial number arithmetic.
    let is_after = |a: u32, b: u32| (a.wrapping_sub(b) as i32) > 0;
    if is_after(*inception, *expiration) {
        tally.add("RRSIG ends before it begins".to_owned(), draft);
    } else if let Some(now) = now {
        if is_after(now, *expiration) {
            tally.add(format!("RRSIG expired, at {}", time(*expiration, now)), draft);
        } else if is_after(*inception, now) {
            tally.add(format!("RRSIG not yet valid, before {}", time(*inception, now)), draft);
        }
    }
}

/// The time that the 32 bits mean around `now`.
fn time(stamp: u32, now: u32) -> String {
    let seconds = i64::from(now) + i64::from(stamp.wrapping_sub(now) as i32);
    Timestamp::from_second(seconds).map_or_else(|_| stamp.to_string(), |time| time.to_string())
}
