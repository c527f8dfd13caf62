//! DNS bytes in and out: the edge between the network and the pure core.
//!
//! A packet passes [`decode`] (what is asked), `answer` (what the view says), [`encode`] (the response); [`respond`]
//! holds the three together and is the same for every transport. `udp`, `tcp` and [`encrypted`] bring packets and take
//! responses; [`error`] writes what needs no view; [`limits`] says how much a client gets, [`rate`] how often,
//! [`cookie`] who is who. [`server`] opens the sockets and runs it all.

pub mod cookie;
pub mod decode;
pub mod encode;
pub mod encrypted;
pub mod error;
pub mod keepalive;
pub mod limits;
pub mod rate;
pub mod respond;
pub mod rules;
pub mod server;

mod compose;
mod count;
mod rotation;
pub mod message;
mod names;
mod opt;
mod tcp;
mod udp;

pub use cookie::{CookieOptions, Cookies};
pub use encrypted::{Certificates, EncryptedAddrs, EncryptedOptions};
pub use limits::{TcpLimits, UdpLimits};
pub use rules::Rules;
pub use server::{BindError, Bound, Serving, WireOptions, bind};
#[cfg(feature = "fuzzing")]
pub use tcp::messages;
