//! Answers of several sets: aliases followed inside our zones, delegations, targets with their addresses,
//! signatures and proofs of absence.
//!
//! A plain answer (one set at the name that was asked, from a zone without signatures) never comes here. Signatures go
//! beside every set of a signed zone, and proofs into the authority section, when the query wants them (RFC 4035
//! section 3.1): nothing is signed here, the zone file has it all.

use super::denial::{Prover, signatures_of};
use super::lookup::{Found, find};
use super::targets::{add_glue, add_targets};
use super::{Answer, Content, Query, Rcode, no_data_ede, not_ready};
use crate::model::name::MAX_NAME;
use crate::model::{Name, Rtype};
use crate::view::{Entry, RrSet, View, Zone};

/// How many aliases are followed before the client has to go on itself.
const MAX_ALIASES: usize = 16;

/// Sections put together from several sets.
#[derive(Debug, Default)]
pub struct Composed<'v> {
    /// Answer section.
    pub answer: Vec<Part<'v>>,
    /// Authority section: NS of a delegation, or the SOA of a negative answer, with what proves it.
    pub authority: Vec<Part<'v>>,
    /// Address sets of targets.
    pub additional: Vec<Extra<'v>>,
    /// How many of them, the first ones, are glue without which the answer is of no use (RFC 9471).
    pub required: usize,
}

/// One part of a section.
#[derive(Debug)]
pub enum Part<'v> {
    /// A set, at its own name or (by a wildcard) at another one.
    Set {
        /// The name it is answered at.
        owner: Owner<'v>,
        /// The set.
        set: RrSet<'v>,
        /// A TTL that counts before the stored one.
        ttl: Option<u32>,
    },
    /// A CNAME made from a DNAME (RFC 6672 section 3.1). It has no signature.
    Synthesized {
        /// The name that was asked.
        owner: Owner<'v>,
        /// Where it leads.
        target: Name,
        /// The DNAME's TTL.
        ttl: u32,
    },
    /// The SOA of a zone with this TTL.
    Soa(&'v Zone, u32),
}

/// An owner name in a composed answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner<'v> {
    /// The name that was asked.
    Asked,
    /// As the view stores it.
    Stored(&'v [u8]),
    /// Where an alias led.
    Made(Name),
}

/// A set of the additional section.
#[derive(Debug)]
pub struct Extra<'v> {
    /// The name it is answered at.
    pub owner: &'v [u8],
    /// The set.
    pub set: RrSet<'v>,
    /// Its signatures, which go first when room is short.
    pub signatures: Option<RrSet<'v>>,
}

impl Part<'_> {
    /// Whether it is this very set.
    pub(super) fn is(&self, other: &RrSet<'_>) -> bool {
        matches!(self, Self::Set { set, .. } if set.is_same(other))
    }
}

/// Puts one answer together.
struct Composer<'v, 'q> {
    view: &'v View,
    query: &'q Query<'q>,
    dnssec: bool,
    /// The name that is looked for: what was asked, or where aliases have led.
    name: Name,
    /// Whether `name` is what was asked.
    is_asked: bool,
    composed: Composed<'v>,
}

/// Follows aliases as long as they stay in our zones; the last name decides the rcode (RFC 6604 section 2). A CNAME
/// that a DNAME gives is what was asked when CNAME was asked.
pub(super) fn compose<'v>(view: &'v View, query: &Query<'_>, found: Found<'v>) -> Answer<'v> {
    let mut composer = Composer {
        view,
        query,
        dnssec: query.wants_signatures(),
        name: Name::from_trusted(query.name.as_wire()),
        is_asked: true,
        composed: Composed::default(),
    };
    let mut next = Some(found);
    let mut end = Answer::yes(Content::Empty);
    for step in 0..=MAX_ALIASES {
        let Some(found) = next.take() else { break };
        let target = match found {
            Found::Alias(zone, set) => composer.follow_alias(zone, set),
            Found::Redirect(zone, set) => match composer.follow_redirect(zone, set) {
                Some(target) => Some(target).filter(|_| query.rtype != Rtype::CNAME),
                None => {
                    end.rcode = Rcode::YXDOMAIN;
                    None
                }
            },
            last => {
                end = composer.end(last);
                None
            }
        };
        if let Some(target) = target.filter(|target| step < MAX_ALIASES && !composer.is_answered(target)) {
            next = Some(find(view, target.as_wire(), query.rtype));
            (composer.name, composer.is_asked) = (target, false);
        }
    }
    let is_empty = composer.composed.answer.is_empty() && composer.composed.authority.is_empty();
    match is_empty {
        true => end,
        false => Answer { content: Content::Composed(Box::new(composer.composed)), ..end },
    }
}

