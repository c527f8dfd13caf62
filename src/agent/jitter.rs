//! Random waits, so that a fleet that lost its server together does not come back together.

use std::time::Duration;

/// The shortest wait: a failure that comes back at once must not become a busy loop.
pub const FLOOR: Duration = Duration::from_millis(20);

/// Full jitter: anything from zero (rather [`FLOOR`]) to `base` doubled `attempt` times, but at most `cap`.
pub fn full_jitter(attempt: u32, base: Duration, cap: Duration) -> Duration {
    let ceiling = base.saturating_mul(2u32.saturating_pow(attempt)).min(cap);
    ceiling.mul_f64(random_fraction()).max(FLOOR)
}

/// The time, a tenth more or less: what began together does not stay together.
pub fn about(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.2 * random_fraction())
}

/// Evenly distributed from 0 up to, not including, 1.
fn random_fraction() -> f64 {
    // Without randomness a client still has to wait: half of the ceiling is the mean of what it would have been.
    getrandom::u32().map_or(0.5, |number| f64::from(number) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_never_beyond() {
        let (base, cap) = (Duration::from_millis(250), Duration::from_secs(5));
        for attempt in [0, 1, 4, 31, 32, u32::MAX] {
            let ceiling = base.saturating_mul(2u32.saturating_pow(attempt)).min(cap);
            for _ in 0..100 {
                let wait = full_jitter(attempt, base, cap);
                assert!(wait >= FLOOR && wait <= ceiling, "{attempt}: {wait:?}");
            }
        }
    }

    #[test]
    fn waits_differ() {
        let waits: std::collections::BTreeSet<_> =
            (0..50).map(|_| full_jitter(0, Duration::from_secs(5), Duration::from_secs(5))).collect();
        assert!(waits.len() > 40, "{waits:?}");
    }
}
