//! Bodies of the HTTP interface, version 1: shared by the server, the client commands and the OpenAPI document.
//!
//! Numbers are wider here than their range, so that `65536` is answered with a sentence about ports instead of one
//! about integer types. Unknown fields are errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod owners;
mod status;

pub use owners::{Amendment, Dependencies, Dependency, Grantee};
pub use status::{BackupStatus, GuardStatus, InstanceCounts, ServerStatus, Status, StoreStatus};

use super::service::Declaration;
use super::{Change, Mark, Revision, Scope, SetWeight, Timestamp};

/// Body of `PUT /v1/services/{service}/instances/{id}`: register or update, and beat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"port": 8080, "proto": "tcp", "addresses": ["192.0.2.7"], "site": "lon", "priority": 10,
    "weight": 100, "tags": ["canary"], "metadata": {"version": "2.4.1"}, "lease_seconds": 15}))]
pub struct Registration {
    /// Port, 1 to 65535.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: i64,
    /// Protocol label without underscore; `tcp` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proto: Option<String>,
    /// IPv4 and IPv6 addresses; the caller's address if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<String>>,
    /// An existing host as SRV target, instead of addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Site label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// SRV priority, 0 to 65535; 10 if missing. Lower is preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 65535)]
    pub priority: Option<i64>,
    /// SRV weight, 0 to 65535; 100 if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 65535)]
    pub weight: Option<i64>,
    /// Labels that select subsets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Facts for the TXT record: key and value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How long it may be silent; 15 if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<i64>,
    /// Chosen anew by a process at each start, so that a process which replaces one with the same facts begins a new
    /// incarnation all the same; missing: the facts alone decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub epoch: Option<String>,
    /// Why it is not to be answered now, 1 to 200 octets: a check fails, or it is stopping. It keeps its lease and its
    /// record and is in no answer. Missing: it is to be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, example = "GET /health answered 503, 3 times")]
    pub out: Option<String>,
    /// The incarnation that the caller believes is current; refused if it has been replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
}

/// Reply to a registration: 201 when the instance is new, else 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"service": "search", "id": "a1", "incarnation": 1838, "revision": 1838, "lease_seconds": 15,
    "heartbeat_seconds": 4.871, "ttl_seconds": 30, "names": ["_search._tcp.sd.example.org.", "a1.search.sd.example.org."]}))]
pub struct Registered {
    /// Service label as stored.
    pub service: String,
    /// Instance label as stored.
    pub id: String,
    /// Name it in beats and deletes, so that they cannot hit a later life of the same id.
    pub incarnation: u64,
    /// The last change of this instance.
    pub revision: Revision,
    /// How long it may be silent.
    pub lease_seconds: u32,
    /// When to beat next.
    pub heartbeat_seconds: f64,
    /// The longest TTL that answers with it may have been given: so long after it has left them every cache has
    /// forgotten it.
    #[serde(default)]
    pub ttl_seconds: u32,
    /// The owner names that answer with it.
    pub names: Vec<String>,
}

/// Body of a beat; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"incarnation": 1838}))]
pub struct Beat {
    /// The incarnation that beats; refused if it has been replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
}

/// Reply to a beat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({
    "lease_seconds": 15, "heartbeat_seconds": 5.102, "servers": ["http://192.0.2.53:8053"], "returned": false
}))]
pub struct Beaten {
    /// How long it may be silent from now on.
    pub lease_seconds: u32,
    /// When to beat next; varies a little, so that clients spread out.
    pub heartbeat_seconds: f64,
    /// Servers to try when this one does not answer, in order; base URLs.
    pub servers: Vec<String>,
    /// True when the beat brought a lapsed instance back.
    pub returned: bool,
    /// `away` when this server is cut off from the registry that it shares with others: beat to one that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreWord>,
}

/// How a server stands with the registry that it shares with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreWord {
    /// It is cut off, and others may hold its sessions silent.
    Away,
}

/// Body of `PUT /v1/sessions/{session}`: everything that the session beats for, replacing what it had.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"epoch": "7c2f", "lease_seconds": 15, "instances": [{"service": "search", "id": "a1",
    "registration": {"port": 8080, "addresses": ["192.0.2.7"]}}]}))]
