//! The OPT record of a response (RFC 6891): what it will hold is settled before the sections are written, because it
//! takes room from them.
//!
//! Options are written in the order of [`Opt::options`]; padding comes last, since its length follows from everything
//! before it. When there is no room for all, the extended error goes, which is for people; the others fit into the
//! smallest response with the longest question.

pub(super) mod code;
mod padding;

use super::decode::ErrorReply;
use super::message::{Message, Section};
use crate::answer::version::{ZoneVersion, answering_zone, expiry};
use crate::answer::{Answer, Ede, Edns, Query, Rcode};
use crate::model::Rtype;
use crate::view::View;

const HEAD: usize = 11;
const OPTION_HEAD: usize = 4;
/// The most octets of text in an extended error, so that it rarely is what makes an answer too long.
const EDE_TEXT: usize = 200;
/// VERSION is a serial (RFC 9660 section 2.1).
const SOA_SERIAL: u8 = 0;

/// The OPT record that a response ends in; empty when the query had none.
#[derive(Clone, Copy, Default)]
pub(super) struct Opt<'a> {
    present: bool,
    udp_size: u16,
    extended_rcode: u8,
    dnssec_ok: bool,
    nsid: Option<&'a str>,
    /// The client's part and the server's.
    cookie: Option<([u8; 8], [u8; 16])>,
    keepalive: Option<u16>,
    expire: Option<u32>,
    zone_version: Option<ZoneVersion>,
    ede: Option<Ede<'a>>,
    padded: bool,
    /// Octets of the record without padding; see [`Self::measured`].
    length: usize,
}

impl<'a> Opt<'a> {
    /// What the answer says in OPT, at most `room` octets of it: an extended error that does not fit is left out.
    pub(super) fn of(view: &'a View, query: &Query<'_>, answer: &Answer<'a>, room: usize) -> Self {
        let Some(edns) = query.edns else { return Self::default() };
        let mut opt = Self::new(edns, view.server.udp_size, answer.rcode, answer.ede);
        opt.nsid = view.server.identity.as_deref().filter(|_| edns.nsid);
        if edns.zone_version || edns.expire {
            let zone = answering_zone(view, query, answer);
            opt.zone_version = zone.filter(|_| edns.zone_version).map(ZoneVersion::of);
            opt.expire = zone.filter(|_| edns.expire).and_then(|zone| expiry(zone, query));
        }
        opt.within(room)
    }

    /// What an error says in OPT, at most `room` octets of it.
    pub(super) fn of_error(reply: &ErrorReply<'a>, udp_size: u16, room: usize) -> Self {
        let opt = reply.edns.map(|edns| Self::new(edns, udp_size, reply.rcode, reply.extended));
        opt.unwrap_or_default().within(room)
    }

    fn new(edns: Edns, udp_size: u16, rcode: Rcode, ede: Option<Ede<'a>>) -> Self {
        let short = |Ede { code, text }: Ede<'a>| Ede { code, text: &text[..text.floor_char_boundary(EDE_TEXT)] };
        Self {
            present: true,
            udp_size,
            extended_rcode: (rcode.0 >> 4) as u8,
            dnssec_ok: edns.dnssec_ok,
            cookie: edns.cookie.map(|cookie| cookie.client).zip(edns.told.cookie),
            keepalive: edns.told.keepalive,
            ede: ede.map(short),
            padded: edns.padding,
            ..Self::default()
        }
    }

    /// The same without the extended error; nothing if there is none.
    pub(super) fn without_error(&self) -> Option<Self> {
        self.ede.map(|_| Self { ede: None, ..*self }.measured())
    }

    /// The same with an extended error, unless it has one already or that would make more than `room` octets of it.
    pub(super) fn with_error<'b>(self, ede: Ede<'b>, room: usize) -> Opt<'b>
    where
        'a: 'b,
    {
        let with = Opt { ede: self.ede.or(Some(ede)), ..self }.measured();
        if with.length() > room { self } else { with }
    }

    fn within(self, room: usize) -> Self {
        let whole = self.measured();
        if whole.length > room && whole.ede.is_some() { Self { ede: None, ..whole }.measured() } else { whole }
    }

    /// Works out the length, once everything is in it.
    fn measured(mut self) -> Self {
        if self.present {
            let mut length = HEAD;
            self.options(|_, first, second| length += OPTION_HEAD + first.len() + second.len());
            self.length = length;
        }
        self
    }

    /// Octets of the record without padding, which takes only what is left over.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// All options but padding, the data of each in two parts.
    fn options(&self, mut each: impl FnMut(u16, &[u8], &[u8])) {
        if let Some(nsid) = self.nsid {
            each(code::NSID, nsid.as_bytes(), &[]);
        }
        if let Some((client, server)) = &self.cookie {
            each(code::COOKIE, client, server);
        }
        if let Some(timeout) = self.keepalive {
            each(code::KEEPALIVE, &timeout.to_be_bytes(), &[]);
        }
        if let Some(seconds) = self.expire {
            each(code::EXPIRE, &seconds.to_be_bytes(), &[]);
        }
        if let Some(ZoneVersion { labels, serial }) = self.zone_version {
            each(code::ZONE_VERSION, &[labels, SOA_SERIAL], &serial.to_be_bytes());
        }
        if let Some(Ede { code, text }) = self.ede {
            each(code::EDE, &code.to_be_bytes(), text.as_bytes());
        }
    }

    /// Writes the record, and ends the message at the length that padding gives it.
    pub(super) fn write(&self, message: &mut Message<'_>) {
        if !self.present {
            return;
        }
        let unpadded = message.len() + self.length();
        let padding = self.padding(unpadded, message.limit());
        let mut head = [0; HEAD];
        head[1..3].copy_from_slice(&Rtype::OPT.0.to_be_bytes());
        head[3..5].copy_from_slice(&self.udp_size.to_be_bytes());
        head[5] = self.extended_rcode;
        head[7] = if self.dnssec_ok { 0x80 } else { 0 };
        let options = self.length() - HEAD + padding.map_or(0, |octets| OPTION_HEAD + octets);
        head[9..].copy_from_slice(&(options as u16).to_be_bytes());
        message.copy(Section::Additional, 1, &head, &[]);
        self.options(|code, first, second| {
            message.copy(Section::Additional, 0, &option_head(code, first.len() + second.len()), &[]);
            message.copy(Section::Additional, 0, first, second);
        });
        if let Some(octets) = padding {
            let zeroes = &[0; padding::BLOCK][..octets];
            message.copy(Section::Additional, 0, &option_head(code::PADDING, octets), zeroes);
        }
    }

    /// Octets of the padding option, if there is one and room for it.
    fn padding(&self, unpadded: usize, limit: usize) -> Option<usize> {
        let length = unpadded + OPTION_HEAD;
        (self.padded && length <= limit).then(|| padding::octets_behind(length, limit))
    }
}

fn option_head(code: u16, length: usize) -> [u8; OPTION_HEAD] {
    let (code, length) = (code.to_be_bytes(), (length as u16).to_be_bytes());
    [code[0], code[1], length[0], length[1]]
}

#[cfg(test)]
mod tests;
