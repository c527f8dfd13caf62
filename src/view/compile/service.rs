//! Services that changed become edits: what it published and publishes no more goes, what it publishes comes.

use std::collections::BTreeSet;

use super::Compiler;
use super::names::Names;
use super::owners::Owners;
use super::roster::Roster;
use crate::model::{InstanceRef, Revision, Service};
use crate::view::edit::Editor;
use crate::view::rrset::compress;
use crate::view::table::{Slot, Table};

/// A PTR record in a set to which many services contribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    zone: u16,
    owner: Box<[u8]>,
    rdata: Vec<u8>,
    ttl: u32,
}

/// A roster, and the protocols with which its service serves.
pub(super) type Serving<'r, 's> = (&'r Roster<'s>, &'r [&'r str]);

/// A service before and after a change.
#[derive(Clone, Copy)]
pub(super) struct Concern<'s> {
    pub(super) old: Option<&'s Service>,
    pub(super) new: Option<&'s Service>,
    /// The instances of which something may have changed, sorted, some of them twice; `None`: all.
    pub(super) ids: Option<&'s [&'s str]>,
    pub(super) revision: Revision,
}

/// Services whose names are listed before the first one is edited: what the processor has to wait for of all these
/// names, it waits for at the same time.
const TOGETHER: usize = 16;

impl Compiler {
    /// Edits the names of services: those that their instances share, and those of the instances that are concerned.
    pub(super) fn edit_services(&self, editor: &mut Editor<'_>, concerns: &[Concern<'_>]) {
        concerns.chunks(TOGETHER).for_each(|concerns| self.edit_together(editor, concerns));
    }

    fn edit_together(&self, editor: &mut Editor<'_>, concerns: &[Concern<'_>]) {
        let mut changes: Vec<Change<'_>> = concerns.iter().map(|concern| Change::new(*concern)).collect();
        for owners in self.owners() {
            let base = editor.base();
            let lists: Vec<_> = changes.iter_mut().map(|change| change.list(owners, base)).collect();
            let slots = lists.iter().flat_map(|(left, names)| left.iter().chain(names.iter()));
            let slots: Vec<Slot> = slots.map(|(named, _)| named.slot).collect();
            base.touch(&slots);
            for (change, (left, names)) in changes.iter().zip(&lists) {
                change.edit(editor, owners, left, names);
            }
        }
    }
}

/// Who served in a service and who does.
struct Change<'s> {
    concern: Concern<'s>,
    gone: Option<Roster<'s>>,
    come: Option<Roster<'s>>,
}

impl<'s> Change<'s> {
    fn new(concern: Concern<'s>) -> Self {
        let Concern { old, new, ids, .. } = concern;
        let gone = old.map(|service| Roster::new(service, concerned(service, new, ids)));
        let come = new.map(|service| Roster::new(service, service.instances.refs().collect()));
        Self { concern, gone, come }
    }

    /// The names that are published before and after.
    fn list<'t>(&mut self, owners: Owners<'_>, table: &'t Table) -> (Names<'t>, Names<'t>) {
        let (mut left, mut names) = (Names::new(table), Names::new(table));
        let ids = self.concern.ids;
        for (roster, names) in [(&mut self.gone, &mut left), (&mut self.come, &mut names)] {
            if let Some(roster) = roster {
                owners.list_shared(roster, names);
                touched(roster, ids).for_each(|number| owners.list_own(roster, number, names));
            }
        }
        (left, names)
    }

    fn edit(&self, editor: &mut Editor<'_>, owners: Owners<'_>, left: &Names<'_>, names: &Names<'_>) {
        let Concern { old, ids, revision, .. } = self.concern;
        if let Some(roster) = &self.come {
            publish(editor, owners, roster, names, revision);
        }
        withdraw(editor, owners, left, names, revision);
        let new_protos = self.come.as_ref().map(Roster::protos).unwrap_or_default();
        let mut old_protos = self.gone.as_ref().map(Roster::protos).unwrap_or_default();
        old_protos.extend(old.into_iter().flat_map(|old| served(old, &new_protos)));
        old_protos.sort_unstable();
        old_protos.dedup();
        let gone = self.gone.as_ref().map(|roster| (roster, &*old_protos));
        let come = self.come.as_ref().map(|roster| (roster, &*new_protos));
        replace_members(editor, owners, gone, come, ids, revision);
    }
}

