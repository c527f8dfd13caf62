//! What decides on a query besides the view: limits of the server, the same for every transport.

use super::limits::UdpLimits;

/// The rules that every response keeps. One value for the whole server, shared by all workers.
#[derive(Debug, Default)]
pub struct Rules {
    /// Response sizes over UDP.
    pub udp: UdpLimits,
}
