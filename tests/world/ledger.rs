//! What should be answered of each instance at each moment, and what was: the ledger.
//!
//! What it holds: for each instance the states that it may be seen in, each with the time from which and until which. A
//! change adds a state and gives the one before a deadline; between both may be seen. An answer is judged by when its
//! query was sent and when it came: one of the states must have been allowed at some moment between. All deadlines are
//! promises of the product. Only what was measured is added to them: by how much this machine was late meanwhile, and,
//! while the server was stopped or down (`pause`, `resume`), the time that it was.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::pulse::Pulse;

/// Service and id.
pub(crate) type Key = (String, String);

/// What DNS says of an instance that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) port: u16,
    pub(crate) weight: u16,
    /// In its TXT record, as `v=7`.
    pub(crate) version: u32,
}

/// What one answer says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Out,
    Srv { port: u16, weight: u16 },
    Version(u32),
}

impl Seen {
    fn fits(self, state: Option<Shown>) -> bool {
        match (self, state) {
            (Self::Out, state) => state.is_none(),
            (Self::Srv { port, weight }, Some(shown)) => (port, weight) == (shown.port, shown.weight),
            (Self::Version(version), Some(shown)) => version == shown.version,
            (_, None) => false,
        }
    }
}

/// Why something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    Register,
    Update,
    Leave,
    Check,
    Order,
    ProcessKilled,
    CommandKilled,
    HostDied,
    HostStalled,
    Return,
}

/// A change that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) cause: Cause,
    /// What is to be seen afterwards; `None` if it is to be in no answer.
    pub(crate) to: Option<Shown>,
    /// How long what was before may still be seen.
    pub(crate) within: Duration,
    /// How long it must be.
    pub(crate) not_before: Duration,
}

/// Whom an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Through {
    Server,
    /// A resolver, whose answers may be as old as the TTL, in whole seconds.
    Resolver,
}

/// One question and its answer in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) sent: Instant,
    pub(crate) received: Instant,
    pub(crate) through: Through,
}

#[derive(Debug, Clone, Copy)]
struct State {
    shown: Option<Shown>,
    cause: Cause,
    began: Instant,
    from: Instant,
    until: Option<Instant>,
    confirmed: bool,
}

/// An answer that cannot be right.
#[derive(Debug, Clone)]
pub(crate) struct Contradiction {
    pub(crate) key: Key,
    through: Through,
    kind: &'static str,
    seen: Seen,
    states: Vec<State>,
    first: Instant,
    last: Instant,
    times: u32,
}

/// What the way to the server was when a change was made and seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Network {
    Fine,
    Lossy,
    /// The server was stopped or killed meanwhile.
    Away,
}

/// How long changes of one kind took until they were seen.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Took {
    pub(crate) count: u32,
    pub(crate) worst: Duration,
    pub(crate) sum: Duration,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    lines: BTreeMap<Key, Vec<State>>,
    pulse: Pulse,
    began: Instant,
    ttl: Duration,
    paused: Option<Instant>,
    resumed: Instant,
    /// Whether packets are being lost.
    pub(crate) lossy: bool,
    pub(crate) took: BTreeMap<(Cause, Network), Took>,
    pub(crate) contradictions: Vec<Contradiction>,
    pub(crate) judged: u64,
}

impl Ledger {
    pub(crate) fn new(pulse: Pulse, ttl: Duration) -> Self {
        Self {
            lines: BTreeMap::new(),
            pulse,
            began: Instant::now(),
            ttl,
            paused: None,
            resumed: Instant::now(),
            lossy: false,
            took: BTreeMap::new(),
            contradictions: Vec::new(),
            judged: 0,
        }
    }

