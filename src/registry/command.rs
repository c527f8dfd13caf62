//! Commands: what edges ask of the registry, and what they get back.

use std::sync::Arc;

use super::update::Update;
use crate::model::api::{Amendment, Registration, SessionSet};
use crate::model::{Declaration, Instance, Principal, Revision, Token};

/// A request to change the registry.
#[derive(Debug, Clone)]
pub struct Command {
    /// Who asks.
    pub principal: Principal,
    /// Why, in words; goes into history.
    pub reason: String,
    /// What to do.
    pub action: Action,
}

/// What to do. Labels are as the caller wrote them; the registry checks and folds them.
#[derive(Debug, Clone)]
pub enum Action {
    /// Register or update an instance, and beat for it.
    Register {
        /// Service label.
        service: String,
        /// Instance label.
        id: String,
        /// The body.
        registration: Registration,
    },
    /// Take an instance out now.
    Deregister {
        /// Service label.
        service: String,
        /// Instance label.
        id: String,
        /// The incarnation that leaves; refused if it has been replaced.
        incarnation: Option<u64>,
        /// Also below the service's `min`.
        force: bool,
    },
    /// Take an instance out of the answers until it is undrained, whatever its registration says.
    Drain {
        /// Service label.
        service: String,
        /// Instance label.
        id: String,
        /// Also below the service's `min`.
        force: bool,
    },
    /// Drain many instances at once, all of them or none.
    DrainMany {
        /// Service and instance label of each, sorted by service.
        instances: Vec<(String, String)>,
        /// Also below the `min` of their services.
        force: bool,
    },
    /// Let many drained instances be answered again.
    UndrainMany {
        /// Service and instance label of each.
        instances: Vec<(String, String)>,
    },
    /// Let a drained instance be answered again.
    Undrain {
        /// Service label.
        service: String,
        /// Instance label.
        id: String,
    },
    /// Answer another weight for an instance than the registered one.
    SetWeight {
        /// Service label.
        service: String,
        /// Instance label.
        id: String,
        /// SRV weight; `None`: the registered one counts again.
        weight: Option<i64>,
        /// For how long; until the next order without it.
        seconds: Option<i64>,
    },
    /// Let instances lapse that the guard holds.
    Release {
        /// Service label.
        service: String,
        /// Instance label; all of the service without it.
        id: Option<String>,
    },
    /// Hold the lapses of the fleet; for the server itself.
    HoldFleet,
    /// Let leases lapse that are out while the fleet's lapses are held. The guard of each service goes on.
    ReleaseFleet,
    /// Bring a lapsed instance back, because it beat.
    Return {
        /// Service label.
        service: String,
        /// Instance label.
        id: String,
        /// The incarnation that beat; refused if it has been replaced.
        incarnation: Option<u64>,
    },
    /// Count the lease of an instance here, because it beat here and another server counts it. Brings it back if it has
    /// lapsed.
    Claim {
        /// Service label.
        service: String,
        /// Instance label.
        id: String,
        /// The incarnation that beat; refused if it has been replaced.
        incarnation: Option<u64>,
    },
    /// Count the lease of a session here, because it beat here and another server counts it. Brings it back if it has
    /// lapsed.
    ClaimSession {
        /// The session.
        session: String,
        /// The epoch that beat; refused if it is another one.
        epoch: String,
        /// Hash of the set, if the beat named it; refused if it is another one.
        hash: Option<String>,
    },
    /// Replace everything that a session beats for.
    SetSession {
        /// The session.
        session: String,
        /// The body.
        set: SessionSet,
    },
    /// Bring the lapsed instances of a session back, because it beat.
    ReturnSession {
        /// The session.
        session: String,
    },
    /// Take all instances of a session out now.
    EndSession {
        /// The session.
        session: String,
        /// The epoch that ends; refused if it has been replaced.
        epoch: Option<String>,
        /// Also below the `min` of services.
        force: bool,
    },
    /// Say something about a service.
    Declare {
        /// Service label.
        service: String,
        /// The body.
        declaration: Declaration,
    },
    /// Change some of what was said about a service.
    Amend {
        /// Service label.
        service: String,
        /// The body.
        amendment: Amendment,
    },
    /// Let another token write a service.
    Grant {
        /// Service label.
        service: String,
        /// Public id or name of the token.
        token: String,
    },
    /// Take that back.
    Revoke {
        /// Service label.
        service: String,
        /// Public id or name of the token.
        token: String,
    },
    /// Make a service another token's; the one that owned it is granted it.
    Transfer {
        /// Service label.
        service: String,
        /// Public id or name of the token.
        token: String,
    },
    /// Take a declaration back and give the name up; refused while instances are registered.
    Undeclare {
        /// Service label.
        service: String,
    },
    /// Create a token; the caller made the secret.
    CreateToken(Token),
    /// Revoke a token; names it owned are free again.
    RevokeToken {
        /// Its public id or its name.
        token: String,
    },
    /// Change static records as an UPDATE message says.
    Update(Update),
    /// Compile the zone files again: the composition root has loaded other ones.
    ReloadStatics,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The instance as it is now.
    Instance {
        /// The service it belongs to.
        service: Arc<str>,
        /// The instance.
        instance: Arc<Instance>,
        /// Whether it was not registered before.
        new: bool,
        /// Whether anything changed; a bare beat changes nothing.
        changed: bool,
    },
    /// The session's instances as they are now.
    Session {
        /// The session.
        session: Arc<str>,
        /// Its epoch.
        epoch: String,
        /// Hash of the set, to send with beats.
        hash: String,
        /// How long it may be silent.
        lease_seconds: u32,
        /// Service and instance, in the order of the request.
        instances: Vec<(Arc<str>, Arc<Instance>)>,
    },
    /// A prerequisite of an UPDATE message does not hold, so nothing has changed.
    Unmet(Unmet),
    /// The registry moved on, or was so already.
    Applied {
        /// The change, or the current revision.
        revision: Revision,
        /// Whether anything changed; who counts a lease is no change.
        changed: bool,
    },
}

/// Which prerequisite does not hold (RFC 2136 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// A name that should have records has none.
    NoName,
    /// A name that should have no records has some.
    NameInUse,
    /// A set that should exist does not, or not with these records.
    NoSet,
    /// A set that should not exist does.
    SetExists,
}

/// What came of a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beaten {
    /// The lease runs anew.
    Renewed {
        /// How long it may be silent, in seconds.
        lease_seconds: u32,
    },
    /// The lease had run out: the edge now asks for [`Action::Return`] or [`Action::ReturnSession`].
    Lapsed {
        /// How long it may be silent, in seconds.
        lease_seconds: u32,
    },
    /// Another server counts the lease, as far as is known here: the edge now asks for [`Action::Claim`] or
    /// [`Action::ClaimSession`].
    Elsewhere {
        /// How long it may be silent, in seconds.
        lease_seconds: u32,
    },
    /// No such instance or session.
    Unknown,
    /// The beat names another incarnation than the current one.
    OldIncarnation {
        /// The current one.
        current: Revision,
    },
    /// The session's epoch or hash differs.
    OutOfSync,
}
