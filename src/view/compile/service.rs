//! One service that changed becomes edits: what it published and publishes no more goes, what it publishes comes.

use std::collections::BTreeSet;

use super::Compiler;
use super::names::Names;
use super::owners::Owners;
use super::roster::{Roster, read};
use crate::model::{Instance, Revision, Service};
use crate::view::edit::Editor;
use crate::view::rrset::compress;

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

impl Compiler {
    /// Edits the names of one service: those that its instances share, and those of the instances `ids` (`None`: all).
    pub(super) fn edit_service(
        &self,
        editor: &mut Editor<'_>,
        old: Option<&Service>,
        new: Option<&Service>,
        ids: Option<&BTreeSet<&str>>,
        revision: Revision,
    ) {
        let new_read = new.map(read).unwrap_or_default();
        let old_read = old.map(|old| concerned(old, new, ids)).unwrap_or_default();
        let mut gone =
            old.map(|service| Roster::new(service, old_read.iter().map(|instance| -> &Instance { instance })));
        let mut come =
            new.map(|service| Roster::new(service, new_read.iter().map(|instance| -> &Instance { instance })));
        for owners in self.owners() {
            replace_names(editor, owners, gone.as_mut(), come.as_mut(), ids, revision);
            let new_protos = come.as_ref().map(Roster::protos).unwrap_or_default();
            let mut old_protos = gone.as_ref().map(Roster::protos).unwrap_or_default();
            old_protos.extend(old.into_iter().flat_map(|old| served(old, &new_protos)));
            old_protos.sort_unstable();
            old_protos.dedup();
            let gone = gone.as_ref().map(|roster| (roster, &*old_protos));
            let come = come.as_ref().map(|roster| (roster, &*new_protos));
            replace_members(editor, owners, gone, come, ids, revision);
        }
    }
}

/// The instances of the service as it was that decide which of its names and records go. Where nothing but the
/// instances `ids` differs that is these: what any other one had is there still.
fn concerned(old: &Service, new: Option<&Service>, ids: Option<&BTreeSet<&str>>) -> Vec<Instance> {
    match ids.zip(new) {
        Some((ids, new)) if old.row.declaration == new.row.declaration => {
            ids.iter().filter_map(|id| old.instances.get(id)).collect()
        }
        _ => read(old),
    }
}

/// Those of the protocols with which the service serves.
fn served<'p>(service: &Service, protos: &[&'p str]) -> impl Iterator<Item = &'p str> {
    protos.iter().copied().filter(|proto| service.instances.serves(proto, None))
}

fn replace_names(
    editor: &mut Editor<'_>,
    owners: Owners<'_>,
    gone: Option<&mut Roster<'_>>,
    come: Option<&mut Roster<'_>>,
    ids: Option<&BTreeSet<&str>>,
    revision: Revision,
) {
    let mut left = Names::new(editor.base());
    let mut names = Names::new(editor.base());
    if let Some(roster) = gone {
        list(owners, roster, ids, &mut left);
    }
    if let Some(roster) = come {
        list(owners, roster, ids, &mut names);
        for (named, name) in names.iter() {
            editor.publish(owners.zone, name, owners.content(roster, name, named.what), revision);
        }
    }
    withdraw(editor, owners, &left, &names, revision);
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
    for (named, name) in names.iter() {
        editor.publish(owners.zone, name, owners.content(come, name, named.what), revision);
    }
    withdraw(editor, owners, &left, &names, revision);
}

/// Takes away what was published at names that are not published now.
fn withdraw(editor: &mut Editor<'_>, owners: Owners<'_>, left: &Names<'_>, names: &Names<'_>, revision: Revision) {
    for (_, name) in left.iter().filter(|(named, name)| names.find(named.slot, name).is_none()) {
        editor.publish(owners.zone, name, Default::default(), revision);
    }
}

fn list(owners: Owners<'_>, roster: &mut Roster<'_>, ids: Option<&BTreeSet<&str>>, names: &mut Names<'_>) {
    owners.list_shared(roster, names);
    touched(roster, ids).for_each(|number| owners.list_own(roster, number, names));
}

/// The places of the serving instances among `ids` (`None`: all).
fn touched<'r>(roster: &'r Roster<'_>, ids: Option<&'r BTreeSet<&str>>) -> impl Iterator<Item = usize> + use<'r> {
    let all = if ids.is_none() { 0..roster.serving().len() } else { 0..0 };
    all.chain(ids.into_iter().flatten().filter_map(|id| roster.position(id)))
}

/// Replaces PTR records in sets to which many services contribute: of the instances `ids` (`None`: all of the roster),
/// and of the service with the protocols with which it serves.
pub(super) fn replace_members(
    editor: &mut Editor<'_>,
    owners: Owners<'_>,
    gone: Option<Serving<'_, '_>>,
    come: Option<Serving<'_, '_>>,
    ids: Option<&BTreeSet<&str>>,
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
fn members(owners: Owners<'_>, roster: &Roster<'_>, protos: &[&str], ids: Option<&BTreeSet<&str>>) -> BTreeSet<Member> {
    let mut members = BTreeSet::new();
    for proto in protos {
        owners.types(roster.service, proto, |owner, kind, ttl| {
            let rdata = compress(owner, kind);
            members.insert(Member { zone: owners.zone, owner: owner.into(), rdata, ttl });
        });
    }
    for number in touched(roster, ids) {
        owners.reverses(roster.service, roster.serving()[number], |zone, _, owner, host, ttl| {
            let (owner, rdata) = (owner.as_wire().into(), compress(owner.as_wire(), host));
            members.insert(Member { zone, owner, rdata, ttl });
        });
    }
    members
}
