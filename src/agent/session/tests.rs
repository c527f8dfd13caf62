//! Sessions against a server that is made of a list, in time that the test winds.

use std::sync::Mutex;

use super::super::outcome::Unreachable;
use super::*;
use crate::model::api::Registration;

/// What the server is asked, and how it answers.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    /// Nobody answers so many calls.
    away: Mutex<u32>,
    /// Instances that are refused.
    refuses: Vec<&'static str>,
    /// What the next beats are refused with.
    beats: Mutex<Vec<Word>>,
    /// When a call was answered.
    answered: Mutex<Vec<Instant>>,
    /// Epoch and number of each set.
    numbers: Mutex<Vec<(String, u64)>>,
    /// An epoch whose sets are refused, because somebody has sent a newer one.
    overtaken: Option<&'static str>,
}

impl Fake {
    fn ask(&self, what: String) -> Result<(), ClientError> {
        self.asked.lock().expect("no panic").push(what);
        let mut away = self.away.lock().expect("no panic");
        match *away {
            0 => {
                self.answered.lock().expect("no panic").push(Instant::now());
                Ok(())
            }
            _ => {
                *away -= 1;
                Err(Unreachable::default().into())
            }
        }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }
}

fn refused(word: Word, status: u16, detail: &str) -> ClientError {
    let (word, detail) = (word.as_str().to_owned(), detail.to_owned());
    Refused { status, word, detail, server: "http://192.0.2.1".into(), repeated: false }.into()
}

fn reply<T>(body: T) -> Reply<T> {
    Reply { body, text: String::new(), server: "http://192.0.2.1".into(), dns: Vec::new() }
}

impl CarrySession for Arc<Fake> {
    async fn send(&self, set: &Set) -> Result<Reply<SessionStored>, ClientError> {
        let name = |member: &Member| format!("{}{}", member.id, if member.out().is_some() { "!" } else { "" });
        self.numbers.lock().expect("no panic").push((set.epoch.clone(), set.sequence));
        self.ask(format!("set {}", set.instances.iter().map(name).collect::<Vec<_>>().join(" ")))?;
        if self.overtaken == Some(&set.epoch) {
            return Err(refused(Word::OutOfSync, 409, "a newer set was taken"));
        }
        if let Some(bad) = set.instances.iter().find(|member| self.refuses.contains(&member.id.as_str())) {
            return Err(refused(Word::NameOwned, 403, &bad.id));
        }
        Ok(reply(SessionStored {
            session: "host-17".to_owned(),
            epoch: set.epoch.clone(),
            hash: "h".to_owned(),
            lease_seconds: 15,
            heartbeat_seconds: 5.0,
            ttl_seconds: 30,
            instances: Vec::new(),
        }))
    }

    async fn beat(&self, _: &SessionBeat) -> Result<Reply<Beaten>, ClientError> {
        self.ask("beat".to_owned())?;
        if let Some(word) = self.beats.lock().expect("no panic").pop() {
            return Err(refused(word, 409, ""));
        }
        Ok(reply(Beaten {
            lease_seconds: 15,
            heartbeat_seconds: 5.0,
            servers: Vec::new(),
            returned: false,
            store: None,
        }))
    }

    async fn end(&self, _: &str) -> Result<(), ClientError> {
        self.ask("end".to_owned())
    }
}

/// A running session.
struct Running {
    fake: Arc<Fake>,
    wanted: watch::Sender<Wanted>,
    state: watch::Receiver<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(fake: Fake) -> Self {
        Self::at(Arc::new(fake))
    }

    fn at(fake: Arc<Fake>) -> Self {
        let (wanted, wishes) = watch::channel(Wanted::default());
        let (states, state) = watch::channel(State::default());
        let identity = Identity { session: "host-17".into(), epoch: "e".into(), lease_seconds: 15 };
        let carrier = fake.clone();
        let task = tokio::spawn(async move { run(&carrier, identity, wishes, states).await });
        Self { fake, wanted, state, task }
    }

