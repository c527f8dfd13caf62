//! The client side: everything that registers, beats, leaves and asks over HTTP.
//!
//! The client, read in this order: `servers` (which server is asked first), `exchange` (one call over all of them),
//! `connect` (connections where packets are lost), `outcome` (what can come of it), `client`, `owners` and `download`
//! (the typed calls), `beat` (the life of a lone registration), `lookup` (whether DNS answers with it), `jitter` (how a
//! fleet is kept from asking in step).
//!
//! The agent of a host, in the order in which a file becomes a beat:
//!
//! ```text
//! services.d --folder, services--> plan --roster--> members --session--> PUT, beats
//!      labels --containers----------^      ^  ^
//!                  check: verdicts --------+  +-------- socket: reports of services
//! ```
//!
//! `sources` has folder and containers together, `supervise` owns all of its tasks, `kept` is what outlives it,
//! `status` describes it, `config` is its file, `run` puts a command beside it, `children` keeps our secrets from what
//! both start. The commands of `cli` are built from these.

pub mod beat;
pub mod check;
mod children;
pub mod client;
pub mod config;
mod connect;
pub mod containers;
mod download;
mod exchange;
pub mod folder;
pub mod identity;
pub mod jitter;
pub mod kept;
pub mod lookup;
mod outcome;
mod owners;
mod plain_http;
mod ready;
pub mod roster;
pub mod run;
pub mod servers;
pub mod services;
pub mod session;
pub mod set;
pub mod socket;
mod sources;
pub mod status;
pub mod supervise;

pub use client::Client;
pub use download::Download;
#[cfg(feature = "fuzzing")]
pub use outcome::read_refusal;
pub use outcome::{ClientError, Refused, Reply, Unreachable};
pub use servers::{DEFAULT_SERVER, parse_server};