pub struct SessionSet {
    /// Chosen anew by the agent at each start.
    #[schema(min_length = 1, max_length = 64)]
    pub epoch: String,
    /// Grows with each set of an epoch: one with a smaller number than the set that was taken last is older, has been
    /// overtaken on its way, and is refused. Missing: not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// How long the session may be silent; 15 if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<i64>,
    /// Its instances.
    pub instances: Vec<SessionInstance>,
}

/// One instance of a session's set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"service": "search", "id": "a1", "registration": {"port": 8080}}))]
pub struct SessionInstance {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// As in a registration; its `lease_seconds` must be missing, because the session's counts.
    pub registration: Registration,
}

/// Reply to a session's set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionStored {
    /// The session.
    pub session: String,
    /// Its epoch.
    pub epoch: String,
    /// The hash to send with beats.
    pub hash: String,
    /// How long the session may be silent.
    pub lease_seconds: u32,
    /// When to beat next.
    pub heartbeat_seconds: f64,
    /// The longest TTL of its instances.
    #[serde(default)]
    pub ttl_seconds: u32,
    /// Its instances as registered.
    pub instances: Vec<Registered>,
}

/// Body of `POST /v1/sessions/{session}/heartbeat`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"epoch": "7c2f", "hash": "0f343b0931126a20f133d67c2b018a3b"}))]
pub struct SessionBeat {
    /// The epoch of the set; another one is answered `out-of-sync`.
    pub epoch: String,
    /// Hash of the instance set: the first 32 hexadecimal digits of SHA-256 over the lines `service/id@incarnation`,
    /// sorted by octets, each ended by a line feed. Missing: not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Body of `POST /v1/heartbeats`: beats of many instances and sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"beats": [{"service": "search", "id": "a1", "incarnation": 1842},
    {"session": "host-17", "epoch": "2026-11-20T20:41:07Z", "hash": "595c70dff8726e901e96a0035e3ef267"}]}))]
pub struct ManyBeats {
    /// At most 1,000.
    pub beats: Vec<ManyBeat>,
}

/// One of many beats: of an instance, with `service` and `id`, or of a session, with `session` and `epoch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ManyBeat {
    /// Service label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Instance label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The incarnation that beats; refused if it has been replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<u64>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The epoch of the session's set; another one is answered `out-of-sync`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// Hash of the session's set, as in its own call. Missing: not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// Reply to `POST /v1/heartbeats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ManyBeaten {
    /// One for each beat, in their order.
    pub beats: Vec<ManyHeard>,
    /// Servers to try when this one does not answer, in order; base URLs.
    pub servers: Vec<String>,
    /// `away` when this server is cut off from the registry that it shares with others: beat to one that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreWord>,
}

/// What came of one of many beats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum ManyHeard {
    /// The lease runs anew.
    Beaten {
        /// How long it may be silent from now on.
        lease_seconds: u32,
        /// When to beat next.
        heartbeat_seconds: f64,
        /// True when the beat brought something back that had lapsed.
        returned: bool,
    },
    /// What its own call would have been refused with.
    Refused {
        /// The problem document.
        problem: Problem,
    },
}

/// One service in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceInfo {
    /// Service label.
    pub service: String,
    /// Protocols of its instances.
    pub protos: Vec<String>,
    /// Instances in the answers, those that are held left out.
    pub serving: usize,
    /// Instances that the guard keeps in the answers although they are silent.
    pub held: usize,
    /// Instances out of the answers.
    pub out: usize,
    /// Sites of its instances.
    pub sites: Vec<String>,
    /// What its owner declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<Declaration>,
    /// Name of the token that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned_by: Option<String>,
    /// Names of other tokens that may write it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub granted: Vec<String>,
    /// The last change of it or of one of its instances.
    pub revision: Revision,
    /// That change, while history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<LastChange>,
}

/// A change in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LastChange {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// What, as in `a4 lapsed`.
    pub text: String,
}

