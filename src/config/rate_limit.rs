//! `[dns.rate_limit]`: how many answers over UDP a client prefix gets whose addresses may be forged.

use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::value;

/// The highest rate that can be configured, and the most accounts.
const MOST: u32 = 1 << 20;

/// Limits of answers over UDP (docs/decisions/0020-rate-limits.md). Rates are answers per second and prefix; 0 is no
/// limit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Whether there are any limits.
    pub enabled: bool,
    /// Whether limits are only counted, and every answer is sent.
    pub log_only: bool,
    /// Answers about one name.
    pub per_name: u32,
    /// Answers of one zone that random names can produce: no such name, no such type, wildcards, DNAME.
    pub per_zone: u32,
    /// Referrals to one delegation.
    pub referrals: u32,
    /// Answers that say no more than an error.
    pub errors: u32,
    /// Answers in all.
    pub per_prefix: u32,
    /// How long a flood is remembered after its end, at most.
    #[serde(deserialize_with = "value::duration")]
    pub window: Duration,
    /// Every how many limited answers one is sent truncated; 0: none.
    pub slip: u8,
    /// Length of the prefixes that IPv4 clients are counted by.
    pub ipv4_prefix: u8,
    /// Length of the prefixes that IPv6 clients are counted by.
    pub ipv6_prefix: u8,
    /// Clients that are not limited.
    pub exempt: Vec<IpNet>,
    /// Accounts of names that are kept, and a quarter as many of prefixes.
    pub accounts: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|prefix| prefix.parse().expect("a prefix"));
        Self {
            enabled: true,
            log_only: false,
            per_name: 500,
            per_zone: 10_000,
            referrals: 1_000,
            errors: 1_000,
            per_prefix: 20_000,
            window: Duration::from_secs(15),
            slip: 2,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: loopback.to_vec(),
            accounts: 65_536,
        }
    }
}

impl RateLimit {
    /// What cannot work: the key, and what is wrong with it.
    pub(super) fn findings(&self) -> Vec<(&'static str, String)> {
        let mut findings = Vec::new();
        let mut ranged = |key, value: u32, from: u32, to: u32| {
            if !(from..=to).contains(&value) {
                findings.push((key, format!("{value} is out of range; expected {from} to {to}")));
            }
        };
        ranged("dns.rate_limit.per_name", self.per_name, 0, MOST);
        ranged("dns.rate_limit.per_zone", self.per_zone, 0, MOST);
        ranged("dns.rate_limit.referrals", self.referrals, 0, MOST);
        ranged("dns.rate_limit.errors", self.errors, 0, MOST);
        ranged("dns.rate_limit.per_prefix", self.per_prefix, 0, MOST);
        ranged("dns.rate_limit.slip", self.slip.into(), 0, 10);
        ranged("dns.rate_limit.ipv4_prefix", self.ipv4_prefix.into(), 8, 32);
        ranged("dns.rate_limit.ipv6_prefix", self.ipv6_prefix.into(), 16, 64);
        ranged("dns.rate_limit.accounts", self.accounts, 1024, MOST);
        let seconds = u32::try_from(self.window.as_secs()).unwrap_or(u32::MAX);
        ranged("dns.rate_limit.window", seconds, 1, 3600);
        findings
    }
}
