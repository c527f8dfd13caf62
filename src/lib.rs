//! zonebeat: an authoritative DNS server whose zones come from heartbeats.
//!
//! The tree is the data path. Read the modules from top to bottom to follow a heartbeat to a packet:
//!
//! ```text
//! agent / curl / nsupdate                      zones/*.zone
//!      |                                            |
//!   api, update (edges)                            zone
//!      |  Command                                   |
//!      v                                            v
//!   registry  --- transitions --->  store    static records
//!      |  (single writer, leases)                   |
//!      v  snapshot + touched services               v
//! view::compile  ---------------------------->  View  (immutable)
//!      |                                            |
//!      | publish: one atomic swap                   |
//!      v                                            v
//! answer(&View, &Query) -> Answer            transfer (AXFR)
//!      |                                            |
//!      v                                            v
//!    wire: udp, tcp, encrypted     ------>   dig, resolvers, secondaries
//! ```
//!
//! The import rule, checked by `tests/architecture.rs`: the path imports only upstream (`answer`, `transfer` ->
//! `view` -> `registry::snapshot`, `zone` -> `model`). Edges (`wire`, `api`, `update`, `agent`, `cli`) import the core,
//! the core never imports an edge, and edges never import each other. Supports (`security`, `config`, `metrics`) import
//! only `model`. Only `server` sees everything. The pure core (`model`, `zone`, `view`, `answer`, `transfer`) has no
//! async, no I/O, no logging, no locks (except `view::publish`) and no clock (except `model::clock`).

pub mod model; // words everyone shares: names, records, services, instances, naming, changes, clock
pub mod registry; // who is alive: the single writer, leases, history, snapshots, and the stores below it
pub mod zone; // static zones: parse and check zone files
pub mod view; // compile registry and static records into immutable data that queries read
pub mod answer; // a query against a view: pure
pub mod transfer; // AXFR against a view: pure
pub mod update; // UPDATE messages become commands (RFC 2136)
pub mod wire; // DNS bytes in and out: decode, encode, udp, tcp, encrypted, tsig, limits
pub mod api; // HTTP: one file per resource; OpenAPI; health; metrics exposition
pub mod agent; // the host agent and `zonebeat run`: services.d, checks, sessions; the client of the HTTP interface
pub mod client; // the part of it for applications that register themselves
pub mod cli; // one file per group of subcommands
pub mod security; // decisions: tokens and scopes, TSIG keys, address and name policy
pub mod config; // the file, its defaults, the merge with flags
pub mod metrics; // the metrics and their names
pub mod server; // composition root: builds the parts, owns every task, stops them in order