/// One instance in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InstanceInfo {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// `serving`, `held`, `out`, `drained` or `lapsed`; the first two are in the answers.
    pub state: String,
    /// Why it is in that state, in words, if it does not simply serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who drained it, when and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<Mark>,
    /// The weight that an operator gave it, which is answered instead of `weight`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<SetWeight>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Seconds in that state.
    pub age_seconds: f64,
    /// Seconds since its last beat, when this server has seen one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_age_seconds: Option<f64>,
    /// Protocol label.
    pub proto: String,
    /// Port.
    pub port: u16,
    /// SRV priority.
    pub priority: u16,
    /// SRV weight as registered.
    pub weight: u16,
    /// Site label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The existing host it names as target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Labels that select subsets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Facts for the TXT record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// How long it may be silent.
    pub lease_seconds: u32,
    /// The session that beats for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Which life of this id it is.
    pub incarnation: u64,
    /// The last change of it.
    pub revision: Revision,
    /// The owner names that answer with it while it serves.
    pub names: Vec<String>,
}

/// Reply to `GET /v1/services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceList {
    /// The registry's revision that the list shows.
    pub revision: Revision,
    /// Sorted by label.
    pub services: Vec<ServiceInfo>,
    /// Pass it as `after` for the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Reply to `GET /v1/services/{service}/instances`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InstanceList {
    /// The registry's revision that the list shows.
    pub revision: Revision,
    /// Sorted by label.
    pub instances: Vec<InstanceInfo>,
    /// Pass it as `after` for the next page; missing on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Reply to a write that only moves the registry on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"revision": 1842, "changed": true}))]
pub struct Applied {
    /// The revision of the change, or the current one if nothing changed.
    pub revision: Revision,
    /// False when it was so already.
    pub changed: bool,
    /// Of instances that left the answers: the longest TTL that they may have been given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

/// Body of `POST /v1/services/{service}/instances/{id}/drain` and `undrain`, and of the same for a site; may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"reason": "kernel"}))]
pub struct Order {
    /// Why, in words, at most 500 octets; instead of the header `X-Zonebeat-Reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Also below the `min` of a service.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Body of `POST /v1/services/{service}/instances/{id}/weight`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"weight": 10, "for_seconds": 1200, "reason": "cold cache"}))]
pub struct WeightOrder {
    /// SRV weight, 0 to 65535; missing: the registered one counts again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 65535)]
    pub weight: Option<i64>,
    /// After how long the registered weight counts again; never by itself without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31622400)]
    pub for_seconds: Option<i64>,
    /// Why, in words, at most 500 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Reply to an order about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"service": "search", "id": "a1", "state": "drained", "revision": 1842, "changed": true,
    "ttl_seconds": 30, "safe_seconds": 31}))]
pub struct Ordered {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// Its state now, or `unregistered`.
    pub state: String,
    /// The last change of it.
    pub revision: Revision,
    /// False when it was so already.
    pub changed: bool,
    /// The longest TTL that answers with it may have been given.
    pub ttl_seconds: u32,
    /// In how many seconds every cache has forgotten it, so that it is safe to stop; missing while it is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_seconds: Option<u32>,
}

/// Reply to an order about a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"site": "lon", "instances": 42, "already": 3, "left": 0, "revision": 1884,
    "ttl_seconds": 30, "safe_seconds": 31}))]
pub struct SiteOrdered {
    /// Site label.
    pub site: String,
    /// Instances that were changed.
    pub instances: usize,
    /// Instances of the site that were so already.
    pub already: usize,
    /// Instances that are still to be changed: repeat the call until there are none.
    #[serde(default)]
    pub left: usize,
    /// The last change.
    pub revision: Revision,
    /// The longest TTL that answers with one of them may have been given.
    pub ttl_seconds: u32,
    /// In how many seconds every cache has forgotten those that were drained now; missing after `undrain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safe_seconds: Option<u32>,
}

impl SiteOrdered {
    /// What two calls did, this one after `first`.
    pub fn after(self, first: Self) -> Self {
        Self {
            instances: first.instances + self.instances,
            already: first.already,
            ttl_seconds: first.ttl_seconds.max(self.ttl_seconds),
            safe_seconds: first.safe_seconds.max(self.safe_seconds),
            ..self
        }
    }
}

