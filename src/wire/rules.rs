//! What decides on a query besides the view: limits of the server, the same for every transport.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::cookie::Cookies;
use super::decode::{Decoded, DropReason, Origin, decode_into};
use super::keepalive::Keepalive;
use super::limits::UdpLimits;
use super::rate::Rates;
use super::updates::Desk;
use crate::metrics::dns::CookieOutcome;
use crate::security::Keys;

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
    /// Whose signatures count.
    pub keys: SharedKeys,
    /// Who takes UPDATE messages, if somebody does.
    pub updates: Option<Desk>,
}

/// The TSIG keys in force: shared with whoever reads them again.
pub type SharedKeys = Arc<ArcSwap<Keys>>;

impl Rules {
    /// Reads one packet, and settles what can be known of it before it is answered: whether its cookie shows who sent
    /// it (which may turn the query into an error), and what the response tells besides the answer. Says what the
    /// cookie was worth, if there was one.
    pub fn decode<'p>(&self, packet: &'p [u8], origin: Origin) -> (Decoded<'p>, Option<CookieOutcome>) {
        let mut decoded = Decoded::Drop(DropReason::Short);
        let cookie = self.decode_into(packet, origin, &mut decoded);
        (decoded, cookie)
    }

    /// The same into `decoded`, whatever it was.
    pub fn decode_into<'p>(
        &self,
        packet: &'p [u8],
        origin: Origin,
        decoded: &mut Decoded<'p>,
    ) -> Option<CookieOutcome> {
        decode_into(packet, origin, decoded);
        self.keepalive.settle(decoded);
        self.cookies.check(decoded)
    }
}