    /// Notes what is about to be done.
    pub(crate) fn change(&mut self, key: &Key, change: Change) {
        let now = Instant::now();
        let nowhere = State { shown: None, cause: change.cause, began: now, from: now, until: None, confirmed: true };
        let from_ever = State { from: self.began, ..nowhere };
        let states = self.lines.entry(key.clone()).or_insert_with(|| vec![from_ever]);
        states.retain(|state| state.until.is_none_or(|until| until + Duration::from_secs(60) > now));
        if let Some(last) = states.last_mut() {
            last.until = Some(now + change.within);
        }
        let from = now + change.not_before;
        states.push(State { shown: change.to, cause: change.cause, from, confirmed: false, ..nowhere });
    }

    /// What was ordered is done: what was before may not be seen any more.
    pub(crate) fn done(&mut self, key: &Key) {
        let now = Instant::now();
        let states = self.lines.get_mut(key).map(Vec::as_mut_slice).unwrap_or_default();
        if let [.., before, _] = states {
            before.until = before.until.map(|until| until.min(now));
        }
    }

    /// The server is about to be stopped.
    pub(crate) fn pause(&mut self) {
        self.paused = Some(Instant::now());
    }

    /// The server works again: what was due meanwhile is due later by that time, and by what it takes to be heard.
    pub(crate) fn resume(&mut self, recovery: Duration) {
        let Some(began) = self.paused.take() else { return };
        let later = began.elapsed() + recovery;
        self.resumed = Instant::now();
        let states = self.lines.values_mut().flatten().filter_map(|state| state.until.as_mut());
        states.filter(|until| **until >= began).for_each(|until| *until += later);
    }

    /// A server that was started again gives every lease its whole time.
    pub(crate) fn renew(&mut self, lease: Duration) {
        let now = Instant::now();
        for states in self.lines.values_mut() {
            if states.last().is_some_and(|last| matches!(last.cause, Cause::HostDied | Cause::HostStalled)) {
                Self::extend(states, now, now + lease);
            }
        }
    }

    /// Nobody is there who would do what is due of this instance: it stays as it is until its lease runs out.
    pub(crate) fn nobody_acts(&mut self, key: &Key, lease: Duration) {
        let now = Instant::now();
        self.lines.get_mut(key).into_iter().for_each(|states| Self::extend(states, now, now + lease));
    }

    fn extend(states: &mut [State], now: Instant, to: Instant) {
        let due = states.iter_mut().filter_map(|state| state.until.as_mut()).filter(|until| **until >= now);
        due.for_each(|until| *until = to.max(*until));
    }

