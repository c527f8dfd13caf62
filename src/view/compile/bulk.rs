//! Everything at once: all services become the shards of a table, without an edit for each name.
//!
//! The editor of `view::edit` keeps what is pending in a map, which is right for the names of a batch and takes tens of
//! seconds and gigabytes for those of a million instances. Here every name is encoded once, in three steps:
//!
//! 1. **Encode.** Every service is compiled, and its entries are appended to the [`streams`] of their shards. What does
//!    not belong to one service is set aside ([`survey`]): how many names stand right below a name such as `_tcp.` of
//!    the zone, and PTR records in sets to which many services contribute.
//! 2. **Build.** Stream after stream is taken apart into builders, which become shards; its memory goes away before the
//!    next. So there is hardly more memory in use at any time than the table takes.
//! 3. **Settle.** What was set aside goes through an ordinary editor: few names, with many children or members.
//!
//! A name above others (RFC 8020) is counted while the service is compiled, as far as it has the label of that service.
//! Names at which something stands already (static records, browse names, names above them) go through the editor too.
//! So do whole services that have a name in common, which the presets do not allow: they are found because a
//! builder then has a name twice, and what is encoded again is the rest.
//!
//! **Threads.** Encoding is split by services over the cores that there are. This takes nothing from purity: threads
//! share only what nobody changes, each returns a value, they end before the function returns, and the table is the
//! same for any number of them (sums do not depend on their order, and entries are built in the order of the services,
//! whoever encoded them). Blocks of streams and shards are allocated by the calling thread, which is the one that will
//! replace shards later: an allocator with an arena for each thread can use the holes again.

mod reverse;
mod streams;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use foldhash::fast::FixedState;

use self::streams::{Block, SHARDS, STREAMS, Streams};
use self::survey::Survey;
use super::Compiler;
use super::names::{Named, Names};
use super::owners::Owners;
use super::roster::Roster;
use super::service::Concern;
use crate::model::name::parent;
use crate::model::{Revision, Service};
use crate::view::edit::{Editor, Published};
use crate::view::rrset::{RrSet, RrSetBuf};
use crate::view::shard::{Facts, KNOWN, ShardBuilder};
use crate::view::table::{ALL_SHARDS, Slot, Table};

/// More threads gain little, because one builds all shards.
const MOST_THREADS: usize = 4;
/// Octets of entries that an instance is expected to have; blocks that are not needed are never touched.
const EXPECTED: usize = 400;
/// Fewer services are not worth a thread.
const SERVICES_PER_THREAD: usize = 1000;

/// How many threads compiling so many services is worth.
pub(super) fn threads(services: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    cores.min(MOST_THREADS).min(services / SERVICES_PER_THREAD).max(1)
}

/// The names of all services on top of a table that has none of them.
pub(super) fn compile(compiler: &Compiler, base: &Table, services: &[&Service], threads: usize) -> Table {
    let bulk = Bulk { compiler, base, services, owners: compiler.owners().collect(), threads };
    let mut apart = BTreeSet::new();
    loop {
        let (mut survey, mut parts) = bulk.encode(&apart);
        let disputed = survey.disputed();
        if !disputed.is_empty() {
            apart.extend(disputed);
            continue;
        }
        parts.push(survey.encode_reverses(&bulk));
        match bulk.build(parts) {
            Ok(table) => return bulk.settle(&table, survey, &apart),
            Err(twins) => apart.extend(bulk.who_has(&twins)),
        }
    }
}

struct Bulk<'b> {
    compiler: &'b Compiler,
    base: &'b Table,
    services: &'b [&'b Service],
    owners: Vec<Owners<'b>>,
    threads: usize,
}