    /// Wants these; an exclamation mark puts one out.
    fn want(&self, ids: &[&str]) {
        let member = |text: &&str| Member {
            service: "search".into(),
            id: text.trim_end_matches('!').into(),
            registration: Registration {
                port: 80,
                out: text.ends_with('!').then(|| "why".to_owned()),
                ..Registration::default()
            },
        };
        self.wanted.send_modify(|wanted| wanted.set = Some(ids.iter().map(member).collect()));
    }

    /// Lets time pass; what was asked meanwhile.
    async fn pass(&self, seconds: f64) -> Vec<String> {
        sleep(Duration::from_secs_f64(seconds)).await;
        self.fake.asked()
    }

    fn refused(&self) -> Vec<String> {
        self.state.borrow().refused.keys().map(|key| key.id.clone()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_is_sent_once_and_then_beaten_for() {
    let running = Running::start(Fake::default());
    assert!(running.pass(60.0).await.is_empty(), "nothing is known yet");
    running.want(&["a", "b"]);
    assert_eq!(running.pass(11.0).await, ["set a b", "beat", "beat"]);
    running.want(&["a", "b!"]);
    assert_eq!(running.pass(1.0).await, ["set a b!"]);
    running.want(&[]);
    assert_eq!(running.pass(60.0).await, ["set "], "an empty session does not beat");
    running.wanted.send_modify(|wanted| wanted.end = true);
    running.task.await.expect("it ends");
    assert!(running.fake.asked().is_empty(), "and has nothing to take out");
}

#[tokio::test(start_paused = true)]
async fn each_set_has_a_greater_number_than_the_one_before_it() {
    let running = Running::start(Fake { refuses: vec!["c"], ..Fake::default() });
    for ids in [&["a"][..], &["a", "b"], &["a", "b", "c", "d"]] {
        running.want(ids);
        running.pass(1.0).await;
    }
    *running.fake.away.lock().expect("no panic") = 3;
    running.want(&["b"]);
    running.pass(10.0).await;
    let numbers = running.fake.numbers.lock().expect("no panic").clone();
    assert!(numbers.len() > 6 && numbers.is_sorted_by(|(_, one), (_, next)| one < next), "{numbers:?}");
    assert!(numbers.iter().all(|(epoch, _)| epoch == "e"));
}

#[tokio::test(start_paused = true)]
async fn who_is_overtaken_in_his_own_epoch_begins_another_one() {
    let running = Running::start(Fake { overtaken: Some("e"), ..Fake::default() });
    running.want(&["a", "b"]);
    assert_eq!(running.pass(11.0).await, ["set a b", "set a b", "beat", "beat"]);
    let numbers = running.fake.numbers.lock().expect("no panic").clone();
    assert!(numbers[0].0 == "e" && numbers[1].0 != "e", "{numbers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_it_gets_the_set() {
    let running = Running::start(Fake::default());
    running.want(&["a"]);
    running.pass(1.0).await;
    for word in [Word::UnknownSession, Word::OutOfSync] {
        running.fake.beats.lock().expect("no panic").push(word);
        assert_eq!(running.pass(5.0).await, ["beat", "set a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_found_and_nothing_else_is_left_out() {
    let running = Running::start(Fake { refuses: vec!["c", "f"], ..Fake::default() });
    running.want(&["a"]);
    running.pass(1.0).await;
    running.want(&["a", "b", "c", "d", "e", "f", "g", "h"]);
    let asked = running.pass(1.0).await;
    assert!(asked.iter().all(|call| call.starts_with("set a")), "what is there stays: {asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("set a b d e g h"));
    assert_eq!(running.refused(), ["c", "f"]);
    let accepted = running.state.borrow().accepted.clone().expect("a set");
    assert_eq!(accepted.iter().map(|member| member.id.as_str()).collect::<String>(), "abdegh");
    assert!(running.pass(20.0).await.iter().all(|call| call == "beat"), "it is not asked again at each beat");
    assert!(running.pass(20.0).await.iter().any(|call| call.contains('c')), "but later");
    running.want(&["a", "c!"]);
    assert_eq!(running.pass(0.5).await[0], "set a c!", "and at once when it is another one");
}

#[tokio::test(start_paused = true)]
async fn without_a_server_it_tries_for_ever_in_bounds() {
    let running = Running::start(Fake { away: Mutex::new(u32::MAX), ..Fake::default() });
    running.want(&["a"]);
    let hour = running.pass(3600.0).await.len();
    assert!((360..3600).contains(&hour), "{hour} attempts in an hour");
    assert!(running.state.borrow().trouble.is_some());
    *running.fake.away.lock().expect("no panic") = 0;
    let asked = running.pass(11.0).await;
    assert_eq!(asked[0], "set a");
    assert_eq!(running.state.borrow().trouble, None);
}

/// The lease runs out meanwhile: a changed set is tried as often as beats would be.
#[tokio::test(start_paused = true)]
async fn a_changed_set_is_tried_as_often_as_beats() {
    let running = Running::start(Fake::default());
    running.want(&["a"]);
    running.pass(1.0).await;
    *running.fake.away.lock().expect("no panic") = u32::MAX;
    running.want(&["a!"]);
    for _ in 0..100 {
        assert!(!running.pass(5.1).await.is_empty(), "never more than an interval between two attempts");
    }
}

#[tokio::test(start_paused = true)]
async fn two_agents_with_one_name_do_not_fight_at_full_speed() {
    let running = Running::start(Fake::default());
    running.want(&["a"]);
    running.fake.beats.lock().expect("no panic").extend([Word::OutOfSync; 1000]);
    let sets = running.pass(600.0).await.iter().filter(|call| call.starts_with("set")).count();
    assert!(sets < 150, "{sets} sets in ten minutes");
    let trouble = running.state.borrow().trouble.clone().unwrap_or_default();
    assert!(trouble.contains("another agent with this session name"), "{trouble}");
    running.fake.beats.lock().expect("no panic").clear();
    running.pass(QUIET.as_secs_f64() + 10.0).await;
    assert_eq!(running.state.borrow().trouble, None, "it is over");
}

#[tokio::test(start_paused = true)]
async fn it_leaves_within_its_time() {
    for away in [0, 2, u32::MAX] {
        let running = Running::start(Fake::default());
        running.want(&["a"]);
        running.pass(1.0).await;
        *running.fake.away.lock().expect("no panic") = away;
        let began = Instant::now();
        running.wanted.send_modify(|wanted| wanted.end = true);
        running.task.await.expect("it ends");
        assert!(began.elapsed() <= LEAVE_TIME + Duration::from_millis(50), "{:?}", began.elapsed());
        assert!(running.state.borrow().ended);
    }
}

/// The first calls that are answered after everybody was without a server for a minute, as counts of each second.
async fn arrivals(fleet: &[Running]) -> Vec<usize> {
    let fake = &fleet[0].fake;
    *fake.away.lock().expect("no panic") = u32::MAX;
    sleep(Duration::from_secs(60)).await;
    fake.answered.lock().expect("no panic").clear();
    *fake.away.lock().expect("no panic") = 0;
    let began = Instant::now();
    sleep(Duration::from_secs(12)).await;
    let mut seconds = vec![0; 13];
    for at in fake.answered.lock().expect("no panic").iter().take(fleet.len()) {
        seconds[(*at - began).as_secs() as usize] += 1;
    }
    assert_eq!(seconds.iter().sum::<usize>(), fleet.len());
    seconds
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_finds_its_server_comes_spread_out() {
    let fake = Arc::new(Fake { away: Mutex::new(u32::MAX), ..Fake::default() });
    let fleet: Vec<_> = (0..200).map(|_| Running::at(fake.clone())).collect();
    fleet.iter().for_each(|one| one.want(&["a"]));
    // Sets: waits between 0 and 10 s, so about a fifth comes within the first second.
    let seconds = arrivals(&fleet).await;
    assert!(seconds[0] <= 80 && seconds[1] <= 80, "{seconds:?}");
    // Beats: waits between 0 and 5 s, so about a third does.
    let seconds = arrivals(&fleet).await;
    assert!(seconds[0] <= 120 && seconds[1] <= 100, "{seconds:?}");
    assert!(fleet.iter().all(|one| one.state.borrow().trouble.is_none()), "all have been heard");
}
