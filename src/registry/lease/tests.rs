//! Leases as the writer and the edges see them.

use super::*;

fn lone(id: &str, lease_seconds: u32) -> Subject {
    let instance = Instance { lease_seconds, ..Instance::example(id) };
    Subject::lone(&"search".into(), &instance)
}

struct World {
    leases: Leases,
    now: Duration,
}

impl World {
    fn new(subjects: Vec<Subject>) -> Self {
        let world = Self { leases: Leases::new(), now: Duration::ZERO };
        world.leases.advance(world.now);
        world.leases.apply(subjects.into_iter().map(Effect::Start).collect());
        world
    }

    fn wait(&mut self, seconds: f64) -> Vec<Key> {
        let mut out = Vec::new();
        for _ in 0..(seconds * 10.0).round() as usize {
            self.now += TICK;
            self.leases.advance(self.now);
            out.extend(self.leases.turn());
        }
        out
    }

    fn key(&self, id: &str) -> Key {
        let name = Name::lone(&self.leases.hashing, "search", id);
        Key(self.leases.lock().find(name).expect("it has a lease"))
    }
}

#[test]
fn a_lease_runs_out_once_and_never_early() {
    let mut world = World::new(vec![lone("a1", 15)]);
    assert!(world.wait(15.0).is_empty());
    assert_eq!(world.wait(0.2).len(), 1);
    assert!(world.wait(30.0).is_empty());
}

#[test]
fn a_beat_moves_the_deadline() {
    let mut world = World::new(vec![lone("a1", 15)]);
    for _ in 0..20 {
        assert!(world.wait(14.9).is_empty());
        assert_eq!(world.leases.beat("Search", "A1", None), Beaten::Renewed { lease_seconds: 15 });
    }
    assert_eq!(world.leases.beat("search", "a1", Some(7)), Beaten::OldIncarnation { current: Revision(1) });
    assert_eq!(world.leases.beat("search", "a2", None), Beaten::Unknown);
    assert_eq!(world.wait(15.2).len(), 1);
}

#[test]
fn a_long_lease_turns_with_the_wheel() {
    for lease_seconds in [600, 86_400] {
        let mut world = World::new(vec![lone("a1", lease_seconds)]);
        assert!(world.wait(f64::from(lease_seconds)).is_empty());
        assert_eq!(world.wait(0.2).len(), 1);
    }
}

#[test]
fn a_shorter_lease_is_filed_earlier() {
    let mut world = World::new(vec![lone("a1", 90)]);
    world.leases.apply(vec![Effect::Start(lone("a1", 2))]);
    assert_eq!(world.wait(2.2).len(), 1);
    assert!(world.wait(100.0).is_empty());
}

#[test]
fn a_late_tick_moves_every_deadline() {
    let mut world = World::new(vec![lone("a1", 15)]);
    world.now += Duration::from_secs(60);
    assert!(world.wait(14.5).is_empty());
    assert_eq!(world.wait(0.7).len(), 1);
}

#[test]
fn a_beat_before_the_seal_renews_and_after_it_does_not() {
    let mut world = World::new(vec![lone("a1", 15), lone("a2", 15)]);
    let out = world.wait(15.2);
    assert_eq!(world.leases.still_out(&out).len(), 2);
    assert_eq!(world.leases.beat("search", "a1", None), Beaten::Renewed { lease_seconds: 15 });
    let first = world.key("a1");
    assert_eq!(world.leases.seal(&out), [first]);
    let second = [world.key("a2")];
    assert!(world.leases.seal(&second).is_empty());
    assert_eq!(world.leases.beat("search", "a2", None), Beaten::Lapsed { lease_seconds: 15 });
    world.leases.unseal(&second);
    assert_eq!(world.leases.beat("search", "a2", None), Beaten::Renewed { lease_seconds: 15 });
    assert_eq!(world.wait(15.2).len(), 2);
}

