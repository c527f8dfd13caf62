//! Three servers under random commands, lapses and faults: when all is quiet they know and answer the same, and history
//! has what was acknowledged, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use zonebeat::model::api::Registration;
use zonebeat::model::{Change, Word};
use zonebeat::registry::update::{Edit, Update};
use zonebeat::registry::{Action, Beaten, Outcome};

use super::cases::{at_site, bring_back, declare, deregister, facts, register, session_set, zone};
use super::server::{Answered, Server, assert_same_with};
use super::shared::{Fault, Shared};

const SERVERS: usize = 3;
const SERVICES: [&str; 3] = ["search", "web", "db"];
const IDS: [&str; 3] = ["a1", "a2", "a3"];
const SESSIONS: [&str; 2] = ["host-1", "host-2"];

#[derive(Debug, Clone)]
enum Move {
    Register {
        service: usize,
        id: usize,
        port: i64,
        site: bool,
        out: bool,
    },
    Deregister {
        service: usize,
        id: usize,
    },
    Drain {
        service: usize,
        id: usize,
        drained: bool,
    },
    Weight {
        service: usize,
        id: usize,
        seconds: Option<i64>,
    },
    Declare {
        service: usize,
        declared: bool,
    },
    Set {
        session: usize,
        epoch: bool,
        members: Vec<(usize, usize)>,
    },
    EndSession {
        session: usize,
    },
    Records {
        name: usize,
        there: bool,
    },
    Beat {
        service: usize,
        id: usize,
    },
    BeatSession {
        session: usize,
        epoch: bool,
    },
    Reload {
        text: bool,
    },
    Tick,
    /// Waits for the store.
    Settle,
    /// Time passes everywhere.
    Pass {
        seconds: u64,
    },
    Hour,
    Inject(bool),
    Gone,
    /// It hears no news until it comes too late with a batch.
    Deaf,
    Heal,
    Restart,
}

