//! Registrations that were refused lately: what `explain` has to say of an instance that is nowhere.
//!
//! Memory of this server alone, of the last attempt for each service and instance, [`MOST`] of them and an hour at
//! most; nothing is left of it after a restart. It is noted by whoever hears the refusal, not by the writer, so a
//! client that is refused again and again costs the writer nothing more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::{Attempt, Refusal, Word};

/// Attempts that are kept; of one more, the oldest goes.
const MOST: usize = 1000;
/// How long they are kept, as names of services that have left are.
const KEPT: Duration = Duration::from_secs(3600);
/// Octets of a label that are compared; a longer one is in no name.
const LABEL: usize = 255;
/// Octets of the reason.
const DETAIL: usize = 500;

/// One attempt and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was attempted, by whom. Labels are in lower case.
    pub attempt: Attempt,
    /// The word of the refusal.
    pub word: Word,
    /// When; monotonic.
    pub at: Duration,
}

/// All that is kept.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Kept>);

/// By service and instance, with the order in which they came.
#[derive(Debug, Default)]
struct Kept {
    attempts: HashMap<(String, String), (u64, Refused)>,
    order: BTreeMap<u64, (String, String)>,
    next: u64,
}

impl Memory {
    /// Keeps a refusal, if it is one of an attempt to register.
    pub(super) fn note(&self, refusal: &Refusal, now: Duration) {
        let Some(attempt) = refusal.attempt.as_deref() else { return };
        if attempt.service.len() > LABEL || attempt.id.len() > LABEL || !is_verdict(refusal.word) {
            return;
        }
        let cut = attempt.detail.floor_char_boundary(DETAIL);
        let attempt = Attempt {
            service: attempt.service.to_ascii_lowercase(),
            id: attempt.id.to_ascii_lowercase(),
            by: attempt.by.clone(),
            detail: attempt.detail[..cut].to_owned(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(Refused { attempt, word: refusal.word, at: now });
    }

    /// The attempts for instances of a service, the last one first.
    pub(super) fn of(&self, service: &str, now: Duration) -> Vec<Refused> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |refused: &&Refused| refused.attempt.service == service && now.saturating_sub(refused.at) < KEPT;
        let mut found: Vec<Refused> =
            kept.attempts.values().map(|(_, refused)| refused).filter(fresh).cloned().collect();
        found.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.attempt.id.cmp(&b.attempt.id)));
        found
    }
}

impl Kept {
    fn keep(&mut self, refused: Refused) {
        let key = (refused.attempt.service.clone(), refused.attempt.id.clone());
        self.next += 1;
        self.order.insert(self.next, key.clone());
        if let Some((before, _)) = self.attempts.insert(key, (self.next, refused)) {
            self.order.remove(&before);
        }
        while self.attempts.len() > MOST
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.attempts.remove(&oldest);
        }
    }
}

/// Whether a refusal says something of the registration, rather than of the server's state or a client out of step.
fn is_verdict(word: Word) -> bool {
    use Word::{Busy, Internal, NotReady, OldIncarnation, OutOfSync, StoreUnavailable, Unauthorized};
    !matches!(word, Busy | Internal | NotReady | OldIncarnation | OutOfSync | StoreUnavailable | Unauthorized)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(service: &str, id: &str, detail: &str) -> Refusal {
        Refusal::new(Word::AddressRefused, detail).of(service, id)
    }

    fn details(memory: &Memory, service: &str, now: u64) -> Vec<String> {
        memory.of(service, Duration::from_secs(now)).into_iter().map(|refused| refused.attempt.detail).collect()
    }

    #[test]
    fn the_last_attempt_for_each_instance_is_kept_for_an_hour() {
        let memory = Memory::default();
        for (second, id, detail) in [(1, "a1", "first"), (2, "A2", "other"), (3, "a1", "second")] {
            memory.note(&refusal("Search", id, detail), Duration::from_secs(second));
        }
        assert_eq!(details(&memory, "search", 4), ["second", "other"]);
        assert_eq!(details(&memory, "search", 3602), ["second"]);
        assert!(details(&memory, "index", 4).is_empty());
    }

    #[test]
    fn what_says_nothing_of_the_registration_is_not_kept_and_the_rest_is_bounded() {
        let memory = Memory::default();
        memory.note(&Refusal::new(Word::Busy, "later").of("search", "a1"), Duration::ZERO);
        memory.note(&Refusal::new(Word::BadLabel, "no instance"), Duration::ZERO);
        memory.note(&refusal(&"x".repeat(300), "a1", "no name has it"), Duration::ZERO);
        assert!(memory.0.lock().expect("lock").attempts.is_empty());
        (0..3000).for_each(|id| memory.note(&refusal("search", &format!("a{id}"), &"é".repeat(400)), Duration::ZERO));
        let kept = memory.0.lock().expect("lock");
        assert_eq!((kept.attempts.len(), kept.order.len()), (MOST, MOST));
        assert!(kept.attempts.contains_key(&("search".into(), "a2999".into())));
        assert!(kept.attempts.values().all(|(_, refused)| refused.attempt.detail.len() <= DETAIL));
    }
}
