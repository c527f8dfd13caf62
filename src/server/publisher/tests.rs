//! What is discarded leaves nothing behind: not in the views that are read, nor in those that come after it.

use super::*;
use crate::model::clock::ManualClock;
use crate::model::naming::Naming;
use crate::model::service::ServiceRow;
use crate::model::{Instance, Record, Rtype, Service, Timestamp};
use crate::view::{Published, ServerFacts, ZoneSource};

const SERVICES: u16 = 12;
/// So many that the shard of a service's name is large enough to be kept for another one.
const INSTANCES: u16 = 30;

fn compiler() -> Compiler {
    let apex: Name = "sd.example.org".parse().expect("name");
    let mut soa = [apex.as_wire(), apex.as_wire()].concat();
    soa.extend([0u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    let records = vec![Record { owner: apex.clone(), rtype: Rtype::SOA, ttl: 300, rdata: soa.into() }];
    let source =
        ZoneSource { apex, records, registrations: true, reverse: false, updates: false, ttl: 30, readable: true };
    Compiler::new(vec![source], Naming::plain(), ServerFacts::default(), 7)
}

fn service(number: u16, port: u16) -> Service {
    let instance = |id| Arc::new(Instance { port, ..Instance::example(&format!("i{id}")) });
    let instances = (0..INSTANCES).map(instance).collect();
    Service { name: format!("s{number}").into(), row: ServiceRow::default(), instances }
}

/// Another port for all instances of a service.
fn change(before: &Snapshot, number: u16, port: u16) -> (Snapshot, Vec<Touched>) {
    let mut after = Snapshot { revision: before.revision.next(), ..before.clone() };
    let service = service(number, port);
    let touch = |id: u16| Touched {
        service: service.name.clone(),
        instance: Some(format!("i{id}").into()),
        revision: after.revision,
    };
    let touched = (0..INSTANCES).map(touch).collect();
    after.services.insert(Arc::new(service));
    (after, touched)
}

/// Everything that a view answers.
fn contents(view: &View) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, entry) in view.table.entries() {
        let owner = Name::from_wire(entry.name()).expect("stored names are names");
        lines.push(format!("{owner} zone {} children {} note {:?}", entry.zone(), entry.children(), entry.note()));
        let sets = entry.sets().map(|set| format!("{owner} {} {} {:?}", set.rtype, set.count, set.body));
        lines.extend(sets);
    }
    lines.sort();
    lines
}

fn publisher(snapshot: &Snapshot) -> ViewPublisher {
    let clock = Arc::new(ManualClock::new(Timestamp(1_790_000_000_000)));
    let freshness = Arc::new(Freshness::new(Published::new(compiler().unready()), clock.clone()));
    let mut publisher = ViewPublisher::new(compiler(), Slot::default(), freshness, clock, Metrics::new());
    publisher.load(snapshot, &[]);
    publisher.publish();
    publisher
}

/// Of each three rounds one is published as it was compiled, and two after another one was discarded: that which the
/// store had, and with it what was compiled behind it. Views from before are read all the time.
#[test]
fn no_view_reads_what_was_compiled_into_buffers_of_a_discarded_one() {
    let services = (0..SERVICES).map(|number| service(number, 80));
    let services = services.map(Arc::new).collect();
    let mut shown = Snapshot { revision: Revision(1), services, ..Snapshot::default() };
    let mut publisher = publisher(&shown);
    let mut held: Vec<(Arc<View>, Vec<String>)> = Vec::new();
    let mut kept = false;
    for round in 0..36 {
        let view = publisher.freshness.published().load_full();
        held.push((view.clone(), contents(&view)));
        if held.len() > 3 {
            held.remove(0);
        }
        if round % 3 > 0 {
            let (first, touched) = change(&shown, round % SERVICES, 1000 + round);
            publisher.prepare(&first, &touched, &[]);
            if round % 3 == 2 {
                publisher.close();
                let (second, touched) = change(&first, (round + 1) % SERVICES, 2000 + round);
                publisher.prepare(&second, &touched, &[]);
                publisher.prepare(&change(&second, round % SERVICES, 3000 + round).0, &touched, &[]);
            }
            publisher.discard();
        }
        for step in 0..2 {
            let (next, touched) = change(&shown, (round + step) % SERVICES, 4000 + round);
            publisher.prepare(&next, &touched, &[]);
            shown = next;
        }
        kept |= format!("{:?}", publisher.spare) != format!("{:?}", Spare::default());
        publisher.close();
        publisher.publish();
        let published = publisher.freshness.published().load_full();
        assert_eq!(contents(&published), contents(&compiler().full(&shown, &[])), "round {round}");
        for (view, before) in &held {
            assert_eq!(contents(view), *before, "round {round}");
        }
    }
    assert!(kept, "no buffer was ever kept for another shard");
}
