//! What decides on a query besides the view: limits of the server, the same for every transport.

use std::sync::Arc;

use super::limits::UdpLimits;
use super::rate::Rates;

/// The rules that every response keeps. One value for the whole server, shared by all workers.
#[derive(Debug, Default)]
pub struct Rules {
    /// Response sizes over UDP.
    pub udp: UdpLimits,
    /// How many answers over UDP a prefix gets; `None`: as many as it asks for.
    pub rates: Option<Arc<Rates>>,
}
