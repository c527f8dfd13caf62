//! What decides on a query besides the view: limits of the server, the same for every transport.

use std::sync::Arc;

use super::cookie::Cookies;
use super::decode::Decoded;
use super::keepalive::Keepalive;
use super::limits::UdpLimits;
use super::rate::Rates;
use crate::metrics::dns::CookieOutcome;

/// The rules that every response keeps. One value for the whole server, shared by all workers.
#[derive(Debug, Default)]
pub struct Rules {
    /// Response sizes over UDP.
    pub udp: UdpLimits,
    /// Who is who.
    pub cookies: Arc<Cookies>,
    /// How long connections may be idle.
    pub keepalive: Keepalive,
    /// How many answers over UDP a prefix gets; `None`: as many as it asks for.
    pub rates: Option<Arc<Rates>>,
}

impl Rules {
    /// Settles what EDNS options of a query come to before it is answered: what its cookie says of the client, and what
    /// the response tells besides the answer. May turn the query into an error.
    pub(super) fn settle(&self, decoded: &mut Decoded<'_>) -> Option<CookieOutcome> {
        self.keepalive.settle(decoded);
        self.cookies.check(decoded)
    }
}
