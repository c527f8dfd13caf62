use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::time::Instant;

use super::*;

/// A transport that gives the scripted outcomes in order and notes when it was asked; the last outcome repeats.
struct Script {
    outcomes: Mutex<VecDeque<Outcome>>,
    asked: Mutex<Vec<(Duration, String)>>,
    start: Instant,
}

#[derive(Clone)]
enum Outcome {
    Done,
    Returned,
    Down,
    Silent,
    Refused(u16, &'static str),
}
use Outcome::{Done, Down, Returned, Silent};

const HEARTBEAT_SECONDS: f64 = 5.0;

impl Script {
    fn new(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        Self { outcomes: Mutex::new(outcomes.into_iter().collect()), asked: Mutex::default(), start: Instant::now() }
    }

    async fn next(&self, call: String) -> Result<bool, ClientError> {
        self.asked.lock().expect("lock").push((self.start.elapsed(), call));
        let outcome = {
            let mut outcomes = self.outcomes.lock().expect("lock");
            if outcomes.len() > 1 { outcomes.pop_front() } else { outcomes.front().cloned() }
        };
        match outcome.expect("a script is never empty") {
            Done => Ok(false),
            Returned => Ok(true),
            Down => Err(down().into()),
            Silent => std::future::pending().await,
            Outcome::Refused(status, word) => Err(refused(status, word).into()),
        }
    }

    fn calls(&self) -> Vec<String> {
        self.asked.lock().expect("lock").iter().map(|(_, call)| call.clone()).collect()
    }

    fn times(&self) -> Vec<Duration> {
        self.asked.lock().expect("lock").iter().map(|(time, _)| *time).collect()
    }
}

fn down() -> Unreachable {
    Unreachable { servers: vec![("http://192.0.2.1:8053".into(), "connection refused".into())] }
}

fn refused(status: u16, word: &str) -> Refused {
    let (detail, server) = ("no".to_owned(), "http://192.0.2.1:8053".to_owned());
    Refused { status, word: word.to_owned(), detail, server, repeated: false }
}

impl Transport for Script {
    async fn register(&self) -> Result<Enrolled, ClientError> {
        self.next("register".into()).await?;
        let incarnation = self.calls().iter().filter(|call| *call == "register").count() as u64;
        let registered = Registered {
            service: "search".into(),
            id: "a1".into(),
            incarnation,
            revision: crate::model::Revision(incarnation),
            lease_seconds: 15,
            heartbeat_seconds: HEARTBEAT_SECONDS,
            ttl_seconds: 30,
            names: Vec::new(),
        };
        Ok(Enrolled { registered, server: "http://192.0.2.1:8053".into(), dns: Vec::new() })
    }

    async fn beat(&self, incarnation: u64) -> Result<Beaten, ClientError> {
        let returned = self.next(format!("beat {incarnation}")).await?;
        Ok(Beaten {
            lease_seconds: 15,
            heartbeat_seconds: HEARTBEAT_SECONDS,
            servers: Vec::new(),
            returned,
            store: None,
        })
    }

