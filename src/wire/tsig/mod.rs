//! Messages signed with a shared key (TSIG, RFC 8945): verified before anything else is done with them, and answered
//! with signed responses.
//!
//! # The way of a signed message
//!
//! `wire::decode` finds the TSIG record that ends a message of any opcode and hands the message on as
//! [`Decoded::Signed`]; queries without one never come here. [`SignedPacket::open`] compares the signature with the
//! [`Keys`] of the server and gives the [`Opened`] message: without its signature, with the id that it was signed with,
//! to be decoded like any other; with the key, by which whoever handles it decides what the client may do; and with the
//! [`Signer`] that the response goes through before it is sent. A signature that is not good turns whatever was asked
//! into NOTAUTH.
//!
//! # What is accepted
//!
//! A MAC may be truncated to half of its length, and not below [`LEAST_MAC`] octets (BADTRUNC). Clocks may differ by as
//! much as the client says, and not by more than [`MAX_FUDGE`] seconds (BADTIME): for that long somebody who could read
//! a message on its way can repeat it. Nothing is remembered of messages: queries and transfers change nothing, and
//! those who share a key need not have one clock among them, so that an older time is no sign of a repetition.
//!
//! The HMAC is `security::keys`', and what is compared is compared in constant time.

mod record;
mod respond;
mod signer;

use std::sync::Arc;

use record::Record;
pub(super) use respond::{respond, respond_to};
pub use signer::Signer;

use super::decode::{Decoded, ErrorReply, HEADER, Origin};
use super::rules::Rules;
use crate::answer::{Ede, Rcode};
use crate::metrics::dns::CookieOutcome;
use crate::model::Clock;
use crate::model::clock::SystemClock;
use crate::security::{Key, Keys};

/// Seconds by which clocks may differ, at most; also what our own signatures allow (RFC 8945 section 10).
pub const MAX_FUDGE: u16 = 300;
/// The shortest MAC that is accepted: 128 bits.
pub const LEAST_MAC: usize = 16;
/// The shortest MAC that is one (RFC 8945 section 5.2.2.1).
const LEAST_TRUNCATED: usize = 10;

/// Why a signature is not good (RFC 8945 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not fit the message.
    Signature,
    /// There is no such key, or not with this algorithm.
    Key,
    /// It is too old, or too new.
    Time,
    /// Too little is left of it.
    Truncation,
}

impl Fault {
    /// The number in the error field of a TSIG record.
    pub fn code(self) -> u16 {
        match self {
            Self::Signature => 16,
            Self::Key => 17,
            Self::Time => 18,
            Self::Truncation => 22,
        }
    }

    /// In words, for clients that speak EDNS.
    fn text(self) -> &'static str {
        match self {
            Self::Signature => "BADSIG: the TSIG signature does not fit; compare the secrets of both sides",
            Self::Key => "BADKEY: no TSIG key of this name and algorithm is known",
            Self::Time => "BADTIME: the clocks differ by more than 300 seconds, or by more than the query allows",
            Self::Truncation => "BADTRUNC: the TSIG signature is shortened to less than 128 bits",
        }
    }
}

/// A message that ends in a well-formed TSIG record: nothing else of it has been looked at.
#[derive(Debug, Clone, Copy)]
pub struct SignedPacket<'p> {
    /// The whole message.
    pub packet: &'p [u8],
    /// Where the TSIG record begins.
    pub at: usize,
    /// Where it comes from.
    pub origin: Origin,
}

/// A message whose signature has been looked at.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The message without the signature, as it was signed.
    pub message: Vec<u8>,
    /// What the response has to go through; `None` if the TSIG record is too broken to be answered with one.
    pub signer: Option<Signer>,
    /// Who signed it, or what is answered in place of whatever it asks for.
    pub verdict: Result<Arc<Key>, Refused>,
}

/// What is answered to a message whose signature is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The MAC is longer than its algorithm makes it, or shorter than any may be: FORMERR (RFC 8945 section 5.2.2.1).
    Malformed,
    /// NOTAUTH, and in the TSIG record of the response what is wrong.
    NotAuth(Fault),
}

