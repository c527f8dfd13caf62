//! Accounts in a fixed table of atomic numbers.
//!
//! # Shape
//!
//! An account is two words: whose it is, and its state. The state is a moment in ticks (56 bits): when the account will
//! have been quiet long enough to owe nothing, if nothing more is charged. Each answer moves that moment on by the time
//! that one answer takes at the allowed rate, so one number holds the balance and when it was last looked at. An
//! account may run one second ahead, which is the burst that is always allowed; beyond that it is in debt, and the debt
//! ends at the window. The last 8 bits count the answers that were suppressed since the last one that was not.
//!
//! Four accounts are one bucket and one cache line. A new account takes the place of the one in its bucket that owes
//! least: a flooded account cannot be pushed out by quiet ones.
//!
//! # Who may change it
//!
//! Every worker, without lock or order. Two that meet on one account try again once and then let the answer count for
//! nothing; two that take the same place at the same time leave one account with the other's state. Both make a limit a
//! little less exact for an instant, and neither can make it wrong for long.

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Ticks of a second: the unit of moments and costs.
pub(super) const SECOND: u64 = 16_000_000;

const WAYS: usize = 4;
const COUNT_BITS: u32 = 8;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// Where counting begins again: a multiple of nearly every `slip`.
const SUPPRESSED: u64 = 240;

/// A price list: what one answer costs, and how deep a debt can get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tariff {
    /// Ticks.
    pub(super) cost: u64,
    /// Ticks.
    pub(super) window: u64,
}

/// Answers of an account that were suppressed in a row, this one included; 0 if it is not.
pub(super) type Suppressed = u64;

#[derive(Debug, Default)]
struct Account {
    holder: AtomicU64,
    state: AtomicU64,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Bucket([Account; WAYS]);

/// A table of accounts.
#[derive(Debug)]
pub(super) struct Accounts {
    buckets: Box<[Bucket]>,
}

impl Accounts {
    /// Room for about so many accounts.
    pub(super) fn new(accounts: usize) -> Self {
        let buckets = (accounts / WAYS).max(1).next_power_of_two();
        Self { buckets: (0..buckets).map(|_| Bucket::default()).collect() }
    }

    /// Charges an account for `answers` at the moment `now`.
    pub(super) fn charge(&self, hash: u64, holder: u64, tariff: Tariff, now: u64, answers: u64) -> Suppressed {
        let account = self.take(hash, holder);
        let mut state = account.state.load(Relaxed);
        let mut suppressed = 0;
        for _ in 0..2 {
            let quiet = (state >> COUNT_BITS).max(now) + tariff.cost * answers;
            let is_over = quiet > now + SECOND;
            suppressed = if is_over { (state & COUNT) % SUPPRESSED + 1 } else { 0 };
            let next = quiet.min(now + SECOND + tariff.window) << COUNT_BITS | suppressed;
            match account.state.compare_exchange_weak(state, next, Relaxed, Relaxed) {
                Ok(_) => break,
                Err(found) => state = found,
            }
        }
        suppressed
    }

    /// How far an account runs ahead of `now`, in ticks: more than [`SECOND`] is a debt.
    pub(super) fn ahead(&self, hash: u64, holder: u64, now: u64) -> u64 {
        let mut accounts = self.bucket(hash).0.iter();
        let found = accounts.find(|account| account.holder.load(Relaxed) == holder);
        found.map_or(0, |account| (account.state.load(Relaxed) >> COUNT_BITS).saturating_sub(now))
    }

    /// Reads the cache line of an account, and nothing of what stands there: reads that do not depend on each other are
    /// waited for together.
    pub(super) fn touch(&self, hash: u64) {
        black_box(self.bucket(hash).0[0].holder.load(Relaxed));
    }

    /// Every account that runs more than `least` ticks ahead of `now`: its holder, and how far.
    pub(super) fn busy(&self, now: u64, least: u64) -> impl Iterator<Item = (u64, u64)> {
        let all = self.buckets.iter().flat_map(|bucket| &bucket.0);
        all.filter_map(move |account| {
            let ahead = (account.state.load(Relaxed) >> COUNT_BITS).saturating_sub(now);
            (ahead > least).then(|| (account.holder.load(Relaxed), ahead))
        })
    }

    fn bucket(&self, hash: u64) -> &Bucket {
        &self.buckets[hash as usize & (self.buckets.len() - 1)]
    }

    /// The account of a holder, on the place of the one that owes least if it has none.
    fn take(&self, hash: u64, holder: u64) -> &Account {
        let bucket = self.bucket(hash);
        if let Some(account) = bucket.0.iter().find(|account| account.holder.load(Relaxed) == holder) {
            return account;
        }
        let least = bucket.0.iter().min_by_key(|account| account.state.load(Relaxed));
        let account = least.expect("a bucket has accounts");
        account.holder.store(holder, Relaxed);
        account.state.store(0, Relaxed);
        account
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARIFF: Tariff = Tariff { cost: SECOND / 10, window: 5 * SECOND };
    const NOW: u64 = 100 * SECOND;

    fn charge(accounts: &Accounts, holder: u64, now: u64) -> bool {
        accounts.charge(7, holder, TARIFF, now, 1) == 0
    }

    #[test]
    fn a_second_of_answers_at_once_and_then_the_rate() {
        let accounts = Accounts::new(64);
        assert_eq!((0..30).filter(|_| charge(&accounts, 1, NOW)).count(), 10);
        assert!(charge(&accounts, 2, NOW), "others are not concerned");
        let fresh = Accounts::new(64);
        let even = |n: u64| charge(&fresh, 1, NOW + n * TARIFF.cost);
        assert!((0..1000).all(even), "the rate itself is never too much");
    }

    #[test]
    fn a_lasting_flood_gets_nothing_and_is_forgotten_after_the_window() {
        let accounts = Accounts::new(64);
        let flood = (0..100_000).filter(|n| charge(&accounts, 1, NOW + n * SECOND / 1000)).count();
        assert!(flood < 12, "{flood} answers in 100 s of flood");
        let end = NOW + 100 * SECOND;
        assert!(!charge(&accounts, 1, end + 4 * SECOND));
        assert!(charge(&accounts, 1, end + 6 * SECOND));
        assert_eq!(accounts.ahead(7, 1, end + 20 * SECOND), 0);
    }

    #[test]
    fn suppressed_answers_are_counted_in_a_row() {
        let accounts = Accounts::new(64);
        (0..10).for_each(|_| assert!(charge(&accounts, 1, NOW)));
        let counts: Vec<u64> = (0..4).map(|_| accounts.charge(7, 1, TARIFF, NOW, 1)).collect();
        assert_eq!(counts, [1, 2, 3, 4]);
    }

    #[test]
    fn quiet_accounts_give_way_and_a_flooded_one_does_not() {
        let accounts = Accounts::new(WAYS);
        assert_eq!((0..100).filter(|_| charge(&accounts, 1, NOW)).count(), 10);
        (2..1000).for_each(|holder| assert!(charge(&accounts, holder, NOW)));
        assert!(!charge(&accounts, 1, NOW));
        assert_eq!(accounts.busy(NOW, SECOND).map(|(holder, _)| holder).collect::<Vec<_>>(), [1]);
    }
}