/// The instances of the service as it was that decide which of its names and records go. Where nothing but the
/// instances `ids` differs that is these: what any other one had is there still.
fn concerned<'s>(old: &'s Service, new: Option<&Service>, ids: Option<&[&str]>) -> Vec<InstanceRef<'s>> {
    match ids.zip(new) {
        Some((ids, new)) if old.row.declaration == new.row.declaration => {
            each(ids).filter_map(|id| old.instances.find(id)).collect()
        }
        _ => old.instances.refs().collect(),
    }
}

/// Those of the protocols with which the service serves.
fn served<'p>(service: &Service, protos: &[&'p str]) -> impl Iterator<Item = &'p str> {
    protos.iter().copied().filter(|proto| service.instances.serves(proto, None))
}

fn publish(editor: &mut Editor<'_>, owners: Owners<'_>, roster: &Roster<'_>, names: &Names<'_>, revision: Revision) {
    for (named, name) in names.iter() {
        editor.publish_at(owners.zone, (named.slot, name), owners.content(roster, name, named.what), revision);
    }
}

/// Replaces the names that changed instances have alone: `gone` and `come` are of these and no others.
pub(super) fn replace_own(
    editor: &mut Editor<'_>,
    owners: Owners<'_>,
    gone: &Roster<'_>,
    come: &Roster<'_>,
    revision: Revision,
) {
    let mut left = Names::new(editor.base());
    let mut names = Names::new(editor.base());
    touched(gone, None).for_each(|number| owners.list_own(gone, number, &mut left));
    touched(come, None).for_each(|number| owners.list_own(come, number, &mut names));
    publish(editor, owners, come, &names, revision);
    withdraw(editor, owners, &left, &names, revision);
}

/// Takes away what was published at names that are not published now.
fn withdraw(editor: &mut Editor<'_>, owners: Owners<'_>, left: &Names<'_>, names: &Names<'_>, revision: Revision) {
    for (named, name) in left.iter().filter(|(named, name)| names.find(named.slot, name).is_none()) {
        editor.publish_at(owners.zone, (named.slot, name), Default::default(), revision);
    }
}

/// The places of the serving instances among `ids` (`None`: all).
fn touched<'r>(roster: &'r Roster<'_>, ids: Option<&'r [&str]>) -> impl Iterator<Item = usize> + use<'r> {
    let all = if ids.is_none() { 0..roster.serving().len() } else { 0..0 };
    all.chain(each(ids.unwrap_or_default()).filter_map(|id| roster.position(id)))
}

/// Each of sorted ids once.
pub(super) fn each<'i>(ids: &'i [&'i str]) -> impl Iterator<Item = &'i str> {
    ids.chunk_by(|one, other| one == other).map(|alike| alike[0])
}

/// Replaces PTR records in sets to which many services contribute: of the instances `ids` (`None`: all of the roster),
/// and of the service with the protocols with which it serves.
pub(super) fn replace_members(
    editor: &mut Editor<'_>,
    owners: Owners<'_>,
    gone: Option<Serving<'_, '_>>,
    come: Option<Serving<'_, '_>>,
    ids: Option<&[&str]>,
    revision: Revision,
) {
    let moved = gone.map(|(_, protos)| protos) != come.map(|(_, protos)| protos);
    let members = |(roster, protos)| members(owners, roster, if moved { protos } else { &[] }, ids);
    let (gone, come) = (gone.map(members).unwrap_or_default(), come.map(members).unwrap_or_default());
    for Member { zone, owner, rdata, .. } in gone.difference(&come) {
        editor.member(*zone, owner, rdata, None, revision);
    }
    for Member { zone, owner, rdata, ttl } in come.difference(&gone) {
        editor.member(*zone, owner, rdata, Some(*ttl), revision);
    }
}

/// The PTR records of a service that serves with these protocols, and of its instances `ids`.
fn members(owners: Owners<'_>, roster: &Roster<'_>, protos: &[&str], ids: Option<&[&str]>) -> BTreeSet<Member> {
    let mut members = BTreeSet::new();
    for proto in protos {
        owners.types(roster.service, proto, |owner, kind, ttl| {
            let rdata = compress(owner, kind);
            members.insert(Member { zone: owners.zone, owner: owner.into(), rdata, ttl });
        });
    }
    for number in touched(roster, ids) {
        owners.reverses(roster.service, &roster.serving()[number], |zone, _, owner, host, ttl| {
            let (owner, rdata) = (owner.as_wire().into(), compress(owner.as_wire(), host));
            members.insert(Member { zone, owner, rdata, ttl });
        });
    }
    members
}
