//! What came of it: the table at the end, and what history says of those that lapsed.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::followers::Believed;
use crate::ledger::Key;
use crate::observer::Counts;
use crate::story::World;

/// The subject of changes of the whole fleet.
const FLEET: &str = zonebeat::model::change::FLEET;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cycles: u32,
    pub(crate) kills: u32,
    pub(crate) dead: u32,
    pub(crate) stalls: u32,
    pub(crate) restarts: u32,
    /// How often the last of a service was looked at, held and back.
    held: u32,
    lossy_since: Option<Instant>,
    lossy: Duration,
    /// The longest that each follower took at a quiet time.
    followed: BTreeMap<&'static str, Duration>,
    /// What was wrong besides contradictions of the ledger.
    wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn loss(&mut self, on: bool) {
        match on {
            true => self.lossy_since = Some(Instant::now()),
            false => self.lossy += self.lossy_since.take().map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }

    pub(crate) fn held(&mut self, as_wanted: bool) {
        self.held += 1;
        if !as_wanted {
            self.wrong.push(format!("cycle {}: the last of a service was not held, or not back", self.cycles + 1));
        }
    }

    pub(crate) fn follower(&mut self, name: &'static str, outcome: Result<Duration, Believed>, wanted: &Believed) {
        match outcome {
            Ok(took) => {
                let worst = self.followed.entry(name).or_default();
                *worst = took.max(*worst);
            }
            Err(believed) => self.wrong.push(format!("{name} believes {believed:?}, and not {wanted:?}")),
        }
    }
}

/// All changes in history, oldest first.
fn history(world: &World) -> Vec<Value> {
    let (mut changes, mut since) = (Vec::new(), 0);
    loop {
        let (_, page) = world.server().http_json("GET", &format!("/v1/changes?since={since}&limit=1000"), None);
        changes.extend(page["changes"].as_array().cloned().unwrap_or_default());
        since = page["next"].as_u64().unwrap_or(since);
        if page["more"] != true {
            return changes;
        }
    }
}

fn text<'v>(change: &'v Value, field: &str) -> &'v str {
    change[field].as_str().unwrap_or_default()
}

fn key(change: &Value) -> Key {
    (text(change, "subject").to_owned(), text(change, "instance").to_owned())
}

/// Lapses that nobody should have had: also those that were over before anybody asked.
fn unexpected_lapses(world: &World, changes: &[Value]) -> Vec<Key> {
    let mut lapses: BTreeMap<Key, u32> = BTreeMap::new();
    for change in changes.iter().filter(|change| change["transition"] == "lapse") {
        *lapses.entry(key(change)).or_default() += 1;
    }
    let allowed = |key: &Key| world.lapses.get(key).copied().unwrap_or_default();
    lapses.into_iter().filter(|(key, count)| *count > allowed(key)).map(|(key, _)| key).collect()
}

/// The holds and releases in history: how many are of instances, and each of the fleet's with its reason. Nobody orders a
/// release here, so that those of instances are none; the guard itself ends what it began with the fleet.
fn guarded(changes: &[Value]) -> (usize, usize, Vec<&Value>) {
    let of_guard = changes.iter().filter(|change| matches!(text(change, "transition"), "hold" | "release"));
    let (fleet, single): (Vec<&Value>, Vec<&Value>) = of_guard.partition(|change| text(change, "subject") == FLEET);
    let releases = single.iter().filter(|change| text(change, "transition") == "release").count();
    (single.len() - releases, releases, fleet)
}

/// Whether each hold of the fleet has its release, or a restart of the server, behind which nothing of it is left.
fn is_paired(fleet: &[&Value], restarts: u32) -> bool {
    let (holds, releases): (Vec<&Value>, Vec<&Value>) =
        fleet.iter().copied().partition(|change| text(change, "transition") == "hold");
    releases.len() <= holds.len() && holds.len() <= releases.len() + restarts as usize
}

/// Prints the table, and what went wrong; fails if anything did.
pub(crate) fn tell(world: &World, counts: &Counts, sessions: usize, lasted: Duration) {
    let changes = history(world);
    let mut transitions: BTreeMap<&str, u32> = BTreeMap::new();
    changes.iter().for_each(|change| *transitions.entry(text(change, "transition")).or_default() += 1);
    let (tally, ledger) = (&world.tally, world.ledger());
    let lapses = unexpected_lapses(world, &changes);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    println!("\nsessions           {sessions}, for {} s in {} cycles", lasted.as_secs(), tally.cycles);
    println!("30 % loss          for {} s, {} packets lost", tally.lossy.as_secs(), world.access.lab.lost());
    println!("transitions        {}: {transitions:?}", changes.len());
    let (holds, releases, fleet) = guarded(&changes);
    println!("guard              {holds} holds of instances, {releases} releases; {} of the fleet", fleet.len());
    for change in &fleet {
        println!("    {} {}: {}", text(change, "time"), text(change, "transition"), text(change, "reason"));
    }
    println!(
        "kill -9            {} processes, {} hosts and sessions, the server {} times",
        tally.kills, tally.dead, tally.restarts
    );
    println!("SIGSTOP            {} times; the last of a service held or back {} times", tally.stalls, tally.held);
    println!(
        "asked              {} queries, {} by dig; {} states judged",
        count(&counts.asked),
        count(&counts.digs),
        ledger.judged
    );
    println!("without an answer  {}, failed {}, while the server ran", count(&counts.silent), count(&counts.failed));
    println!("machine            late by {:.2} s at most", ledger.worst_lateness().as_secs_f64());
    println!("followers          {:?} after a quiet time at most", tally.followed);
    println!("\nseen in DNS after      count      mean       worst");
    for ((cause, network), took) in &ledger.took {
        println!("{:<14} {:<7} {took}", format!("{cause:?}"), format!("{network:?}"));
    }
    println!(
        "\ncontradictions     {}, lapses in history that nobody expected {}\n",
        ledger.contradictions.len(),
        lapses.len()
    );
    for contradiction in &ledger.contradictions {
        println!("{}", ledger.tell(contradiction));
        tell_history(&changes, &contradiction.key);
    }
    for key in &lapses {
        println!("lapsed: {}/{}", key.0, key.1);
        tell_history(&changes, key);
    }
    let guarded = releases == 0 && is_paired(&fleet, tally.restarts);
    let fine = ledger.contradictions.is_empty() && lapses.is_empty() && tally.wrong.is_empty() && guarded;
    drop(ledger);
    assert!(fine, "the world was not as the ledger has it: {:#?}", tally.wrong);
}

/// The last changes of an instance.
fn tell_history(changes: &[Value], wanted: &Key) {
    let of_key: Vec<&Value> = changes.iter().filter(|change| key(change) == *wanted).collect();
    for change in of_key.iter().rev().take(8).rev() {
        println!(
            "    history: {} {} {} {}",
            change["revision"],
            text(change, "time"),
            text(change, "transition"),
            change["reason"]
        );
    }
}