#[test]
fn an_id_that_ends_and_comes_back_is_filed_once() {
    let mut world = World::new(vec![lone("a1", 15)]);
    for _ in 0..5 {
        world.leases.apply(vec![Effect::EndLone("search".into(), "a1".into()), Effect::Start(lone("a1", 15))]);
    }
    assert_eq!(world.leases.running(), 1);
    assert_eq!(world.wait(31.0).len(), 1);
}

#[test]
fn a_restart_gives_everybody_a_full_lease() {
    let mut world = World::new(vec![lone("a1", 15), lone("a2", 15)]);
    let out = world.wait(15.2);
    assert_eq!(out.len(), 2);
    world.leases.restart();
    assert!(world.leases.still_out(&out).is_empty());
    assert!(world.wait(15.0).is_empty());
    assert_eq!(world.wait(0.2).len(), 2);
}

#[test]
fn the_age_of_a_beat_is_that_of_the_last_one() {
    let mut world = World::new(vec![lone("a1", 15)]);
    world.wait(3.0);
    assert_eq!(world.leases.beat_age("search", "a1"), Some(Duration::from_secs(3)));
    world.leases.beat("search", "a1", None);
    world.wait(1.0);
    assert_eq!(world.leases.beat_age("search", "a1"), Some(Duration::from_secs(1)));
    world.leases.reset(1, [lone("a1", 15)].into_iter());
    assert_eq!(world.leases.beat_age("search", "a1"), None);
}

#[test]
fn a_place_that_is_used_again_lapses_nobody_by_mistake() {
    let mut world = World::new(vec![lone("a1", 2)]);
    let out = world.wait(2.2);
    world.leases.apply(vec![Effect::EndLone("search".into(), "a1".into()), Effect::Start(lone("a2", 15))]);
    assert_eq!(world.key("a2"), out[0]);
    assert!(world.leases.still_out(&out).is_empty());
}

#[test]
fn a_name_is_told_from_every_other() {
    let world = World::new(vec![lone("a1", 15), lone(&"x".repeat(63), 15)]);
    for (service, id) in [("searc", "ha1"), ("search", "a"), ("", "searcha1"), ("search", ""), ("x", "a1")] {
        assert_eq!(world.leases.beat(service, id, None), Beaten::Unknown, "{service} {id}");
    }
    assert_eq!(world.leases.beat("search", &"X".repeat(63), None), Beaten::Renewed { lease_seconds: 15 });
    assert_eq!(world.leases.beat("search", &"x".repeat(64), None), Beaten::Unknown);
    assert_eq!(world.leases.beat("search", &"x".repeat(100_000), None), Beaten::Unknown);
    assert_eq!(world.leases.beat_session("searcha1", "", None), Beaten::Unknown);
}

#[test]
fn a_tick_visits_nobody_who_beats() {
    let mut world =
        World::new((0..500).map(|at| lone(&format!("a{at}"), [2, 15, 200, 205, 300, 3600][at % 6])).collect());
    for at in 0..7200 {
        let due = |lease: usize| at % (lease * 10 / 3) == 0;
        for id in (0..500).filter(|id| due([2, 15, 200, 205, 300, 3600][id % 6])) {
            world.leases.beat("search", &format!("a{id}"), None);
        }
        assert!(world.wait(0.1).is_empty());
    }
    assert_eq!(world.leases.visited(), 0);
}

/// What the table should do, in the plainest way: a map of deadlines, looked through at every tick.
#[derive(Default)]
struct Model {
    /// Lease and deadline, both in ticks; without a deadline it is out.
    leases: std::collections::BTreeMap<u8, (u32, Option<u32>)>,
    now: u32,
}

impl Model {
    fn start(&mut self, id: u8, lease_seconds: u32) {
        let length = lease_seconds * 10 + 1;
        self.leases.insert(id, (length, Some(self.now + length)));
    }

    fn beat(&mut self, id: u8) -> bool {
        let now = self.now;
        self.leases.get_mut(&id).map(|(length, deadline)| *deadline = Some(now + *length)).is_some()
    }

