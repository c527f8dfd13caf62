//! DNS bytes in and out: the edge between the network and the pure core.
//!
//! A packet passes [`decode`] (what is asked), [`rules`] (what is known of the client: [`cookie`], [`keepalive`]),
//! `answer` (what the view says), [`rate`] (whether the client gets it) and [`encode`] (the response); [`respond`]
//! holds the last three together and is the same for every transport; [`batch`] takes many packets through them, step
//! by step. `udp`, `tcp` and [`encrypted`] bring packets and take responses; [`error`] writes what needs no view;
//! [`limits`] says how much a client gets. `encode` copies ready sets into a [`message`] and leaves answers of several
//! sets to `compose`, which compresses `names`; `opt` is the last record of each. [`tsig`] verifies what is signed with
//! a key, and signs the response. `rotation` chooses where a set starts, [`explain`] writes what somebody else knows,
//! `count` counts. [`server`] opens the sockets and runs it all.

pub mod batch;
pub mod cookie;
pub mod decode;
pub mod encode;
pub mod encrypted;
pub mod error;
pub mod explain;
pub mod keepalive;
pub mod limits;
pub mod message;
pub mod rate;
pub mod respond;
pub mod rules;
mod subset;
pub mod server;
pub mod tsig;
pub mod updates;

mod compose;
mod count;
mod names;
mod opt;
mod rotation;
mod tcp;
mod udp;

pub use cookie::{CookieOptions, Cookies};
#[cfg(feature = "fuzzing")]
pub use encrypted::read_get;
pub use encrypted::{Certificates, EncryptedAddrs, EncryptedOptions};
pub use explain::{Explain, Explainer};
pub use limits::{TcpLimits, UdpLimits};
pub use rules::{Rules, SharedKeys};
pub use server::{BindError, Bound, Serving, WireOptions, bind};
#[cfg(feature = "fuzzing")]
pub use tcp::messages;
pub use updates::{AnswerUpdates, Answered, SignedUpdate};