impl Refused {
    /// The response code.
    pub fn rcode(self) -> Rcode {
        match self {
            Self::Malformed => Rcode::FORMERR,
            Self::NotAuth(_) => Rcode::NOTAUTH,
        }
    }

    /// In words, for clients that speak EDNS.
    pub fn extended(self) -> Ede<'static> {
        let text = match self {
            Self::Malformed => "the TSIG signature has a length that none can have",
            Self::NotAuth(fault) => fault.text(),
        };
        Ede { code: Ede::OTHER, text }
    }
}

/// What time signatures are compared with, in seconds since 1970.
pub fn now() -> u64 {
    SystemClock::new().wall().0 / 1000
}

impl SignedPacket<'_> {
    /// The name of the key that it says it is signed with, without its final dot.
    pub(super) fn key_name(&self) -> Option<String> {
        let record = Record::read(self.packet, self.at)?;
        Some(record.name.to_string().trim_end_matches('.').to_owned())
    }

    /// Verifies the signature (RFC 8945 section 5.2).
    pub fn open(&self, keys: &Keys, now: u64) -> Opened {
        let mut message = self.packet[..self.at].to_vec();
        let count = u16::from_be_bytes([message[HEADER - 2], message[HEADER - 1]]).saturating_sub(1);
        message[HEADER - 2..HEADER].copy_from_slice(&count.to_be_bytes());
        let Some(record) = Record::read(self.packet, self.at) else {
            return Opened { message, signer: None, verdict: Err(Refused::Malformed) };
        };
        let key = keys.find(record.name.as_wire());
        let key = key.filter(|key| key.algorithm().as_wire() == record.algorithm.as_wire());
        let verdict = match key {
            None => Err(Refused::NotAuth(Fault::Key)),
            Some(key) => check(&record, key, &message, now).map(|()| key.clone()),
        };
        let signer = match &verdict {
            Ok(key) => Some(Signer::new(&record, Some(key.clone()), None)),
            Err(Refused::Malformed) => None,
            Err(Refused::NotAuth(fault @ (Fault::Key | Fault::Signature))) => {
                Some(Signer::new(&record, None, Some(*fault)))
            }
            Err(Refused::NotAuth(fault)) => Some(Signer::new(&record, key.cloned(), Some(*fault))),
        };
        Opened { message, signer, verdict }
    }
}

/// Compares the signature with what was signed: `message` with the id that it had then.
fn check(record: &Record<'_>, key: &Key, message: &[u8], now: u64) -> Result<(), Refused> {
    let whole = key.algorithm().mac_octets();
    let least = LEAST_TRUNCATED.max(whole.div_ceil(2));
    if !(least..=whole).contains(&record.mac.len()) {
        return Err(Refused::Malformed);
    }
    let id = record.original_id.to_be_bytes();
    let fault = match () {
        () if !key.verify(&[&id, &message[2..], &record.variables()], record.mac) => Fault::Signature,
        () if now.abs_diff(record.time) > u64::from(record.fudge.min(MAX_FUDGE)) => Fault::Time,
        () if record.mac.len() < LEAST_MAC => Fault::Truncation,
        () => return Ok(()),
    };
    Err(Refused::NotAuth(fault))
}

impl Opened {
    /// Decodes what was signed; what is refused is an error, whatever it asks for.
    pub fn decode(&self, rules: &Rules, origin: Origin) -> (Decoded<'_>, Option<CookieOutcome>) {
        let (decoded, cookie) = rules.decode(&self.message, origin);
        let Err(refused) = self.verdict else { return (decoded, cookie) };
        let (rcode, extended) = (refused.rcode(), Some(refused.extended()));
        let error = match decoded {
            Decoded::Query(query) => ErrorReply { extended, ..ErrorReply::new(&query, rcode) },
            Decoded::Error(error) => ErrorReply { rcode, extended, ..error },
            Decoded::Drop(_) | Decoded::Signed(_) => return (decoded, cookie),
        };
        (Decoded::Error(error), cookie)
    }
}

#[cfg(test)]
mod tests;
