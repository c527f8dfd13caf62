//! DNS over TLS, HTTPS and QUIC: with the programs that operators use, against real servers (`programs`, `rotation`),
//! and with clients that break rules, against the wire alone (`tls`, `https`, `quic`).

#![allow(clippy::disallowed_methods)] // real sockets live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

#[path = "encrypted/https.rs"]
mod https;
#[path = "encrypted/identity.rs"]
mod identity;
#[path = "encrypted/peers.rs"]
mod peers;
#[path = "encrypted/programs.rs"]
mod programs;
#[path = "encrypted/quic.rs"]
mod quic;
#[path = "encrypted/rotation.rs"]
mod rotation;
#[allow(dead_code)] // made for tests/wire.rs, which uses all of it
#[path = "wire/server.rs"]
mod server;
#[path = "encrypted/slow.rs"]
mod slow;
#[path = "encrypted/tls.rs"]
mod tls;
#[path = "encrypted/wire.rs"]
mod wire;
