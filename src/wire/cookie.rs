//! DNS cookies (RFC 7873) as all servers make them (RFC 9018): they show that a client receives what is sent to its
//! address, without remembering anybody.
//!
//! # Shape
//!
//! ```text
//! server's part   version 1 | reserved 3 | time 4 | hash 8
//! hash            SipHash-2-4(secret; client's part | version | reserved | time | client's address)
//! ```
//!
//! [`Cookies`] holds the secrets: the first makes cookies, all of them verify. The list is swapped as a whole, so that
//! workers read it without waiting; a check allocates nothing.
//!
//! # Who changes it
//!
//! Secrets of the server's own are random, live in memory only and are replaced by [`Cookies::rotate`], which keeps the
//! one before: a restart makes every cookie invalid, which costs each client one more answer. Secrets that several
//! servers share come from the operator and are replaced by [`Cookies::replace`] alone.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;

use super::decode::{Decoded, ErrorReply};
use crate::answer::{Cookie, Rcode};
use crate::metrics::dns::CookieOutcome;

const VERSION: u8 = 1;
/// How old a cookie may be, how far in the future, and how old before it is renewed (RFC 9018 section 4.3); seconds.
const MAX_AGE: i32 = 3600;
const MAX_AHEAD: i32 = 300;
const RENEWAL_AGE: i32 = 1800;

/// A secret that cookies are made with.
pub type Secret = [u8; 16];

/// How cookies are used.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieOptions {
    /// Whether COOKIE options are read at all.
    pub enabled: bool,
    /// Whether a query over UDP that has a COOKIE option without a good server's part is answered with BADCOOKIE.
    pub require: bool,
    /// Shared secrets: the first makes cookies, all of them verify. Empty: a random one that is rotated.
    pub secrets: Vec<Secret>,
    /// How often a random secret is replaced. Its cookies stay good until the next time, at most an hour.
    pub rotation: Duration,
}

impl Default for CookieOptions {
    fn default() -> Self {
        Self { enabled: true, require: false, secrets: Vec::new(), rotation: Duration::from_secs(86_400) }
    }
}

/// Never shows the secrets.
impl std::fmt::Debug for CookieOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { enabled, require, rotation, .. } = self;
        f.debug_struct("CookieOptions")
            .field("enabled", enabled)
            .field("require", require)
            .field("rotation", rotation)
            .finish_non_exhaustive()
    }
}

/// Makes and verifies cookies.
pub struct Cookies {
    enabled: bool,
    require: bool,
    /// Never empty.
    secrets: ArcSwap<Vec<SipHasher24>>,
}

impl Default for Cookies {
    fn default() -> Self {
        Self::new(&CookieOptions::default())
    }
}

