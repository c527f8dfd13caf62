//! `[guard]`: what is held when it falls silent (docs/decisions/0036-the-guard.md).

use std::time::Duration;

use serde::Deserialize;

use super::value;

/// The longest time that can be configured: a day.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Limits of the guard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardSettings {
    /// The share of all sessions, in per cent, beyond which those that fall silent together are held; 100: never.
    pub share: u32,
    /// The fewest sessions that are held so.
    pub least: usize,
    /// How long silent instances are held that a service cannot do without; zero: not at all.
    #[serde(deserialize_with = "value::duration")]
    pub hold: Duration,
    /// How long the lapses of the whole fleet are held.
    #[serde(deserialize_with = "value::duration")]
    pub fleet_hold: Duration,
    /// Over how long those that are still silent then lapse.
    #[serde(deserialize_with = "value::duration")]
    pub fleet_release: Duration,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self {
            share: 15,
            least: 20,
            hold: Duration::from_secs(600),
            fleet_hold: Duration::from_secs(3600),
            fleet_release: Duration::from_secs(600),
        }
    }
}

impl GuardSettings {
    /// What cannot work: the key, and what is wrong with it.
    pub(super) fn findings(&self) -> Vec<(&'static str, String)> {
        let mut findings = Vec::new();
        if !(1..=100).contains(&self.share) {
            findings.push(("guard.share", format!("guard.share is {}; use 1 to 100 per cent", self.share)));
        }
        if self.least == 0 {
            findings.push(("guard.least", "guard.least is 0; use 1 or more".to_owned()));
        }
        let times = [
            ("guard.hold", self.hold),
            ("guard.fleet_hold", self.fleet_hold),
            ("guard.fleet_release", self.fleet_release),
        ];
        for (key, time) in times.into_iter().filter(|(_, time)| *time > LONGEST) {
            findings.push((key, format!("{key} is {} s; use a day at most", time.as_secs())));
        }
        findings
    }
}