    fn tick(&mut self) -> Vec<u8> {
        self.now += 1;
        let due = |deadline: &Option<u32>| deadline.is_some_and(|deadline| deadline <= self.now);
        let due = self.leases.iter_mut().filter(|(_, (_, deadline))| due(deadline));
        due.map(|(id, (_, deadline))| (*id, deadline.take()).0).collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Start(u8, u32),
    Beat(u8),
    End(u8),
    Restart,
    Wait(u32),
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let id = 0..40u8;
    let lease = prop_oneof![2..30u32, 90..110u32, 195..215u32, 300..1000u32];
    let step = prop_oneof![
        4 => (id.clone(), lease).prop_map(|(id, lease)| Step::Start(id, lease)),
        8 => id.clone().prop_map(Step::Beat),
        1 => id.prop_map(Step::End),
        1 => Just(Step::Restart),
        6 => prop_oneof![1..20u32, 20..3000u32].prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    #[test]
    fn leases_run_out_as_in_a_plain_model(steps in steps()) {
        let (mut world, mut model) = (World::new(Vec::new()), Model::default());
        let name = |id: u8| format!("a{id}");
        for step in steps {
            match step {
                Step::Start(id, lease_seconds) => {
                    world.leases.apply(vec![Effect::Start(lone(&name(id), lease_seconds))]);
                    model.start(id, lease_seconds);
                }
                Step::Beat(id) => {
                    let beaten = world.leases.beat("search", &name(id), None);
                    assert_eq!(beaten != Beaten::Unknown, model.beat(id));
                }
                Step::End(id) => {
                    world.leases.apply(vec![Effect::EndLone("search".into(), name(id).into())]);
                    model.leases.remove(&id);
                }
                Step::Restart => {
                    world.leases.restart();
                    for id in 0..40 {
                        model.beat(id);
                    }
                }
                Step::Wait(ticks) => for _ in 0..ticks {
                    let out = world.wait(0.1);
                    let mut out: Vec<String> = out.iter().map(|key| id_of(&world, *key)).collect();
                    out.sort();
                    let mut expected: Vec<String> = model.tick().into_iter().map(name).collect();
                    expected.sort();
                    assert_eq!(out, expected);
                },
            }
            assert_eq!(world.leases.running(), model.leases.len());
        }
    }
}

fn id_of(world: &World, key: Key) -> String {
    match world.leases.lock().subject(key) {
        Some(Subject::Lone(lone)) => lone.id.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_silent_are_counted_before_they_are_out() {
    let mut world = World::new((0..10).map(|number| lone(&format!("a{number}"), 16)).collect());
    let silence = |world: &World| (world.leases.silence().silent, world.leases.silence().out);
    assert_eq!(silence(&world), (0, 0));
    for _ in 0..3 {
        world.wait(5.0);
        for number in 0..4 {
            world.leases.beat("search", &format!("a{number}"), None);
        }
    }
    assert_eq!(silence(&world), (6, 0), "a second before they are out");
    let out = world.wait(1.2);
    assert_eq!((out.len(), silence(&world)), (6, (6, 6)));
    world.leases.beat("search", "a9", None);
    assert_eq!(silence(&world), (5, 5));
    assert!(world.leases.seal(&[world.key("a8")]).is_empty());
    assert_eq!(silence(&world), (5, 5), "it is still in the answers");
    world.leases.unseal(&[world.key("a8")]);
    assert_eq!(silence(&world), (4, 4));
    world.leases.apply(vec![Effect::EndLone("search".into(), "a7".into())]);
    let Subject::Lone(a6) = lone("a6", 16) else { return };
    world.leases.apply(vec![Effect::Replace(Subject::Lone(Lone { lapsed: true, ..a6 }))]);
    assert_eq!(silence(&world), (2, 2));
    world.leases.apply(vec![Effect::Replace(lone("a0", 64))]);
    world.leases.restart();
    assert_eq!((silence(&world), world.leases.running()), ((0, 0), 8));
    world.wait(15.0);
    assert_eq!(silence(&world), (7, 0), "a longer lease is not late yet");
    assert_eq!(world.wait(60.0).len(), 8);
    assert_eq!(world.leases.silence(), Silence { silent: 8, out: 8, running: 8 });
}

mod owned {
    //! Several servers: what another one counts.

    use super::*;
    use crate::model::{ServerNumber, ServerRow, Timestamp};

    const US: u8 = 1;

    fn owned(id: &str, lease_seconds: u32, owner: u8) -> Subject {
        let Subject::Lone(lone) = lone(id, lease_seconds) else { unreachable!("it is lone") };
        Subject::Lone(Lone { owner: ServerNumber(owner), ..lone })
    }

    fn there(world: &World, numbers: &[u8]) {
        let row = |number: &u8| ServerRow {
            name: format!("ns{number}"),
            number: ServerNumber(*number),
            addresses: Vec::new(),
            started: Timestamp(0),
        };
        let rows: Vec<ServerRow> = numbers.iter().map(row).collect();
        world.leases.set_servers(Servers::new(ServerNumber(US), &rows));
    }

    fn world(servers: &[u8], subjects: Vec<Subject>) -> World {
        let world = World::new(Vec::new());
        there(&world, servers);
        world.leases.apply(subjects.into_iter().map(Effect::Start).collect());
        world
    }

    fn ids(world: &World, out: &[Key]) -> Vec<String> {
        let mut ids: Vec<String> = out.iter().map(|key| id_of(world, *key)).collect();
        ids.sort();
        ids
    }

    fn silence(world: &World) -> (usize, usize, usize) {
        let Silence { silent, out, running } = world.leases.silence();
        (silent, out, running)
    }

    const ELSEWHERE: Beaten = Beaten::Elsewhere { lease_seconds: 15 };

    #[test]
    fn what_another_server_counts_never_runs_out_here() {
        let mut world = world(&[1, 2], vec![owned("a1", 15, 1), owned("a2", 15, 2)]);
        assert_eq!(silence(&world), (0, 0, 1), "the guard judges by what is counted here");
        let out = world.wait(60.0);
        assert_eq!(ids(&world, &out), ["a1"]);
        assert_eq!(world.leases.beat("search", "a2", None), ELSEWHERE);
        assert_eq!(world.leases.beat("search", "a2", Some(7)), ELSEWHERE, "we may be behind");
        assert_eq!(world.leases.beat("search", "a1", None), Beaten::Renewed { lease_seconds: 15 });
        let counts = [(ServerNumber(1), 1), (ServerNumber(2), 1)].into_iter().collect();
        assert_eq!((world.leases.running(), world.leases.by_server()), (2, counts));
    }

    #[test]
    fn a_server_that_vanishes_leaves_full_leases_and_nobody_is_visited() {
        let leases = (0..2000).map(|number| owned(&format!("a{number}"), 15, 2)).chain([owned("b", 30, 2)]);
        let mut world = world(&[1, 2, 3], leases.chain([owned("c", 15, 3)]).collect());
        world.wait(100.0);
        let visited = world.leases.visited();
        there(&world, &[1, 3]);
        assert!(world.wait(9.0).is_empty());
        assert_eq!((world.leases.visited(), silence(&world)), (visited, (0, 0, 2001)));
        assert!(world.wait(6.0).is_empty());
        assert_eq!(silence(&world), (2000, 0, 2001), "the silent are counted before they are out");
        assert_eq!(world.leases.beat("search", "a7", None), ELSEWHERE, "the others have to hear of it");
        assert_eq!(world.wait(0.2).len(), 2000);
        assert_eq!(silence(&world), (2000, 2000, 2001));
        let out = world.wait(60.0);
        assert_eq!(ids(&world, &out), ["b"]);
    }

    #[test]
    fn a_server_that_comes_back_counts_again() {
        let mut world = world(&[1, 2], vec![owned("a1", 15, 2), owned("a2", 30, 2)]);
        there(&world, &[1]);
        let out = world.wait(20.0);
        assert_eq!(ids(&world, &out), ["a1"]);
        there(&world, &[1, 2]);
        assert!(world.leases.still_out(&out).is_empty());
        assert_eq!(silence(&world), (0, 0, 0));
        assert!(world.wait(60.0).is_empty());
        there(&world, &[1]);
        assert!(world.wait(15.0).is_empty(), "it is a full lease again");
        let out = world.wait(0.2);
        assert_eq!(ids(&world, &out), ["a1"]);
    }

    #[test]
    fn many_of_a_server_run_out_in_pieces() {
        let many = 40_000;
        let mut world = world(&[1, 2], (0..many).map(|number| owned(&format!("a{number}"), 15, 2)).collect());
        there(&world, &[1]);
        let most = (0..200).map(|_| world.wait(0.1).len()).collect::<Vec<_>>();
        assert_eq!(most.iter().sum::<usize>(), many);
        assert!(most.iter().all(|out| *out <= 16_384), "{most:?}");
        assert_eq!(silence(&world), (many, many, many));
    }

    #[test]
    fn a_claim_begins_a_full_lease_where_it_is_made_and_ends_it_elsewhere() {
        let mut world = world(&[1, 2, 3], vec![owned("a1", 15, 2), owned("a2", 15, 1)]);
        world.wait(10.0);
        world.leases.apply(vec![Effect::Start(owned("a1", 15, 1)), Effect::Replace(owned("a2", 15, 3))]);
        assert_eq!(silence(&world), (0, 0, 1));
        assert!(world.wait(15.0).is_empty());
        let out = world.wait(60.0);
        assert_eq!(ids(&world, &out), ["a1"]);
        world.leases.apply(vec![Effect::Replace(owned("a1", 15, 3))]);
        assert_eq!((silence(&world), world.leases.still_out(&out).len()), ((0, 0, 0), 0));
        world.leases.apply(vec![Effect::Replace(owned("a1", 15, 1))]);
        let out = world.wait(15.2);
        assert_eq!(ids(&world, &out), ["a1"], "what comes here without a word begins full");
    }

    #[test]
    fn what_began_while_its_owner_was_gone_is_left_to_it_when_it_is_back() {
        let mut world = world(&[1, 2], Vec::new());
        there(&world, &[1]);
        world.wait(10.0);
        world.leases.apply(vec![Effect::Start(owned("a1", 15, 2)), Effect::Start(owned("a2", 15, 0))]);
        assert!(world.wait(10.0).is_empty());
        there(&world, &[1, 2]);
        let out = world.wait(60.0);
        assert_eq!(ids(&world, &out), ["a2"], "nobody else counts what has no owner");
        there(&world, &[1]);
        assert!(world.wait(15.0).is_empty());
        assert_eq!(world.wait(0.2).len(), 1);
    }

    #[test]
    fn a_restart_gives_what_others_left_a_full_lease_too() {
        let mut world =
            world(&[1, 2, 3], ["a1", "a2", "a3"].into_iter().zip(1..).map(|(id, n)| owned(id, 15, n)).collect());
        there(&world, &[1, 3]);
        world.wait(14.0);
        world.leases.restart();
        assert!(world.wait(15.0).is_empty());
        let out = world.wait(0.2);
        assert_eq!(ids(&world, &out), ["a1", "a2"]);
    }

    #[test]
    fn ends_and_lapses_leave_no_count_behind() {
        let mut world = world(&[1, 2], vec![owned("a1", 15, 2), owned("a2", 15, 2), owned("a3", 15, 2)]);
        let Subject::Lone(lapsed) = owned("a2", 15, 2) else { return };
        world.leases.apply(vec![
            Effect::EndLone("search".into(), "a1".into()),
            Effect::Replace(Subject::Lone(Lone { lapsed: true, ..lapsed })),
            Effect::Replace(owned("a3", 60, 2)),
        ]);
        assert_eq!((world.leases.running(), silence(&world)), (1, (0, 0, 0)));
        there(&world, &[1]);
        assert_eq!(world.wait(60.2).len(), 1);
        assert_eq!((world.leases.running(), silence(&world)), (1, (1, 1, 1)));
    }
}
