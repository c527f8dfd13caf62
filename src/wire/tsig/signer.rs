//! Signs responses (RFC 8945 sections 5.3 and 5.3.1).

use std::sync::Arc;

use super::record::{FIXED, Record};
use super::{Fault, MAX_FUDGE};
use crate::model::Name;
use crate::security::{Key, Mac};
use crate::wire::decode::HEADER;

/// What ends the response to a message that had a TSIG record: each of its messages, if it is a stream.
#[derive(Debug, Clone)]
pub struct Signer {
    name: Name,
    algorithm: Name,
    /// `None`: the client has no such key, or another one. The record then has no MAC.
    key: Option<Arc<Key>>,
    /// That of the request; within a stream, that of the message before.
    prior: Mac,
    fault: Option<Fault>,
    /// The time and fudge of the request.
    asked: (u64, u16),
    /// Whether a message has been signed.
    begun: bool,
}

impl Signer {
    pub(super) fn new(request: &Record<'_>, key: Option<Arc<Key>>, fault: Option<Fault>) -> Self {
        Self {
            name: request.name.clone(),
            algorithm: request.algorithm.clone(),
            key,
            prior: Mac::new(request.mac),
            fault,
            asked: (request.time, request.fudge),
            begun: false,
        }
    }

    /// The key of the request, if its signature was good.
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref().filter(|_| self.fault.is_none())
    }

    /// Octets that a signature adds to a message.
    pub fn length(&self) -> usize {
        let mac = self.key.as_ref().map_or(0, |key| key.algorithm().mac_octets());
        let other = if self.fault == Some(Fault::Time) { 6 } else { 0 };
        self.name.as_wire().len() + self.algorithm.as_wire().len() + FIXED + mac + other
    }

    /// Signs the message of `len` octets in `out`, which has room for [`Self::length`] more; returns its new length.
    /// `now` is in seconds since 1970.
    pub fn sign(&mut self, out: &mut [u8], len: usize, now: u64) -> usize {
        let other = now.to_be_bytes();
        let (time, fudge) = match self.fault {
            None => (now, MAX_FUDGE),
            Some(_) => self.asked, // a client whose clock is wrong can verify it too
        };
        let mut record = Record {
            name: self.name.clone(),
            algorithm: self.algorithm.clone(),
            time,
            fudge,
            mac: &[],
            original_id: u16::from_be_bytes([out[0], out[1]]),
            error: self.fault.map_or(0, Fault::code),
            other: if self.fault == Some(Fault::Time) { &other[2..] } else { &[] },
        };
        let mac = self.key.as_ref().map(|key| {
            let length = (self.prior.as_slice().len() as u16).to_be_bytes();
            let last = if self.begun { record.timers().to_vec() } else { record.variables() };
            key.sign(&[&length, self.prior.as_slice(), &out[..len], &last])
        });
        record.mac = mac.as_ref().map_or(&[], Mac::as_slice);
        let octets = record.write();
        out[len..len + octets.len()].copy_from_slice(&octets);
        let count = u16::from_be_bytes([out[HEADER - 2], out[HEADER - 1]]) + 1; // ours never have as many as that
        out[HEADER - 2..HEADER].copy_from_slice(&count.to_be_bytes());
        if let Some(mac) = mac {
            (self.prior, self.begun) = (mac, true);
        }
        len + octets.len()
    }

    /// Signs a whole message.
    pub fn sign_message(&mut self, message: &mut Vec<u8>, now: u64) {
        let len = message.len();
        message.resize(len + self.length(), 0);
        let signed = self.sign(message, len, now);
        message.truncate(signed);
    }
}