impl<'b> Bulk<'b> {
    /// Lists the names of a service in each zone. `above` hears of names above them that are not the service's own,
    /// once for each child; `zone` gets the list with the children of its names.
    fn list(
        &self,
        service: &Service,
        names: &mut Names<'b>,
        mut above: impl FnMut(u16, &[u8]),
        mut zone: impl FnMut(Owners<'b>, &Roster<'_>, &Names<'b>),
    ) {
        let mut roster = Roster::new(service, service.instances.refs().collect());
        for owners in &self.owners {
            names.clear();
            owners.list_shared(&mut roster, names);
            (0..roster.serving().len()).for_each(|number| owners.list_own(&roster, number, names));
            names.note_taken();
            count_children(names, |name| above(owners.zone, name));
            zone(*owners, &roster, names);
        }
    }

    /// Encodes every service; the parts are in the order of the services.
    fn encode(&self, apart: &BTreeSet<usize>) -> (Survey, Vec<Streams>) {
        let part = self.services.len().div_ceil(self.threads).max(1);
        let starts = (0..self.services.len()).step_by(part);
        let parts = starts.map(|start| {
            let services = start..self.services.len().min(start + part);
            let instances: usize = self.services[services.clone()].iter().map(|service| service.instances.len()).sum();
            (services, streams::blocks(instances * EXPECTED))
        });
        let parts = in_parallel(parts.collect(), |(services, spare): (Range<usize>, Vec<Block>)| {
            let (mut survey, mut streams) = (Survey::new(self), Streams::new(spare));
            let mut names = Names::new(self.base);
            for number in services.filter(|number| !apart.contains(number)) {
                survey.take(self, number, &mut names, &mut streams);
            }
            (survey, streams.finish())
        });
        let (mut survey, mut streams) = (Survey::new(self), Vec::new());
        for (part, encoded) in parts {
            survey.add(part);
            streams.push(encoded);
        }
        (survey, streams)
    }

    /// The table with every entry; the names that would be there twice if there are any.
    fn build(&self, mut parts: Vec<Streams>) -> Result<Table, Vec<Box<[u8]>>> {
        let entries: usize = parts.iter().map(Streams::entries).sum();
        let mut builders: Vec<ShardBuilder> = std::iter::repeat_with(ShardBuilder::default).take(SHARDS).collect();
        let (mut built, mut twins) = (Vec::with_capacity(ALL_SHARDS), Vec::new());
        for stream in 0..STREAMS {
            let shards = (stream * SHARDS..).map(|shard| shard as u16);
            for (shard, builder) in shards.clone().zip(&mut builders) {
                builder.copy(self.base.shard(Slot { shard, tag: 0 }));
            }
            parts.iter_mut().for_each(|part| part.take(stream, &mut builders));
            parts.iter().for_each(|part| part.add_aside(stream, &mut builders));
            for (shard, builder) in shards.zip(&mut builders) {
                twins.extend(builder.twins());
                built.push((shard, builder.build()));
            }
        }
        if !twins.is_empty() {
            return Err(twins);
        }
        Ok(self.base.with_shards(built.into_iter(), entries as isize))
    }

    fn settle(&self, table: &Table, survey: Survey, apart: &BTreeSet<usize>) -> Table {
        let mut editor = Editor::new(table);
        survey.settle(self, &mut editor);
        for number in apart {
            let new = Some(self.services[*number]);
            let concern = Concern { old: None, new, ids: None, revision: Revision::default() };
            self.compiler.edit_services(&mut editor, &[concern]);
        }
        editor.finish().onto(table.clone())
    }

    /// The services that have one of these names.
    fn who_has(&self, wanted: &[Box<[u8]>]) -> Vec<usize> {
        let wanted: HashSet<&[u8], FixedState> = wanted.iter().map(|name| &**name).collect();
        let mut names = Names::new(self.base);
        let mut who = Vec::new();
        for (number, service) in self.services.iter().enumerate() {
            let mut has = false;
            self.list(
                service,
                &mut names,
                |_, _| {},
                |_, _, names| has |= names.iter().any(|(_, name)| wanted.contains(name)),
            );
            who.extend(has.then_some(number));
        }
        who
    }
}

/// Counts the names right below each name, and adds those above that are the service's own and that nothing else made.
fn count_children(names: &mut Names<'_>, mut above: impl FnMut(&[u8])) {
    let mut number = 0;
    while number < names.len() {
        let named = names.get(number);
        number += 1;
        let Some(name) = parent(names.octets(&named)).filter(|_| !named.taken) else { continue };
        let slot = names.table.slot(name);
        match names.find(slot, name) {
            Some(at) if !names.get(at).taken => names.add_child(at),
            None if named.above > 0 && !names.is_taken(slot, name) => {
                let start = names.octets(&named).len() - name.len();
                names.push_above(number - 1, start, slot);
            }
            _ => above(name),
        }
    }
}

/// What an entry is made of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    zone: u16,
    flags: u8,
    children: u32,
    note: String,
    sets: Vec<RrSetBuf>,
}

impl Content {
    fn push(&self, builder: &mut ShardBuilder, tag: u16, name: &[u8]) {
        let Self { zone, flags, children, .. } = *self;
        let sets: Vec<RrSet<'_>> = self.sets.iter().map(|set| set.as_set(name)).collect();
        builder.push(tag, name, Facts { zone, flags, children, note: &self.note }, (&sets, &[]));
    }
}

fn content(owners: Owners<'_>, roster: &Roster<'_>, named: &Named, name: &[u8]) -> Content {
    let Published { sets, known, note } = owners.content(roster, name, named.what);
    let flags = if known { KNOWN } else { 0 };
    Content { zone: owners.zone, flags, children: named.children, note, sets }
}

/// Does the work for each part, on a thread of its own for each but the first, and gives the results in their order.
fn in_parallel<P: Send, R: Send>(parts: Vec<P>, work: impl Fn(P) -> R + Sync) -> Vec<R> {
    let mut parts = parts.into_iter();
    let Some(first) = parts.next() else { return Vec::new() };
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        let mut results = vec![work(first)];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    })
}
