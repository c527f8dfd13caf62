//! Response rate limiting: how many answers over UDP a prefix gets whose addresses may be forged.
//!
//! # What it holds
//!
//! Two tables of `table`: accounts of (prefix, kind, name), and one account per prefix over all. A query is charged to
//! its prefix when it comes, and an answer to its name when it is known. [`kind`] says which name an answer goes by, so
//! that random names share one account. Clients that have shown that an address is theirs (TCP, a cookie) and clients
//! of exempt prefixes are not charged.
//!
//! # What happens to a limited answer
//!
//! Every second one in a row (`slip`) is sent truncated: header, question, OPT, never more octets than the query had. A
//! client that was impersonated comes back over TCP; a victim gets less than the attacker sends. The others are
//! dropped. A prefix in debt is looked at before its packets are decoded, so that a flood costs little; of its packets
//! only a few per batch are answered truncated, since sending is what costs most.
//!
//! # Who may change it
//!
//! All UDP workers at once, without lock, allocation or wait. `watch` reads what they left, puts a filter into the
//! kernel for prefixes that flood (`wire::udp::filter`), and writes the log. Hashes are keyed with a seed of this
//! process, so nobody can choose names that share an account.
//!
//! # Crash and limits
//!
//! Nothing is kept: after a start every account is empty. The tables never grow; what does not fit pushes out the
//! account that owes least.

pub mod kind;
mod table;
mod watch;

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::Thread;
use std::time::{Duration, Instant};

use foldhash::quality::FixedState;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::answer::{Answer, Query};
use crate::config::RateLimit;
use kind::Kind;
use table::{Accounts, SECOND, Suppressed, Tariff};
pub(super) use watch::Watch;

/// The most prefixes that are filtered in the kernel at the same time.
pub(super) const MOST_FILTERED: usize = 16;
/// Of the packets of a filtered prefix, one of so many gets through.
pub(super) const SAMPLE: u64 = 64;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Pass,
    /// It is sent truncated.
    Slip,
    /// It is not sent.
    Drop,
}

/// A moment of this server's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

/// Clients that are counted together, as a number: the first octets of an IPv6 address, or all of an IPv4 address. (The
/// lowest IPv6 networks, which are reserved, count as IPv4.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix(pub(super) u64);

/// What an answer costs, and whom.
#[derive(Debug, Clone, Copy)]
pub struct Charge {
    hash: u64,
    prefix: Prefix,
    tariff: Tariff,
}

/// All accounts of a server.
#[derive(Debug)]
pub struct Rates {
    settings: RateLimit,
    /// What an answer costs; `None` without limit.
    tariffs: Tariffs,
    exempt_v4: Vec<Ipv4Net>,
    exempt_v6: Vec<Ipv6Net>,
    started: Instant,
    hasher: FixedState,
    names: Accounts,
    prefixes: Accounts,
    /// Prefixes that the kernel filters; 0 is none.
    filtered: [AtomicU64; MOST_FILTERED],
    /// Set when there is something for the watch to look at.
    alarm: AtomicBool,
    /// Set when a worker has received a full batch.
    pressed: AtomicBool,
    /// The last prefix of which an answer was suppressed, for the log.
    last_suppressed: AtomicU64,
    watch: OnceLock<Thread>,
}

impl Rates {
    /// Empty accounts; `None` if the settings say that there are no limits. `seed` keys the hashes.
    #[allow(clippy::disallowed_methods)] // because balances follow a monotonic clock; workers read it once per batch
    pub fn new(settings: &RateLimit, seed: u64) -> Option<Self> {
        if !settings.enabled {
            return None;
        }
        let accounts = settings.accounts as usize;
        let v4 = |net: &IpNet| if let IpNet::V4(net) = net { Some(*net) } else { None };
        let v6 = |net: &IpNet| if let IpNet::V6(net) = net { Some(*net) } else { None };
        Some(Self {
            exempt_v4: settings.exempt.iter().filter_map(v4).collect(),
            exempt_v6: settings.exempt.iter().filter_map(v6).collect(),
            tariffs: Tariffs::new(settings),
            settings: settings.clone(),
            started: Instant::now(),
            hasher: FixedState::with_seed(seed),
            names: Accounts::new(accounts),
            prefixes: Accounts::new(accounts / 4),
            filtered: Default::default(),
            alarm: AtomicBool::new(false),
            pressed: AtomicBool::new(false),
            last_suppressed: AtomicU64::new(0),
            watch: OnceLock::new(),
        })
    }