    async fn leave(&self, incarnation: u64) -> Result<(), ClientError> {
        self.next(format!("leave {incarnation}")).await.map(|_| ())
    }
}

/// Runs the script and stops it after `seconds`; returns how it ended and what was reported.
async fn live(script: &Script, seconds: f64) -> (Result<(), Lost>, Vec<Event>) {
    let stop = CancellationToken::new();
    let mut events = Vec::new();
    let timer = async {
        sleep(Duration::from_secs_f64(seconds)).await;
        stop.cancel();
        std::future::pending::<()>().await
    };
    let end = tokio::select! {
        end = run(script, &stop, |event| events.push(event)) => end,
        () = timer => unreachable!("the timer never ends"),
    };
    (end, events)
}

#[tokio::test(start_paused = true)]
async fn registers_beats_when_told_and_leaves() {
    let script = Script::new([Done]);
    let (end, events) = live(&script, 12.0).await;
    assert_eq!(end, Ok(()));
    assert_eq!(script.calls(), ["register", "beat 1", "beat 1", "leave 1"]);
    assert_eq!(script.times(), [0, 5, 10, 12].map(Duration::from_secs));
    assert!(matches!(events[..], [Event::Registered { again: false, .. }, Event::Left]), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn registering_is_retried_for_ever_with_bounded_random_waits() {
    let script = Script::new(std::iter::repeat_n(Down, 60).chain([Done]));
    let (end, events) = live(&script, 3600.0).await;
    assert_eq!(end, Ok(()));
    let times = script.times();
    let waits: Vec<_> = times[..61].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(waits.iter().all(|wait| *wait <= RETRY_CAP + Duration::from_millis(1)), "{waits:?}");
    assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 30, "waits are in step: {waits:?}");
    assert_eq!(events[..2], [Event::Unreachable(down()), Event::Reachable]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_instance_registers_again() {
    let script = Script::new([Done, Outcome::Refused(404, "unknown-instance"), Done]);
    let (end, events) = live(&script, 11.0).await;
    assert_eq!(end, Ok(()));
    assert_eq!(script.calls(), ["register", "beat 1", "register", "beat 2", "leave 2"]);
    assert_eq!(events[1], Event::Forgotten);
    assert!(matches!(events[2], Event::Registered { again: true, .. }));
}

#[tokio::test(start_paused = true)]
async fn an_old_incarnation_gives_way() {
    let script = Script::new([Done, Outcome::Refused(409, "old-incarnation")]);
    let (end, _) = live(&script, 60.0).await;
    let lost = end.expect_err("taken over");
    assert!(lost.to_string().contains("another process has registered this id"), "{lost}");
    assert_eq!(script.calls(), ["register", "beat 1"], "it neither beats nor deregisters what is not its own");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_it() {
    let script = Script::new([Outcome::Refused(409, "name-owned")]);
    let (end, _) = live(&script, 60.0).await;
    assert_eq!(end, Err(Lost::Refused(refused(409, "name-owned"))));
    assert_eq!(script.calls(), ["register"]);
}

#[tokio::test(start_paused = true)]
async fn beats_go_on_through_an_outage_no_slower_than_told() {
    let script = Script::new([Done].into_iter().chain(std::iter::repeat_n(Down, 40)).chain([Returned, Done]));
    let (end, events) = live(&script, 400.0).await;
    assert_eq!(end, Ok(()));
    let times = script.times();
    let slack = Duration::from_millis(1);
    let interval = Duration::from_secs_f64(HEARTBEAT_SECONDS) + slack;
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= interval), "{times:?}");
    let reported = [Event::Unreachable(down()), Event::Reachable, Event::Returned, Event::Left];
    assert_eq!(events[1..], reported, "one line per outage");
}

#[tokio::test(start_paused = true)]
async fn leaving_is_tried_again_and_bounded() {
    let script = Script::new([Done, Down]);
    let (end, events) = live(&script, 1.0).await;
    assert_eq!(end, Ok(()));
    assert!(script.calls().len() > 4, "{:?}", script.calls());
    assert!(script.start.elapsed() <= Duration::from_secs(1) + LEAVE_TIME + Duration::from_millis(5));
    assert!(matches!(events.last(), Some(Event::NotLeft(_))), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_does_not_keep_it_from_stopping() {
    for outcomes in [vec![Silent], vec![Done, Silent]] {
        let script = Script::new(outcomes);
        let (end, _) = live(&script, 7.0).await;
        assert_eq!(end, Ok(()));
        assert!(script.start.elapsed() <= Duration::from_secs(7) + LEAVE_TIME + Duration::from_millis(5));
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_before_anything_was_registered_asks_nothing_more() {
    let script = Script::new([Down]);
    let (end, events) = live(&script, 2.0).await;
    assert_eq!(end, Ok(()));
    assert!(script.calls().iter().all(|call| call == "register"));
    assert_eq!(events, [Event::Unreachable(down())]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_leave_is_told_unless_it_is_gone() {
    for (word, left) in [("unknown-instance", true), ("old-incarnation", true), ("unauthorized", false)] {
        let script = Script::new([Done, Outcome::Refused(401, word)]);
        let (_, events) = live(&script, 1.0).await;
        assert_eq!(events.last() == Some(&Event::Left), left, "{word}: {events:?}");
    }
}

#[test]
fn nonsense_heartbeats_are_bounded() {
    assert_eq!(heartbeat(f64::NAN), Duration::from_secs(3600));
    assert_eq!(heartbeat(-1.0), Duration::from_millis(50));
    assert_eq!(heartbeat(1e300), Duration::from_secs(3600));
    assert_eq!(heartbeat(4.9), Duration::from_millis(4900));
}