    /// Those whose ids begin so do later what they were about to do; what is due because somebody died is not theirs to
    /// do.
    pub(crate) fn delay(&mut self, ids: &str, by: Duration) {
        let now = Instant::now();
        for (_, states) in self.lines.iter_mut().filter(|(key, _)| key.1.starts_with(ids)) {
            let silent = states.last().is_some_and(|last| matches!(last.cause, Cause::HostDied | Cause::HostStalled));
            let due = states.iter_mut().filter_map(|state| state.until.as_mut()).filter(|until| **until >= now);
            due.filter(|_| !silent).for_each(|until| *until += by);
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Judges what an answer says of all instances of a service that are known, and of others.
    pub(crate) fn judge_service(&mut self, asked: Asked, service: &str, answer: &BTreeMap<String, Seen>) {
        let from = (service.to_owned(), String::new());
        let known: Vec<Key> =
            self.lines.range(from..).map(|(key, _)| key.clone()).take_while(|key| key.0 == service).collect();
        for key in &known {
            self.judge(asked, key, answer.get(&key.1).copied().unwrap_or(Seen::Out));
        }
        for (id, seen) in answer {
            let key = (service.to_owned(), id.clone());
            if !self.lines.contains_key(&key) {
                self.contradict(asked, &key, *seen, Vec::new());
            }
        }
    }

    pub(crate) fn judge(&mut self, asked: Asked, key: &Key, seen: Seen) {
        self.judged += 1;
        let Some(states) = self.lines.get(key) else { return };
        let oldest = states.first().map_or(asked.sent, |state| state.began);
        let late = self.pulse.late(oldest.max(asked.sent - Duration::from_secs(60)), asked.received);
        let late =
            late + if asked.through == Through::Resolver { self.ttl + Duration::from_secs(1) } else { Duration::ZERO };
        let paused = self.paused;
        let pending = |until: Instant| paused.is_some_and(|since| until >= since);
        let allowed = |state: &&State| {
            let over = state.until.is_some_and(|until| until + late < asked.sent && !pending(until));
            seen.fits(state.shown) && state.from <= asked.received && !over
        };
        if !states.iter().any(|state| allowed(&state)) {
            return self.contradict(asked, key, seen, states.clone());
        }
        if asked.through == Through::Server {
            self.confirm(asked, key, seen);
        }
    }

    /// Measures how long the last change took, when this is the first answer that shows it.
    fn confirm(&mut self, asked: Asked, key: &Key, seen: Seen) {
        let Some([.., before, last]) = self.lines.get_mut(key).map(Vec::as_mut_slice) else { return };
        if last.confirmed || asked.received < last.began || !seen.fits(last.shown) || seen.fits(before.shown) {
            return;
        }
        last.confirmed = true;
        if matches!(seen, Seen::Version(_)) {
            return; // each is asked for only now and then
        }
        let network = match self.lossy {
            _ if last.began < self.resumed && self.resumed < asked.received => Network::Away,
            true => Network::Lossy,
            false => Network::Fine,
        };
        let took = self.took.entry((last.cause, network)).or_default();
        let time = asked.received - last.began;
        *took = Took { count: took.count + 1, worst: took.worst.max(time), sum: took.sum + time };
    }

    fn contradict(&mut self, asked: Asked, key: &Key, seen: Seen, states: Vec<State>) {
        let began = |states: &[State]| states.last().map(|state| state.began);
        let same = |old: &&mut Contradiction| {
            old.key == *key && old.through == asked.through && began(&old.states) == began(&states)
        };
        if let Some(old) = self.contradictions.iter_mut().find(same) {
            old.last = asked.sent;
            old.times += 1;
            return;
        }
        let wanted = states.last().and_then(|state| state.shown);
        let kind = match (seen, wanted) {
            (Seen::Out, _) => "false lapse",
            (_, None) => "ghost",
            _ => "old facts",
        };
        let key = key.clone();
        let (first, last) = (asked.sent, asked.sent);
        self.contradictions.push(Contradiction {
            key,
            through: asked.through,
            kind,
            seen,
            states,
            first,
            last,
            times: 1,
        });
    }

    /// Who should be answered of a service now.
    pub(crate) fn serving(&self, service: &str) -> BTreeMap<String, Shown> {
        let of_service = self.lines.range((service.to_owned(), String::new())..);
        let of_service = of_service.take_while(|(key, _)| key.0 == service);
        of_service.filter_map(|(key, states)| Some((key.1.clone(), states.last()?.shown?))).collect()
    }

    /// All that should be answered now.
    pub(crate) fn all_serving(&self) -> Vec<Key> {
        let shown = |states: &Vec<State>| states.last().is_some_and(|state| state.shown.is_some());
        self.lines.iter().filter(|(_, states)| shown(states)).map(|(key, _)| key.clone()).collect()
    }

    /// How long it takes until no change is pending.
    pub(crate) fn until_settled(&self) -> Duration {
        let last = self.lines.values().flatten().filter_map(|state| state.until).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(Instant::now()))
    }

    /// How long it takes until no change of this instance is pending.
    pub(crate) fn until_settled_of(&self, key: &Key) -> Duration {
        let last = self.lines.get(key).into_iter().flatten().filter_map(|state| state.until).max();
        last.map_or(Duration::ZERO, |last| last.saturating_duration_since(Instant::now()))
    }

    pub(crate) fn worst_lateness(&self) -> Duration {
        self.pulse.worst()
    }

    /// In a few words.
    pub(crate) fn summary(&self) -> String {
        let (serving, wrong) = (self.all_serving().len(), self.contradictions.len());
        format!("{serving} instances to be served, {} judgements, {wrong} contradictions", self.judged)
    }

    /// A contradiction as people read it, in seconds since the ledger began.
    pub(crate) fn tell(&self, contradiction: &Contradiction) -> String {
        let at = |time: Instant| format!("{:.2}", time.saturating_duration_since(self.began).as_secs_f64());
        let Contradiction { key, through, kind, seen, states, first, last, times } = contradiction;
        let mut text = format!(
            "{kind}: {}/{} seen as {seen:?} {times} times, {} s to {} s, by the {through:?}; allowed were:",
            key.0,
            key.1,
            at(*first),
            at(*last)
        );
        for State { shown, cause, began, from, until, .. } in states {
            let until = until.map_or("now on".to_owned(), at);
            text += &format!("\n    {cause:?} at {}: {shown:?} from {} until {until}", at(*began), at(*from));
        }
        text
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.sum.checked_div(self.count).unwrap_or_default();
        write!(f, "{:>5} {:>9.2} s {:>9.2} s", self.count, mean.as_secs_f64(), self.worst.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_millis(60);
    const SHOWN: Shown = Shown { port: 80, weight: 100, version: 1 };
    const SRV: Seen = Seen::Srv { port: 80, weight: 100 };

    struct Bench {
        ledger: Ledger,
        key: Key,
    }

    impl Bench {
        fn new() -> Self {
            let ledger = Ledger::new(Pulse::default(), Duration::ZERO);
            Self { ledger, key: ("web".to_owned(), "a1".to_owned()) }
        }

        fn change(&mut self, to: Option<Shown>, not_before: Duration) {
            let change = Change { cause: Cause::Update, to, within: WITHIN, not_before };
            self.ledger.change(&self.key.clone(), change);
        }

        /// What is found wrong when a query of this moment shows this.
        fn see(&mut self, seen: Seen) -> Option<&'static str> {
            let (sent, received) = (Instant::now(), Instant::now());
            let answer = match seen {
                Seen::Out => BTreeMap::new(),
                seen => [(self.key.1.clone(), seen)].into(),
            };
            let asked = Asked { sent, received, through: Through::Server };
            self.ledger.contradictions.clear();
            self.ledger.judge_service(asked, "web", &answer);
            self.ledger.contradictions.first().map(|contradiction| contradiction.kind)
        }
    }

    #[test]
    fn between_a_change_and_its_deadline_both_may_be_seen_and_then_one() {
        let mut bench = Bench::new();
        assert_eq!(bench.see(SRV), Some("ghost"), "nobody has registered it");
        bench.change(Some(SHOWN), Duration::ZERO);
        assert_eq!((bench.see(Seen::Out), bench.see(SRV)), (None, None));
        std::thread::sleep(2 * WITHIN);
        assert_eq!((bench.see(Seen::Out), bench.see(SRV)), (Some("false lapse"), None));
        assert_eq!(bench.see(Seen::Srv { port: 81, weight: 100 }), Some("old facts"));
        bench.change(None, Duration::from_millis(30));
        assert_eq!((bench.see(Seen::Out), bench.see(SRV)), (Some("false lapse"), None), "it is too early");
        std::thread::sleep(2 * WITHIN);
        assert_eq!((bench.see(Seen::Out), bench.see(SRV)), (None, Some("ghost")));
    }

    #[test]
    fn what_is_due_while_the_server_is_away_is_due_later() {
        let mut bench = Bench::new();
        bench.change(Some(SHOWN), Duration::ZERO);
        bench.ledger.pause();
        std::thread::sleep(2 * WITHIN);
        assert_eq!(bench.see(Seen::Out), None);
        bench.ledger.resume(Duration::ZERO);
        assert_eq!(bench.see(Seen::Out), None);
        std::thread::sleep(2 * WITHIN);
        assert_eq!(bench.see(Seen::Out), Some("false lapse"));
    }

    #[test]
    fn what_is_acknowledged_is_due_at_once() {
        let mut bench = Bench::new();
        bench.change(Some(SHOWN), Duration::ZERO);
        bench.ledger.done(&bench.key.clone());
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(bench.see(Seen::Out), Some("false lapse"));
    }
}
