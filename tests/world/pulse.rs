//! How late this machine is: a thread that wants to wake every 10 ms writes down when it woke late. What others could
//! not do meanwhile either is no fault of theirs.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(10);
/// Lateness that is not worth noting.
const USUAL: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Default)]
pub(crate) struct Pulse(Arc<Mutex<Vec<(Instant, Duration)>>>);

impl Pulse {
    /// Begins to measure, until the process ends.
    pub(crate) fn start() -> Self {
        let pulse = Self::default();
        let notes = pulse.0.clone();
        thread::spawn(move || {
            loop {
                let began = Instant::now();
                thread::sleep(BEAT);
                let late = began.elapsed().saturating_sub(BEAT);
                if late > USUAL {
                    notes.lock().expect("nobody panics with it").push((Instant::now(), late));
                }
            }
        });
        pulse
    }

    /// By how much the machine was late in this time, all told.
    pub(crate) fn late(&self, from: Instant, to: Instant) -> Duration {
        let notes = self.0.lock().expect("nobody panics with it");
        let (first, rest) = (notes.partition_point(|(time, _)| *time < from), |at: usize| notes[at].1);
        (first..notes.len()).take_while(|&at| notes[at].0 <= to + BEAT).map(rest).sum()
    }

    /// The longest lateness so far.
    pub(crate) fn worst(&self) -> Duration {
        self.0.lock().expect("nobody panics with it").iter().map(|(_, late)| *late).max().unwrap_or_default()
    }
}
