//! Everything at once: all services become the shards of a table, without an edit for each name.
//!
//! The editor of `view::edit` keeps what is pending in a map, which is right for the names of a batch and takes tens of
//! seconds and gigabytes for those of a million instances. Here every name is encoded straight into the buffer of its
//! shard, in three steps:
//!
//! 1. **Survey.** Every service is compiled once to learn how many octets go into which shard, and what does not belong
//!    to one service: how many names stand right below a name such as `_tcp.` of the zone, and PTR records in sets to
//!    which many services contribute.
//! 2. **Fill.** A buffer for each shard is made as large as it has to be, and every service is compiled once more into
//!    them. Then a shard is built from its buffer, which goes away, before the next. So there is hardly more memory in
//!    use at any time than the table takes. (Sizes guessed from a sample were tried: they save a tenth of the
//!    time, and buffers that have to grow leave half as much memory again in holes.)
//! 3. **Settle.** What the survey set aside goes through an ordinary editor: few names, with many children or members.
//!
//! A name above others (RFC 8020) is counted while the service is compiled, as far as it has the label of that service.
//! Names at which something stands already (static records, browse names, names above them) go through the editor too.
//! So do whole services that have a name in common, which the presets do not allow: they are found because a
//! buffer then has a name twice, and what is surveyed and filled again is the rest.
//!
//! **Threads.** The survey is split by services, filling by shards, over the cores that there are. This takes nothing
//! from purity: threads share only what nobody changes, each returns a value, they end before the function returns, and
//! the table is the same for any number of them (sums do not depend on their order, and every buffer is filled by one
//! thread in the order of the services). The final allocations are all made by the calling thread, which is the one that will
//! replace them shard by shard: an allocator with an arena for each thread can use the holes again.

mod reverse;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use foldhash::fast::FixedState;

use self::survey::Survey;
use super::Compiler;
use super::names::{Named, Names};
use super::owners::Owners;
use super::roster::{Roster, read};
use crate::model::name::parent;
use crate::model::{Instance, Revision, Service};
use crate::view::edit::{Editor, Published};
use crate::view::rrset::{RrSet, RrSetBuf};
use crate::view::shard::{Facts, KNOWN, ShardBuilder};
use crate::view::table::{ALL_SHARDS, Slot, Table};

/// More threads gain little, because each of them lists all names to fill its shards.
const MOST_THREADS: usize = 4;
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
        let survey = bulk.survey(&apart);
        let disputed = survey.disputed();
        if !disputed.is_empty() {
            apart.extend(disputed);
            continue;
        }
        match bulk.fill(&survey, &apart) {
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
    /// Lists the names of a service in each zone. `above` hears of names above them that are not the service's own, once
    /// for each child; `zone` gets the list with the children of its names.
    fn list(
        &self,
        service: &Service,
        names: &mut Names<'b>,
        mut above: impl FnMut(u16, &[u8]),
        mut zone: impl FnMut(Owners<'b>, &Roster<'_>, &Names<'b>),
    ) {
        let instances = read(service);
        let mut roster = Roster::new(service, instances.iter().map(|instance| -> &Instance { instance }));
        for owners in &self.owners {
            names.clear();
            owners.list_shared(&mut roster, names);
            (0..roster.serving().len()).for_each(|number| owners.list_own(&roster, number, names));
            names.note_taken();
            count_children(names, |name| above(owners.zone, name));
            zone(*owners, &roster, names);
        }
    }

    fn survey(&self, apart: &BTreeSet<usize>) -> Survey {
        let part = self.services.len().div_ceil(self.threads).max(1);
        let starts = (0..self.services.len()).step_by(part);
        let parts = in_parallel(starts.collect(), |start| {
            let mut survey = Survey::new(self);
            let mut names = Names::new(self.base);
            let end = self.services.len().min(start + part);
            for number in (start..end).filter(|number| !apart.contains(number)) {
                survey.take(self, number, &mut names);
            }
            survey
        });
        let mut survey = Survey::new(self);
        parts.into_iter().for_each(|part| survey.add(part));
        survey.close(self);
        survey
    }

    /// The table with every entry that was surveyed; the names that would be there twice if there are any.
    fn fill(&self, survey: &Survey, apart: &BTreeSet<usize>) -> Result<Table, Vec<Box<[u8]>>> {
        let filled: Vec<usize> = (0..ALL_SHARDS).filter(|shard| survey.room(*shard).1 > 0).collect();
        let mut places = vec![usize::MAX; ALL_SHARDS];
        filled.iter().enumerate().for_each(|(place, shard)| places[*shard] = place);
        let builder = |shard: &usize| {
            let slot = Slot { shard: *shard as u16, tag: 0 };
            let (octets, entries) = survey.room(*shard);
            ShardBuilder::on_top_of(self.base.shard(slot), octets, entries)
        };
        let mut builders: Vec<ShardBuilder> = filled.iter().map(builder).collect();
        let part = builders.len().div_ceil(self.threads).max(1);
        let parts = builders.chunks_mut(part).enumerate();
        let parts =
            parts.map(|(number, builders)| Shards { places: &places, first: number * part, builders }).collect();
        let twins = in_parallel(parts, |mut shards: Shards<'_>| {
            self.fill_shards(survey, apart, &mut shards);
            shards.builders.iter().flat_map(ShardBuilder::twins).collect::<Vec<_>>()
        });
        let twins: Vec<Box<[u8]>> = twins.into_iter().flatten().collect();
        if !twins.is_empty() {
            return Err(twins);
        }
        let built = filled.into_iter().zip(builders).map(|(shard, mut builder)| (shard as u16, builder.build()));
        Ok(self.base.with_shards(built, survey.entries() as isize))
    }

    fn fill_shards(&self, survey: &Survey, apart: &BTreeSet<usize>, shards: &mut Shards<'_>) {
        let mut names = Names::new(self.base);
        for (number, service) in self.services.iter().enumerate() {
            if apart.contains(&number) {
                continue;
            }
            self.list(
                service,
                &mut names,
                |_, _| {},
                |owners, roster, names| {
                    for (named, name) in names.iter().filter(|(named, _)| !named.taken) {
                        if let Some(builder) = shards.builder(named.slot) {
                            content(owners, roster, named, name).push(builder, named.slot.tag, name);
                        }
                    }
                },
            );
        }
        survey.reverses.walk(self.base, &self.compiler.sources, |slot, step| {
            if let Some((builder, (name, content))) = shards.builder(slot).zip(step.content(&survey.reverses)) {
                content.push(builder, slot.tag, name);
            }
        });
    }

    fn settle(&self, table: &Table, survey: Survey, apart: &BTreeSet<usize>) -> Table {
        let mut editor = Editor::new(table);
        survey.settle(self, &mut editor);
        for number in apart {
            self.compiler.edit_service(&mut editor, None, Some(self.services[*number]), None, Revision::default());
        }
        editor.finish().table
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

/// Shards that one thread fills.
struct Shards<'f> {
    /// The place of each shard among those that are filled.
    places: &'f [usize],
    /// The place of the first of these.
    first: usize,
    builders: &'f mut [ShardBuilder],
}

impl Shards<'_> {
    fn builder(&mut self, slot: Slot) -> Option<&mut ShardBuilder> {
        self.builders.get_mut(self.places[usize::from(slot.shard)].wrapping_sub(self.first))
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