    /// The moment of an instant. It begins far from zero: an account that was never used owes nothing.
    pub fn moment(&self, at: Instant) -> Moment {
        let age = at.saturating_duration_since(self.started);
        let part = u64::from(age.subsec_nanos()) * (SECOND / 1_000_000) / 1000;
        Moment(age.as_secs() * SECOND + part + SECOND)
    }

    /// Whether answers to this client are not limited.
    pub fn is_exempt(&self, client: IpAddr) -> bool {
        match client {
            IpAddr::V4(client) => self.exempt_v4.iter().any(|net| net.contains(&client)),
            IpAddr::V6(client) => self.exempt_v6.iter().any(|net| net.contains(&client)),
        }
    }

    /// Brings the accounts of these clients' prefixes nearer: for a batch, before the first is charged.
    pub(super) fn prefetch_prefixes(&self, clients: impl Iterator<Item = IpAddr>) {
        let charged = clients.filter(|client| !self.is_exempt(*client));
        charged.for_each(|client| self.prefixes.touch(self.hash_of(self.prefix(client))));
    }

    /// Whether all answers to the client's prefix are to be suppressed, whatever they are.
    pub fn is_in_debt(&self, client: IpAddr, now: Moment) -> bool {
        let prefix = self.prefix(client);
        !self.settings.log_only && self.prefixes.ahead(self.hash_of(prefix), prefix.0, now.0) > SECOND
    }

    /// Charges the client's prefix for one answer.
    pub fn charge_prefix(&self, client: IpAddr, now: Moment) -> Verdict {
        let prefix = self.prefix(client);
        let Some(tariff) = self.tariffs.per_prefix else { return Verdict::Pass };
        let answers = if self.is_filtered(prefix) { SAMPLE } else { 1 };
        let suppressed = self.prefixes.charge(self.hash_of(prefix), prefix.0, tariff, now.0, answers);
        self.verdict(prefix, suppressed)
    }

    /// What an answer will cost; nothing if there is no limit for such answers.
    pub fn price(&self, query: &Query<'_>, answer: &Answer<'_>) -> Option<Charge> {
        let (kind, name) = kind::of(query, answer);
        self.price_of(query.client, kind, name)
    }

    /// The same for an answer that is known by kind and name.
    pub fn price_of(&self, client: IpAddr, kind: Kind, name: &[u8]) -> Option<Charge> {
        let tariff = self.tariffs.of(kind)?;
        let prefix = self.prefix(client);
        Some(Charge { hash: self.hash_of_name(prefix, kind, name), prefix, tariff })
    }

    /// Brings the account nearer: for a batch, before the first is charged.
    pub(super) fn touch(&self, charge: &Charge) {
        self.names.touch(charge.hash);
    }

    /// Charges the account for one answer.
    pub fn charge(&self, charge: &Charge, now: Moment) -> Verdict {
        let Charge { hash, prefix, tariff } = *charge;
        self.verdict(prefix, self.names.charge(hash, hash, tariff, now.0, 1))
    }

    /// Charges the account of an answer that is known by kind and name.
    pub fn charge_name(&self, client: IpAddr, kind: Kind, name: &[u8], now: Moment) -> Verdict {
        self.price_of(client, kind, name).map_or(Verdict::Pass, |charge| self.charge(&charge, now))
    }