/// Never shows the secrets.
impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookies").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Cookies {
    /// Cookies as the options say; with a random secret if they name none.
    pub fn new(options: &CookieOptions) -> Self {
        let cookies = Self { enabled: options.enabled, require: options.require, secrets: ArcSwap::default() };
        match options.secrets.is_empty() {
            true => cookies.secrets.store(vec![random()].into()),
            false => cookies.replace(&options.secrets),
        }
        cookies
    }

    /// Puts shared secrets in force; an empty list changes nothing.
    pub fn replace(&self, secrets: &[Secret]) {
        if !secrets.is_empty() {
            let keyed: Vec<_> = secrets.iter().map(SipHasher24::new_with_key).collect();
            self.secrets.store(keyed.into());
        }
    }

    /// Makes cookies with a new random secret from now on; the one before still verifies.
    pub fn rotate(&self) {
        let previous = self.secrets.load().first().copied();
        self.secrets.store(std::iter::once(random()).chain(previous).collect::<Vec<_>>().into());
    }

    /// Rotates for ever; for servers without shared secrets.
    pub(super) async fn keep_rotating(&self, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.rotate();
        }
    }

    /// Looks at the cookie of a query and settles which one the response carries. Says what it found; nothing for
    /// queries without a cookie.
    ///
    /// A good cookie makes the client `verified`. One that is required and not there, and one that is bad in a query
    /// for nothing but a cookie (RFC 7873 section 5.4), turns the query into BADCOOKIE.
    pub(super) fn check(&self, decoded: &mut Decoded<'_>) -> Option<CookieOutcome> {
        self.check_at(decoded, seconds())
    }

    fn check_at(&self, decoded: &mut Decoded<'_>, now: impl FnOnce() -> u32) -> Option<CookieOutcome> {
        let (edns, client) = match decoded {
            Decoded::Query(query) => (query.edns.as_mut()?, query.client),
            Decoded::Error(reply) => (reply.edns.as_mut()?, reply.origin.client),
            Decoded::Drop(_) | Decoded::Signed(_) => return None,
        };
        let sent = edns.cookie?;
        let outcome = self.enabled.then(|| {
            let (outcome, server) = self.judge(sent, client, now());
            edns.told.cookie = Some(server);
            outcome
        });
        self.decide(decoded, outcome);
        outcome
    }

    /// What the cookie says of the client, and the server's part for the response.
    fn judge(&self, sent: Cookie, client: IpAddr, now: u32) -> (CookieOutcome, [u8; 16]) {
        let secrets = self.secrets.load();
        let found = sent.server.and_then(|server| {
            let by = secrets.iter().position(|secret| server == make(secret, sent.client, &server, client))?;
            let age = now.wrapping_sub(time_of(&server)) as i32; // RFC 1982, as RFC 9018 section 4.3 wants it
            (-MAX_AHEAD..=MAX_AGE).contains(&age).then_some((server, by == 0 && age <= RENEWAL_AGE))
        });
        let fresh = || {
            let [a, b, c, d] = now.to_be_bytes();
            let head = [VERSION, 0, 0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0];
            make(&secrets[0], sent.client, &head, client)
        };
        match found {
            Some((server, true)) => (CookieOutcome::Valid, server),
            Some((_, false)) => (CookieOutcome::Renewed, fresh()),
            None if sent.server.is_some() => (CookieOutcome::Bad, fresh()),
            None => (CookieOutcome::New, fresh()),
        }
    }

    /// Draws the consequences; `outcome` is missing while cookies are off.
    fn decide(&self, decoded: &mut Decoded<'_>, outcome: Option<CookieOutcome>) {
        let good = matches!(outcome, Some(CookieOutcome::Valid | CookieOutcome::Renewed));
        match decoded {
            Decoded::Query(query) if good => query.verified = true,
            Decoded::Query(query) if self.enabled && self.require && query.transport.is_datagram() => {
                *decoded = Decoded::Error(ErrorReply::new(query, Rcode::BADCOOKIE));
            }
            Decoded::Error(reply) if reply.rcode == Rcode::NOERROR => match outcome {
                None => reply.rcode = Rcode::FORMERR,
                Some(CookieOutcome::Bad) => reply.rcode = Rcode::BADCOOKIE,
                Some(_) => {}
            },
            _ => {}
        }
    }
}

/// The server's part with the head of `server`: version, reserved octets and time.
fn make(secret: &SipHasher24, client_part: [u8; 8], server: &[u8; 16], client: IpAddr) -> [u8; 16] {
    let mut input = [0; 32];
    input[..8].copy_from_slice(&client_part);
    input[8..16].copy_from_slice(&server[..8]);
    let length = match client {
        IpAddr::V4(v4) => {
            input[16..20].copy_from_slice(&v4.octets());
            20
        }
        IpAddr::V6(v6) => {
            input[16..].copy_from_slice(&v6.octets());
            32
        }
    };
    let mut made = *server;
    made[0] = VERSION; // so that no other version ever equals what we make
    made[8..].copy_from_slice(&secret.hash(&input[..length]).to_le_bytes());
    made
}

fn time_of(server: &[u8; 16]) -> u32 {
    u32::from_be_bytes([server[4], server[5], server[6], server[7]])
}

/// A secret that nobody knows.
fn random() -> SipHasher24 {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).expect("Linux gives random octets to every process once it has started");
    SipHasher24::new_with_key(&secret)
}

/// Reads the wall clock when it is asked: seconds since 1970, as many as 32 bits hold.
#[allow(clippy::disallowed_methods)] // because other servers check these times; the tests bring their own
fn seconds() -> impl FnOnce() -> u32 {
    || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

#[cfg(test)]
mod tests;
