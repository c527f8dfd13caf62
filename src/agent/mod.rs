//! The client side: everything that registers, beats, leaves and asks over HTTP.
//!
//! Read in this order: [`servers`] (which server is asked first), [`client`] (one call over all of them), [`beat`] (the
//! life of a registration), [`lookup`] (whether DNS answers with it), [`jitter`] (how a fleet is kept from asking in
//! step). The commands of `cli` are built from these.

pub mod beat;
pub mod client;
pub mod jitter;
pub mod lookup;
pub mod servers;

pub use client::{Client, ClientError, Refused, Reply, Unreachable};
pub use servers::{DEFAULT_SERVER, parse_server};