    /// Whether limits are only counted.
    pub fn is_log_only(&self) -> bool {
        self.settings.log_only
    }

    /// Hears that a worker has received as much as fits into a batch: more may be waiting.
    pub(super) fn pressed(&self) {
        self.wake(&self.pressed);
    }

    fn verdict(&self, prefix: Prefix, suppressed: Suppressed) -> Verdict {
        if suppressed == 0 {
            return Verdict::Pass;
        }
        self.last_suppressed.store(prefix.0, Relaxed);
        self.wake(&self.alarm);
        let slips = suppressed.checked_rem(self.settings.slip.into()) == Some(0);
        if slips { Verdict::Slip } else { Verdict::Drop }
    }

    /// Raises a flag and wakes the watch, unless the flag is up already. Does not wait for it.
    fn wake(&self, flag: &AtomicBool) {
        if !flag.load(Relaxed) && !flag.swap(true, Relaxed) {
            self.watch.get().into_iter().for_each(Thread::unpark);
        }
    }

    fn prefix(&self, client: IpAddr) -> Prefix {
        match client {
            IpAddr::V4(client) => {
                let host_bits = 32 - u32::from(self.settings.ipv4_prefix);
                Prefix(u64::from(client.to_bits()) >> host_bits << host_bits)
            }
            IpAddr::V6(client) => {
                let host_bits = 64 - u32::from(self.settings.ipv6_prefix);
                Prefix((client.to_bits() >> 64) as u64 >> host_bits << host_bits)
            }
        }
    }

    fn hash_of(&self, prefix: Prefix) -> u64 {
        self.hasher.hash_one(prefix.0)
    }

    fn hash_of_name(&self, prefix: Prefix, kind: Kind, name: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(prefix.0);
        hasher.write_u8(kind as u8);
        hasher.write(name);
        hasher.finish()
    }

    fn is_filtered(&self, prefix: Prefix) -> bool {
        // the list is filled from its start
        let filtered =
            self.filtered.iter().map(|filtered| filtered.load(Relaxed)).take_while(|filtered| *filtered != 0);
        filtered.into_iter().any(|filtered| filtered == prefix.0)
    }

    /// A prefix in the form that people know.
    fn network(&self, prefix: Prefix) -> IpNet {
        let (address, length): (IpAddr, _) = match u32::try_from(prefix.0) {
            Ok(v4) => (std::net::Ipv4Addr::from_bits(v4).into(), self.settings.ipv4_prefix),
            Err(_) => {
                let v6 = std::net::Ipv6Addr::from_bits(u128::from(prefix.0) << 64);
                (v6.into(), self.settings.ipv6_prefix)
            }
        };
        IpNet::new_assert(address, length)
    }
}

/// What an answer costs, of each sort; worked out once.
#[derive(Debug)]
struct Tariffs {
    per_name: Option<Tariff>,
    per_zone: Option<Tariff>,
    referrals: Option<Tariff>,
    errors: Option<Tariff>,
    per_prefix: Option<Tariff>,
}

impl Tariffs {
    fn new(settings: &RateLimit) -> Self {
        let window = ticks(settings.window);
        let tariff = |rate: u32| SECOND.checked_div(rate.into()).map(|cost| Tariff { cost, window });
        Self {
            per_name: tariff(settings.per_name),
            per_zone: tariff(settings.per_zone),
            referrals: tariff(settings.referrals),
            errors: tariff(settings.errors),
            per_prefix: tariff(settings.per_prefix),
        }
    }

    fn of(&self, kind: Kind) -> Option<Tariff> {
        match kind {
            Kind::Name => self.per_name,
            Kind::Wildcard | Kind::NoData | Kind::NoName => self.per_zone,
            Kind::Referral => self.referrals,
            Kind::Error => self.errors,
        }
    }
}

fn ticks(time: Duration) -> u64 {
    time.as_millis() as u64 * (SECOND / 1000)
}

#[cfg(test)]
mod tests;
