//! Plain UDP: the path that nearly every query takes.
//!
//! # Shape
//!
//! One plain thread per core and listen address, each with a socket of its own on the same address (SO_REUSEPORT: the
//! kernel spreads the clients over them). A thread is a loop of three calls: receive a batch, answer it, send the
//! replies ([`worker`]). Nothing on the way waits or logs, and nothing allocates but answers of several sets. Workers
//! share the published view, of which each loads a snapshot per batch, and the accounts of [`super::rate`], which have
//! no lock; of the counters each has its own.
//!
//! # Stop and crash
//!
//! After the stop flag each worker answers what is still queued in its socket and returns, within a tenth of a second
//! plus the time that takes. A panic in one answer costs that answer (SERVFAIL), one anywhere else costs a batch; both
//! are counted, and the worker goes on.
//!
//! # Limits
//!
//! Datagrams longer than a receive buffer are malformed; responses are at most as long as [`super::limits::UdpLimits`]
//! allows the client. Prefixes that ask too much are limited before their packets are decoded ([`answer`]), and the
//! worst of them by a program in the kernel ([`filter`]). Signed queries cost two hashes more and are answered here.
//! What is more than a query for our zones does not belong here: UPDATE messages are handed to a task of their own
//! ([`super::updates`]), which answers from the same socket later.

mod answer;
mod batch;
pub(super) mod filter;
mod own;
mod socket;
pub(super) mod worker;

pub(super) use answer::{Answerer, Later};
pub(super) use batch::queue;
pub(super) use own::OwnAddresses;
pub(super) use socket::{bind, probe};

#[cfg(test)]
mod tests;
