//! The client side: everything that registers, beats, leaves and asks over HTTP.
//!
//! Read in this order: `servers` (which server is asked first), `exchange` (one call over all of them), `outcome` (what
//! can come of it), `client` and `owners` (the typed calls), `beat` (the life of a registration), `lookup` (whether DNS answers with
//! it), `jitter` (how a fleet is kept from asking in step). The commands of `cli` are built from these.

pub mod beat;
pub mod client;
mod exchange;
pub mod jitter;
pub mod lookup;
mod outcome;
mod owners;
pub mod servers;

pub use client::Client;
#[cfg(feature = "fuzzing")]
pub use outcome::read_refusal;
pub use outcome::{ClientError, Refused, Reply, Unreachable};
pub use servers::{DEFAULT_SERVER, parse_server};
