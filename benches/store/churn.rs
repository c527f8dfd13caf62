//! What a change costs in commits of a given size, on a copy of a store: processor time, reads and writes, of the
//! thread that commits and of the store's own that brings the journal into the trees; and how long a commit takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use zonebeat::model::{Change, Instance, Item, Revision, Timestamp, Transition};
use zonebeat::registry::store::embedded::EmbeddedStore;
use zonebeat::registry::store::{Batch, Store, Write};

use super::instance::instance;
use super::support;

/// Hosts that come, move and leave, with ten instances each in services all over the store.
const HOSTS: u64 = 2_000;
const MEMBERS: u64 = 10;
const SERVICES: u64 = 100_000;
/// Changes of a round. The first round is not measured; of the others' processor time the median counts.
const ROUND: u64 = 12_000;
const ROUNDS: u64 = 9;

/// Commits changes to the store of a directory, which should be a copy; `each` divides a round.
pub(super) fn run(directory: &Path, each: u64) {
    let store = EmbeddedStore::open(directory).unwrap();
    let revision = store.load().unwrap().revision;
    let mut fleet = Fleet { hosts: vec![Vec::new(); HOSTS as usize], revision, chance: 1, took: Vec::new() };
    fleet.commit(&store, ROUND, each);
    fleet.took.clear();
    let rounds: Vec<[Used; 2]> = (0..ROUNDS)
        .map(|_| {
            let before = Used::now();
            fleet.commit(&store, ROUND, each);
            store.history(Revision(u64::MAX), 1).unwrap(); // waits until everything is in the trees
            let after = Used::now();
            [0, 1].map(|thread| after[thread].since(&before[thread]))
        })
        .collect();
    println!("commits of {each} changes, for each change:    commit      trees");
    let median = |thread: usize| {
        let mut processor: Vec<u64> = rounds.iter().map(|used| used[thread].nanoseconds).collect();
        processor.sort_unstable();
        processor[processor.len() / 2] as f64 / ROUND as f64 / 1e3
    };
    println!("processor, us                        {:>10.2} {:>10.2}", median(0), median(1));
    let mean = |thread: usize, part: fn(&Used) -> u64| {
        rounds.iter().map(|used| part(&used[thread])).sum::<u64>() as f64 / (ROUNDS * ROUND) as f64
    };
    let print = |name, part| println!("{name:<36} {:>10.3} {:>10.3}", mean(0, part), mean(1, part));
    print("reads", |used| used.reads);
    print("writes", |used| used.writes);
    print("octets written", |used| used.octets);
    fleet.took.sort_unstable();
    let at = |part: usize| fleet.took[(fleet.took.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!("a commit, ms: median {:.2}, 99 of 100 {:.2}, all {:.2}", at(50), at(99), at(100));
}

/// What a thread has used.
#[derive(Default)]
struct Used {
    nanoseconds: u64,
    reads: u64,
    writes: u64,
    octets: u64,
}

impl Used {
    /// Of the thread that calls, and of the store's.
    fn now() -> [Self; 2] {
        let is_trees = |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "trees\n");
        let mut tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
        let trees = tasks.find(is_trees);
        [Self::of(Path::new("/proc/thread-self")), trees.as_deref().map(Self::of).unwrap_or_default()]
    }

    fn of(task: &Path) -> Self {
        let schedule = fs::read_to_string(task.join("schedstat")).unwrap();
        let io = fs::read_to_string(task.join("io")).unwrap();
        let find = |key: &str| io.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok()).unwrap();
        let nanoseconds = schedule.split(' ').next().unwrap().parse().unwrap();
        Self { nanoseconds, reads: find("syscr:"), writes: find("syscw:"), octets: find("write_bytes:") }
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            nanoseconds: self.nanoseconds - before.nanoseconds,
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            octets: self.octets - before.octets,
        }
    }
}

struct Fleet {
    /// Of each host its instances with their services; none while it is away.
    hosts: Vec<Vec<(Arc<str>, Arc<Instance>)>>,
    revision: Revision,
    chance: u64,
    /// How long each commit took.
    took: Vec<Duration>,
}

impl Fleet {
    fn commit(&mut self, store: &EmbeddedStore, changes: u64, each: u64) {
        for _ in 0..changes / each {
            let mut batch = Batch { expected: self.revision, ..Batch::default() };
            while (batch.changes.len() as u64) < each {
                self.change_host(&mut batch);
            }
            let begin = Instant::now();
            store.commit(&batch).unwrap();
            self.took.push(begin.elapsed());
        }
    }

    /// A host that is away comes; one that is there moves or leaves.
    fn change_host(&mut self, batch: &mut Batch) {
        let host = self.below(HOSTS);
        let members = std::mem::take(&mut self.hosts[host as usize]);
        let is_leaving = !members.is_empty() && self.below(2) == 0;
        let mut next = Vec::new();
        for number in 0..MEMBERS {
            self.revision = self.revision.next();
            let before = members.get(number as usize).cloned();
            let service = before.as_ref().map_or_else(|| self.service(), |(service, _)| service.clone());
            let after = (!is_leaving).then(|| Arc::new(self.instance(host, number)));
            let id = format!("h{host}-{number}");
            batch.changes.push(change(self.revision, &service, &id, before.map(|(_, before)| before), after.clone()));
            batch.writes.push(match &after {
                Some(after) => Write::Instance(service.clone(), after.clone()),
                None => Write::RemoveInstance(service.clone(), id.into()),
            });
            next.extend(after.map(|after| (service, after)));
        }
        self.hosts[host as usize] = next;
    }

    fn service(&mut self) -> Arc<str> {
        format!("svc{:05}", self.below(SERVICES)).into()
    }

    fn instance(&mut self, host: u64, number: u64) -> Instance {
        let address = [198, 18, self.below(256) as u8, self.below(256) as u8];
        Instance {
            session: Some(format!("h{host}").into()),
            epoch: Some("1".into()),
            incarnation: self.revision,
            since: Timestamp(support::START),
            revision: self.revision,
            ..instance(&format!("h{host}-{number}"), 8080, &[address.into()])
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % end
    }
}

fn change(
    revision: Revision,
    service: &Arc<str>,
    id: &str,
    before: Option<Arc<Instance>>,
    after: Option<Arc<Instance>>,
) -> Change {
    let transition = match (&before, &after) {
        (_, None) => Transition::Deregister,
        (None, _) => Transition::Register,
        _ => Transition::Update,
    };
    Change {
        revision,
        time: support::time(1),
        author: "anonymous".into(),
        source: "127.0.0.1".into(),
        reason: "".into(),
        transition,
        subject: service.clone(),
        instance: Some(id.into()),
        token: None,
        before: before.map(Item::Instance),
        after: after.map(Item::Instance),
    }
}