/// Body of `POST /v1/held/release`: an instance, all of a service, or the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"service": "search", "id": "a4", "reason": "its host is gone"}))]
pub struct ReleaseOrder {
    /// The service whose held instances are to lapse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only this instance of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The lapses of the whole fleet are to be held no more; without `service`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fleet: bool,
    /// Why, in words, at most 500 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Reply to `GET /v1/held`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HeldList {
    /// The registry's revision that the list shows.
    pub revision: Revision,
    /// Present while the lapses of the whole fleet are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<FleetHeld>,
    /// Instances that are in the answers although they are silent, sorted by service and label.
    pub instances: Vec<InstanceInfo>,
    /// Pass it as `after` for the next page; missing on the last one. A page may be short, or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The hold of the whole fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FleetHeld {
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The change that began it.
    pub revision: Revision,
    /// Sessions whose lease is out, lone instances included.
    pub silent: usize,
    /// All sessions that have not lapsed.
    pub sessions: usize,
}

/// Reply to `GET /v1/changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChangeList {
    /// Changes after `since`, oldest first.
    pub changes: Vec<Change>,
    /// Pass it as `since` to go on.
    pub next: Revision,
    /// True when more are waiting.
    pub more: bool,
    /// The oldest revision that is still kept.
    pub oldest: Revision,
}

/// Body of `POST /v1/tokens`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "squad-search", "scope": {"services": ["search", "search-*"],
    "addresses": ["192.0.2.0/24"]}}))]
pub struct TokenRequest {
    /// What people call it; the author in history.
    pub name: String,
    /// What it may write.
    #[serde(default)]
    pub scope: Scope,
}

/// Reply to `POST /v1/tokens`: the only time that the secret is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenCreated {
    /// Public id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may write.
    pub scope: Scope,
    /// Goes behind `Authorization: Bearer`.
    pub secret: String,
}

/// One token in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenInfo {
    /// Public id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may write.
    pub scope: Scope,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// How many service names it owns.
    pub owns: usize,
}

/// Reply to `GET /v1/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenList {
    /// Oldest first.
    pub tokens: Vec<TokenInfo>,
}

/// Reply to `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alive {
    /// Version of the server.
    pub version: String,
}

/// Reply to `GET /readyz`: 200 when ready, else 503.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Readiness {
    /// The data are loaded and the answers fresh.
    pub ready: bool,
    /// The store has been read.
    pub loaded: bool,
    /// The store takes writes; false does not make the server unready.
    pub writable: bool,
    /// What is wrong with the store, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The last change of the registry.
    pub revision: Revision,
    /// The last change that the answers contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_revision: Option<Revision>,
    /// How long ago the answers were published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_age_seconds: Option<f64>,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// An error: a problem document (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({
    "type": "https://zonebeat.example.org/problems/unknown-instance", "title": "Not Found", "status": 404,
    "detail": "service \"search\" has no instance \"a9\"; register it with PUT /v1/services/search/instances/a9"
}))]
pub struct Problem {
    /// Ends in a stable word, as `.../unknown-instance`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong, with which value, and what would be accepted.
    pub detail: String,
}

/// Reply to `GET /v1/zones`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ZoneList {
    /// Sorted by name.
    pub zones: Vec<ZoneInfo>,
}

/// One zone of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"name": "sd.example.org.", "kind": "registrations", "serial": 1843, "base_serial": 1,
    "ready": true, "readable": true, "names": 3, "records": 5,
    "digest": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}))]
pub struct ZoneInfo {
    /// The apex, with a final dot.
    pub name: String,
    /// `static`: only its own records; `registrations`: services are published in it; `reverse`: PTR records of
    /// registered addresses are.
    pub kind: String,
    /// The serial that is answered.
    pub serial: u32,
    /// The serial of its file or configuration. A zone that takes registrations adds the revision of its last change.
    pub base_serial: u32,
    /// Whether its content is known, so that it is answered.
    pub ready: bool,
    /// Whether its own records could be read; if not, its file has an error.
    pub readable: bool,
    /// Owners of its own records; names of services are not counted.
    pub names: usize,
    /// Its own records.
    pub records: usize,
    /// SHA-256 over its own records in canonical order, the serial left out: equal for equal content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}