impl<'v> Composer<'v, '_> {
    fn owner(&self) -> Owner<'v> {
        if self.is_asked { Owner::Asked } else { Owner::Made(self.name.clone()) }
    }

    fn follow_alias(&mut self, zone: &'v Zone, set: RrSet<'v>) -> Option<Name> {
        let target = set.records().next().and_then(|record| Name::from_wire(record.rdata).ok());
        self.answer(zone, set);
        target
    }

    /// Replaces the DNAME's owner by its target; `None` when the result would be too long (YXDOMAIN).
    fn follow_redirect(&mut self, zone: &'v Zone, set: RrSet<'v>) -> Option<Name> {
        let record = set.records().next()?;
        let signatures = self.signatures(zone, &set);
        for set in std::iter::once(set).chain(signatures) {
            let is_there = self.composed.answer.iter().any(|part| part.is(&set));
            if !is_there {
                self.composed.answer.push(Part::Set { owner: Owner::Stored(set.owner), set, ttl: None });
            }
        }
        let name = self.name.as_wire();
        let prefix = &name[..name.len() - set.owner.len()];
        if prefix.len() + record.rdata.len() > MAX_NAME {
            return None;
        }
        let target = Name::from_wire(&[prefix, record.rdata].concat()).ok()?;
        let made = Part::Synthesized { owner: self.owner(), target: target.clone(), ttl: record.ttl };
        self.composed.answer.push(made);
        Some(target)
    }

    /// What stands at the last name. The answer's content is what has been composed.
    fn end(&mut self, last: Found<'v>) -> Answer<'v> {
        match last {
            Found::Set(zone, set) => {
                self.answer(zone, set);
                if set.follows_targets() && !self.view.minimal {
                    add_targets(self.view, self.query, &set, self.dnssec, &mut self.composed.additional);
                }
            }
            Found::Soa(zone) => self.soa(zone, zone.soa_ttl, true),
            Found::Signatures(zone, entry) => self.all_signatures(zone, entry),
            Found::Any(zone, entry) => return self.any(zone, entry),
            Found::NoData { zone, note } => {
                self.no(zone, |prover, name| prover.no_data(name));
                return Answer { ede: no_data_ede(note), ..Answer::yes(Content::Empty) };
            }
            Found::NoName(zone) => {
                self.no(zone, |prover, name| prover.no_name(name));
                return Answer { rcode: Rcode::NXDOMAIN, ..Answer::yes(Content::Empty) };
            }
            Found::Referral(zone, servers) => {
                let authoritative = !self.composed.answer.is_empty();
                self.refer(zone, servers);
                return Answer { authoritative, ..Answer::yes(Content::Empty) };
            }
            Found::NotReady(zone) => return Answer { authoritative: true, ..not_ready(zone) },
            Found::NotOurs | Found::Alias(..) | Found::Redirect(..) => {}
        }
        Answer::yes(Content::Empty)
    }

    /// A negative answer: the SOA, and what proves it.
    fn no(&mut self, zone: &'v Zone, prove: impl FnOnce(Prover<'v, '_>, &[u8])) {
        self.soa(zone, zone.negative_ttl, false);
        if self.wants(zone) {
            self.prover(zone, prove);
        }
    }

    /// A set in the answer section with its signatures; if a wildcard stands for the name, with the proof that it does.
    fn answer(&mut self, zone: &'v Zone, set: RrSet<'v>) {
        let signatures = self.signatures(zone, &set);
        for set in std::iter::once(set).chain(signatures) {
            if !self.has_led_on(&set) {
                self.composed.answer.push(Part::Set { owner: self.owner(), set, ttl: None });
            }
        }
        self.expanded(zone, set.owner);
    }

    /// Whether it is a DNAME set that stands in the answer already, because it has led to its own name.
    fn has_led_on(&self, set: &RrSet<'_>) -> bool {
        let led = |part: &Part<'_>| matches!(part, Part::Set { owner: Owner::Stored(_), .. }) && part.is(set);
        self.name.as_wire() == set.owner && self.composed.answer.iter().any(led)
    }

    /// If the records that are answered stand at a wildcard, proves that there is no closer name.
    fn expanded(&mut self, zone: &'v Zone, owner: &[u8]) {
        if self.wants(zone) && owner != self.name.as_wire() {
            self.prover(zone, |prover, name| prover.expanded(name));
        }
    }

    fn soa(&mut self, zone: &'v Zone, ttl: u32, is_answer: bool) {
        let apex = zone.apex.as_wire();
        let wanted = self.wants(zone);
        let signatures = wanted.then(|| signatures_of(self.view, zone, apex, Rtype::SOA)).flatten();
        let section = if is_answer { &mut self.composed.answer } else { &mut self.composed.authority };
        section.push(Part::Soa(zone, ttl));
        section.extend(signatures.map(|set| Part::Set { owner: Owner::Stored(apex), set, ttl: Some(ttl) }));
    }

    fn all_signatures(&mut self, zone: &'v Zone, entry: Entry<'v>) {
        for set in entry.all_signatures() {
            self.composed.answer.push(Part::Set { owner: self.owner(), set, ttl: None });
        }
        self.expanded(zone, entry.name());
    }

    /// One signed set for those who want signatures: a made-up record could not be validated (RFC 8482 section 4.1).
    fn any(&mut self, zone: &'v Zone, entry: Entry<'v>) -> Answer<'v> {
        let signed = entry.sets().find(|set| self.wants(zone) && entry.signatures(set.rtype).is_some());
        match signed {
            Some(set) => {
                self.answer(zone, set);
                Answer::yes(Content::Empty)
            }
            None => Answer::yes(Content::Any),
        }
    }

    /// A delegation: NS in the authority section, glue in the additional one (RFC 1034 section 4.3.2, step 3b). The DS
    /// set, or the proof that there is none, says whether the child is signed (RFC 4035 section 3.1.4).
    fn refer(&mut self, zone: &'v Zone, servers: RrSet<'v>) {
        self.composed.authority.push(Part::Set { owner: Owner::Stored(servers.owner), set: servers, ttl: None });
        if self.wants(zone) {
            let delegation = self.view.find(servers.owner);
            match delegation.and_then(|entry| entry.set(Rtype::DS)) {
                Some(set) => {
                    let signatures = self.signatures(zone, &set);
                    let sets = std::iter::once(set).chain(signatures);
                    let parts = sets.map(|set| Part::Set { owner: Owner::Stored(set.owner), set, ttl: None });
                    self.composed.authority.extend(parts);
                }
                None => Prover { view: self.view, zone, composed: &mut self.composed }.at(servers.owner),
            }
        }
        add_glue(self.view, &servers, self.dnssec, &mut self.composed);
    }

    fn signatures(&self, zone: &'v Zone, set: &RrSet<'v>) -> Option<RrSet<'v>> {
        self.wants(zone).then(|| signatures_of(self.view, zone, set.owner, set.rtype)).flatten()
    }

    /// Whether signatures and proofs of a zone are wanted and there are any.
    fn wants(&self, zone: &Zone) -> bool {
        self.dnssec && zone.is_signed()
    }

    fn prover(&mut self, zone: &'v Zone, prove: impl FnOnce(Prover<'v, '_>, &[u8])) {
        let prover = Prover { view: self.view, zone, composed: &mut self.composed };
        prove(prover, self.name.as_wire());
    }

    /// Whether an alias leads to a name that has been answered.
    fn is_answered(&self, target: &Name) -> bool {
        let is_target = |owner: &Owner<'_>| match owner {
            Owner::Asked => target.as_wire() == self.query.name.as_wire(),
            Owner::Made(owner) => owner == target,
            Owner::Stored(_) => false,
        };
        self.composed.answer.iter().any(|part| match part {
            Part::Set { owner, .. } | Part::Synthesized { owner, .. } => is_target(owner),
            Part::Soa(..) => false,
        })
    }
}