fn moves() -> impl Strategy<Value = Move> {
    let (service, id, session) = (0..SERVICES.len(), 0..IDS.len(), 0..SESSIONS.len());
    let member = (service.clone(), id.clone());
    let facts = (member.clone(), 1..3i64, prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    let members = prop::collection::btree_set(member.clone(), 0..4);
    prop_oneof![
        8 => facts.prop_map(|((service, id), port, site, out)| Move::Register { service, id, port, site, out }),
        4 => member.clone().prop_map(|(service, id)| Move::Deregister { service, id }),
        2 => (member.clone(), any::<bool>()).prop_map(|((service, id), drained)| Move::Drain { service, id, drained }),
        2 => (member.clone(), prop::option::of(Just(5)))
            .prop_map(|((service, id), seconds)| Move::Weight { service, id, seconds }),
        2 => (service, any::<bool>()).prop_map(|(service, declared)| Move::Declare { service, declared }),
        4 => (session.clone(), any::<bool>(), members).prop_map(|(session, epoch, members)| Move::Set {
            session,
            epoch,
            members: members.into_iter().collect()
        }),
        1 => session.clone().prop_map(|session| Move::EndSession { session }),
        2 => (0..3usize, any::<bool>()).prop_map(|(name, there)| Move::Records { name, there }),
        5 => member.prop_map(|(service, id)| Move::Beat { service, id }),
        3 => (session, any::<bool>()).prop_map(|(session, epoch)| Move::BeatSession { session, epoch }),
        1 => any::<bool>().prop_map(|text| Move::Reload { text }),
        6 => Just(Move::Tick),
        6 => Just(Move::Settle),
        4 => prop_oneof![3 => Just(1u64), 2 => Just(8)].prop_map(|seconds| Move::Pass { seconds }),
        1 => Just(Move::Hour),
        1 => any::<bool>().prop_map(Move::Inject),
        1 => Just(Move::Gone),
        6 => Just(Move::Deaf),
        4 => Just(Move::Heal),
        1 => Just(Move::Restart),
    ]
}

/// A command whose answer may be out.
struct Asked {
    reason: String,
    answered: Answered,
}

struct Play {
    shared: Arc<Shared>,
    servers: Vec<Server>,
    asked: Vec<Asked>,
    text: u8,
    number: usize,
    /// All servers have had the same zone files.
    same_files: bool,
}

impl Play {
    fn new() -> Self {
        let shared = Arc::new(Shared::default());
        let mut servers: Vec<Server> = (0..SERVERS).map(|_| Server::start(&shared)).collect();
        // History is pruned a minute after the start, for which the writer waits until nothing is under way.
        servers.iter_mut().for_each(|server| server.pass(Duration::from_secs(61)));
        Self { shared, servers, asked: Vec::new(), text: b'a', number: 0, same_files: true }
    }

    fn ask(&mut self, at: usize, action: Action) {
        self.number += 1;
        let reason = format!("order-{}.", self.number);
        let answered = self.servers[at].take(&reason, action);
        self.asked.push(Asked { reason, answered });
    }

    fn step(&mut self, at: usize, next: Move) {
        let server = &mut self.servers[at];
        let instance = |service: usize, id: usize| (SERVICES[service].to_owned(), IDS[id].to_owned());
        match next {
            Move::Register { service, id, port, site, out } => {
                let wish = if site { at_site("lon") } else { facts() };
                let out = out.then(|| "its check fails".to_owned());
                self.ask(at, register(SERVICES[service], IDS[id], Registration { port, out, ..wish }));
            }
            Move::Deregister { service, id } => self.ask(at, deregister(SERVICES[service], IDS[id], None)),
            Move::Drain { service, id, drained } => {
                let (service, id) = instance(service, id);
                self.ask(
                    at,
                    match drained {
                        true => Action::Drain { service, id, force: false },
                        false => Action::Undrain { service, id },
                    },
                );
            }
            Move::Weight { service, id, seconds } => {
                let (service, id) = instance(service, id);
                self.ask(at, Action::SetWeight { service, id, weight: Some(7), seconds });
            }
            Move::Declare { service, declared: true } => self.ask(at, declare(SERVICES[service])),
            Move::Declare { service, .. } => self.ask(at, Action::Undeclare { service: SERVICES[service].into() }),
            Move::Set { session, epoch, members } => {
                let members: Vec<_> = members.iter().map(|(of, id)| (SERVICES[*of], IDS[*id], facts())).collect();
                self.ask(at, session_set(SESSIONS[session], epoch_of(epoch), &members));
            }
            Move::EndSession { session } => {
                self.ask(at, Action::EndSession { session: SESSIONS[session].into(), epoch: None, force: false });
            }
            Move::Records { name, there } => self.ask(at, records(name, there)),
            Move::Beat { service, id } => {
                if let Beaten::Lapsed { .. } = server.registry.beat(SERVICES[service], IDS[id], None) {
                    self.ask(at, bring_back(SERVICES[service], IDS[id], None));
                }
            }
            Move::BeatSession { session, epoch } => {
                let session = SESSIONS[session];
                if let Beaten::Lapsed { .. } = server.registry.beat_session(session, epoch_of(epoch), None) {
                    self.ask(at, Action::ReturnSession { session: session.into() });
                }
            }
            Move::Reload { text } => {
                self.text = if text { b'a' } else { b'b' };
                self.same_files = false;
                let _ = server.reload(self.text); // the store may be away
            }
            Move::Tick => server.writer.tick(),
            Move::Settle => server.writer.settle(),
            Move::Pass { seconds } => self.pass(seconds),
            Move::Hour => self.servers.iter().for_each(|server| server.clock.advance(Duration::from_secs(3601))),
            Move::Inject(unknown) => server.handle.inject(if unknown { Fault::Unknown } else { Fault::Refused }),
            Move::Gone => server.handle.gone.store(true, Ordering::SeqCst),
            Move::Deaf => server.handle.deaf.store(true, Ordering::SeqCst),
            Move::Heal => server.handle.heal(),
            Move::Restart => self.restart(at),
        }
    }

    fn restart(&mut self, at: usize) {
        self.servers[at].writer.settle();
        let wall = self.servers[at].now();
        let mut server = Server::unopened_with(&self.shared, self.text);
        server.clock.set_wall(wall);
        server.tick();
        server.pass(Duration::from_secs(61));
        self.servers[at] = server;
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 2 {
            for server in &mut self.servers {
                server.clock.advance(Duration::from_millis(500));
                server.writer.tick();
            }
        }
    }

    /// Who transfers a zone from one server and asks another one for what is newer must not be told that nothing is.
    fn check_serials(&self) {
        let mut contents = BTreeMap::new();
        for (serial, content) in self.servers.iter().flat_map(|server| server.shown()) {
            assert_eq!(*contents.entry(serial).or_insert(content), content, "serial {serial}");
        }
    }

    /// Everything works, and every lease runs out.
    fn quieten(&mut self) {
        self.servers.iter_mut().for_each(|server| server.handle.heal());
        let mut quiet = 0;
        let mut rounds = 0;
        while quiet < 70 {
            let before = self.shared.frames();
            for server in &mut self.servers {
                server.clock.advance(Duration::from_millis(500));
                server.writer.tick();
            }
            self.servers.iter_mut().for_each(|server| server.writer.settle());
            quiet = if self.shared.frames() == before { quiet + 1 } else { 0 };
            rounds += 1;
            assert!(rounds < 2000, "it never ends");
        }
        if self.same_files {
            self.check_serials();
        }
        for text in [b'c', b'c'] {
            self.servers.iter_mut().for_each(|server| drop(server.reload(text).unwrap()));
        }
        for _ in 0..2 {
            self.servers.iter_mut().for_each(Server::tick);
        }
    }

    fn check(&mut self) {
        let history = self.shared.history();
        assert!(history.windows(2).all(|pair| pair[1].revision == pair[0].revision.next()));
        let mut made: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
        for change in &history {
            made.entry(&change.reason).or_default().push(change);
        }
        for Asked { reason, answered } in &mut self.asked {
            let made = made.get(reason.as_str()).map(Vec::as_slice).unwrap_or_default();
            let subjects: Vec<_> = made.iter().map(|change| (&change.subject, &change.instance)).collect();
            assert!((1..subjects.len()).all(|at| !subjects[at..].contains(&subjects[at - 1])), "{reason} twice");
            match answered.try_recv().expect("all is answered") {
                Ok(Outcome::Instance { changed, .. } | Outcome::Applied { changed, .. }) => {
                    assert_eq!(made.is_empty(), !changed, "{reason}");
                }
                Ok(Outcome::Session { .. } | Outcome::Unmet(_)) => {}
                Err(refusal) if refusal.word == Word::StoreUnavailable => {}
                Err(refusal) => assert!(made.is_empty(), "{reason} {refusal}"),
            }
        }
        assert_eq!(self.shared.empty_frames(), 0);
        self.servers.iter().for_each(|server| assert!(server.registry.health().writable));
        self.servers.iter().for_each(|server| server.assert_shown(b'c'));
        assert_same_with(&self.shared, &self.servers, b'c');
    }
}

fn epoch_of(epoch: bool) -> &'static str {
    if epoch { "e2" } else { "e1" }
}

fn records(name: usize, there: bool) -> Action {
    let name = format!("{}.{}", ["ftp", "web", "mail"][name], zone()).parse().unwrap();
    let data = zonebeat::model::WrittenData { data: [192, 0, 2, 9].into(), folded: None, text: "192.0.2.9".into() };
    let edit = match there {
        true => Edit::Add(name, zonebeat::model::Rtype::A, 30, data),
        false => Edit::DeleteName(name),
    };
    Action::Update(Update { zone: zone(), prerequisites: Vec::new(), edits: vec![edit] })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn servers_come_to_the_same(moves in prop::collection::vec((0..SERVERS, moves()), 1..80)) {
        let mut play = Play::new();
        for (at, next) in moves {
            play.step(at, next);
        }
        play.quieten();
        play.check();
    }
}
