//! The guard: rules that refuse or hold dangerous transitions. It knows leaving from silence.
//!
//! **Leaving** is on purpose and applied at once: only what would take a service below its declared `min` is refused
//! (`check_min`), unless the caller insists (`force`).
//!
//! **Silence** is held in plain sight, for a bounded time, in two ways. Of a service (`keeps`): instances whose lapse
//! would leave nobody, in the service or in one of its sites, or fewer than `min`, become `State::Held`: a committed
//! transition, answered with EDE 3, and listed in [`Held`]. It ends when somebody else serves, when the instance beats,
//! when an operator releases it, and after the service's `hold`. Of the whole fleet (`fleet`): while more leases
//! than a share of all run out together, none of them lapses.
//!
//! **Who changes it.** The writer alone. What is held one by one is in its row and stays held over a restart, for its
//! whole time; of the fleet the store keeps nothing but the history: after a restart every lease is full, so nobody is
//! silent, and what is still silent a lease later is held again.

mod fleet;
mod held;

use std::time::Duration;

pub(super) use fleet::{Fleet, Verdict};
pub use held::Held;

use crate::model::{Instance, Refusal, Service, Word};

/// Limits of the guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The share of all sessions, in per cent, of which more that fall silent together are held; 100: none ever are.
    pub share: u32,
    /// The fewest sessions that are held so.
    pub least: usize,
    /// How long an instance of a service that does not say so itself is held; zero: not at all.
    pub hold: Duration,
    /// How long the lapses of the fleet are held.
    pub fleet_hold: Duration,
    /// How long it takes then until all that are still silent have lapsed.
    pub fleet_release: Duration,
}

impl Default for Limits {
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

impl Limits {
    /// No limits: everything that is silent lapses.
    pub fn off() -> Self {
        Self { share: 100, hold: Duration::ZERO, ..Self::default() }
    }
}

/// How long a silent instance of a service is held.
pub(super) fn hold_of(service: &Service, limits: &Limits) -> Duration {
    let declared = service.row.declaration.as_ref().and_then(|declared| declared.hold);
    declared.map_or(limits.hold, |seconds| Duration::from_secs(seconds.into()))
}

/// Where a silent instance is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// Under all its names.
    Everywhere,
    /// Under the names of its site: others serve elsewhere.
    Site,
}

/// Where a silent instance that is answered stays so, and why, in words; `None` if it may lapse.
pub(super) fn keeps(service: &Service, instance: &Instance, limits: &Limits) -> Option<(Where, String)> {
    if hold_of(service, limits).is_zero() {
        return None;
    }
    let name = &service.name;
    let others = |count: usize, site: bool| count.saturating_sub(instance.serves_under(site).into());
    let alone =
        |site: Option<&str>| others(service.instances.serving_count_at(&instance.proto, site), site.is_some()) == 0;
    let left = others(service.instances.serving_count(), false);
    match (min_of(service), instance.site.as_deref()) {
        _ if alone(None) => Some((Where::Everywhere, format!("nobody else serves {name}"))),
        (Some(min), _) if left < min => {
            Some((Where::Everywhere, format!("{name} needs at least {min} serving and {left} would be left")))
        }
        (_, Some(site)) if alone(Some(site)) => Some((
            Where::Site,
            format!("nobody else serves {name} in {site}; it is answered under names of {site} alone"),
        )),
        _ => None,
    }
}

/// Refuses to take an instance out on purpose where that leaves fewer than the service's `min`.
pub(super) fn check_min(service: &Service, instance: &Instance, gone: usize) -> Result<(), Refusal> {
    let (name, serving) = (&service.name, service.instances.serving_count());
    match min_of(service).filter(|min| instance.serves_under(false) && serving < min + gone) {
        None => Ok(()),
        Some(min) => {
            let left = serving.saturating_sub(gone);
            let detail = format!(
                "service {name} needs at least {min} serving instances and would have {left} without {}; add instances \
                 first, or insist with force",
                instance.id
            );
            Err(Refusal::new(Word::Guard, detail))
        }
    }
}

/// The fewest serving instances that are enough, as declared.
pub(super) fn min_of(service: &Service) -> Option<usize> {
    let min = service.row.declaration.as_ref().and_then(|declared| declared.min)?;
    (min > 0).then_some(min as usize)
}
