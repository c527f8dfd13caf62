//! Who is alive: transitions, beats, and how many of what there are.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::make;
use crate::model::{Revision, State, Transition};

/// Every transition, so that each has a series before it happens for the first time.
const TRANSITIONS: [Transition; 22] = [
    Transition::Register,
    Transition::Update,
    Transition::Deregister,
    Transition::Lapse,
    Transition::Return,
    Transition::Reap,
    Transition::Drain,
    Transition::Undrain,
    Transition::Weight,
    Transition::Hold,
    Transition::Release,
    Transition::Declare,
    Transition::Undeclare,
    Transition::Grant,
    Transition::Revoke,
    Transition::Transfer,
    Transition::Forget,
    Transition::TokenCreate,
    Transition::TokenRevoke,
    Transition::Static,
    Transition::Records,
    Transition::Restore,
];

/// Metrics of the registry.
pub struct RegistryMetrics {
    transitions: IntCounterVec,
    beats: Beats,
    instances: IntGaugeVec,
    held: IntGauge,
    fleet_hold: IntGauge,
    fleet_held: IntGauge,
    services: IntGauge,
    unowned: IntGauge,
    sessions: IntGauge,
    revision: IntGauge,
}

/// Beats by what came of them; counted for each beat, so each counter is at hand.
pub struct Beats {
    /// The lease runs anew.
    pub renewed: IntCounter,
    /// The lease had run out; a return follows.
    pub lapsed: IntCounter,
    /// Another server counts the lease; a claim follows.
    pub elsewhere: IntCounter,
    /// No such instance or session.
    pub unknown: IntCounter,
    /// It named an incarnation that has been replaced.
    pub old_incarnation: IntCounter,
    /// The session's epoch or hash differs.
    pub out_of_sync: IntCounter,
}

impl RegistryMetrics {
    pub(super) fn new(all: &Registry) -> Self {
        let help = "Committed transitions. Registrations are transition=\"register\", lapses are transition=\"lapse\".";
        let transitions = make::counters(all, "zonebeat_registry_transitions_total", help, &["transition"]);
        for transition in TRANSITIONS {
            transitions.with_label_values(&[transition.as_str()]);
        }
        let instances =
            make::gauges(all, "zonebeat_registry_instances", "Registered instances by their state.", &["state"]);
        Self {
            transitions,
            beats: Beats::new(all),
            instances,
            held: make::gauge(all, "zonebeat_guard_held_instances", "Silent instances that are held one by one."),
            fleet_hold: make::gauge(
                all,
                "zonebeat_guard_fleet_hold",
                "1 while the lapses of the whole fleet are held.",
            ),
            fleet_held: make::gauge(
                all,
                "zonebeat_guard_fleet_held_sessions",
                "Sessions whose lease is out while the lapses of the whole fleet are held.",
            ),
            services: make::gauge(all, "zonebeat_registry_services", "Known services."),
            unowned: make::gauge(
                all,
                "zonebeat_registry_unowned_services",
                "Known services whose owner nobody has declared.",
            ),
            sessions: make::gauge(
                all,
                "zonebeat_registry_sessions",
                "Sessions with a running lease; a lone instance is a session of its own.",
            ),
            revision: make::gauge(all, "zonebeat_registry_revision", "The last committed change."),
        }
    }

    /// Counts a committed change. Registrations and lapses are counted here, by their transition.
    pub fn transition(&self, transition: Transition) {
        self.transitions.with_label_values(&[transition.as_str()]).inc();
    }

    /// Counters of beats.
    pub fn beats(&self) -> &Beats {
        &self.beats
    }

    /// How many instances there are.
    pub fn set_instances(&self, state: State, count: usize) {
        self.instances.with_label_values(&[state.as_str()]).set(count as i64);
    }

    /// What the guard holds: instances one by one, whether the fleet, and of that so many sessions.
    pub fn set_held(&self, instances: usize, fleet: bool, sessions: usize) {
        self.held.set(instances as i64);
        self.fleet_hold.set(fleet.into());
        self.fleet_held.set(sessions as i64);
    }

    /// How many services are known.
    pub fn set_services(&self, count: usize) {
        self.services.set(count as i64);
    }

    /// How many of them have no declared owner.
    pub fn set_unowned(&self, count: usize) {
        self.unowned.set(count as i64);
    }

    /// How many sessions have a lease.
    pub fn set_sessions(&self, count: usize) {
        self.sessions.set(count as i64);
    }

    /// The last committed change.
    pub fn set_revision(&self, revision: Revision) {
        self.revision.set(revision.0 as i64);
    }
}

impl Beats {
    fn new(all: &Registry) -> Self {
        let beats = make::counters(all, "zonebeat_registry_beats_total", "Beats by what came of them.", &["result"]);
        Self {
            renewed: beats.with_label_values(&["renewed"]),
            lapsed: beats.with_label_values(&["lapsed"]),
            elsewhere: beats.with_label_values(&["elsewhere"]),
            unknown: beats.with_label_values(&["unknown"]),
            old_incarnation: beats.with_label_values(&["old-incarnation"]),
            out_of_sync: beats.with_label_values(&["out-of-sync"]),
        }
    }
}
