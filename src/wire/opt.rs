//! The OPT record of a response (RFC 6891): what it will hold is settled before the sections are written, because it
//! takes room from them.

use super::decode::ErrorReply;
use super::message::{Message, Section};
use crate::answer::{Answer, Ede, Edns, Query, Rcode};
use crate::model::Rtype;
use crate::view::View;

const HEAD: usize = 11;
const OPTION_HEAD: usize = 4;
const NSID: u16 = 3;
const EDE: u16 = 15;
/// The most octets of text in an extended error, so that it rarely is what makes an answer too long.
const EDE_TEXT: usize = 200;

/// The OPT record that a response ends in; empty when the query had none.
pub(super) struct Opt<'a> {
    present: bool,
    udp_size: u16,
    extended_rcode: u8,
    dnssec_ok: bool,
    nsid: Option<&'a str>,
    ede: Option<Ede<'a>>,
}

impl<'a> Opt<'a> {
    /// What the answer says in OPT, at most `room` octets of it: an extended error that does not fit is left out.
    pub(super) fn of(view: &'a View, query: &Query<'_>, answer: &Answer<'a>, room: usize) -> Self {
        let mut opt = Self::new(query.edns, view.server.udp_size, answer.rcode, answer.ede);
        opt.nsid = view.server.identity.as_deref().filter(|_| query.edns.is_some_and(|edns| edns.nsid));
        if opt.length() > room {
            opt.ede = None;
        }
        opt
    }

    /// What an error says in OPT.
    pub(super) fn of_error(reply: &ErrorReply<'_>, udp_size: u16) -> Self {
        Self::new(reply.edns, udp_size, reply.rcode, reply.extended)
    }

    fn new(edns: Option<Edns>, udp_size: u16, rcode: Rcode, ede: Option<Ede<'a>>) -> Self {
        let short = |Ede { code, text }: Ede<'a>| Ede { code, text: &text[..text.floor_char_boundary(EDE_TEXT)] };
        Self {
            present: edns.is_some(),
            udp_size,
            extended_rcode: (rcode.0 >> 4) as u8,
            dnssec_ok: edns.is_some_and(|edns| edns.dnssec_ok),
            nsid: None,
            ede: ede.map(short),
        }
    }

    /// Octets of the record.
    pub(super) fn length(&self) -> usize {
        if self.present { HEAD + self.options() } else { 0 }
    }

    fn options(&self) -> usize {
        let nsid = self.nsid.map_or(0, |nsid| OPTION_HEAD + nsid.len());
        nsid + self.ede.map_or(0, |ede| OPTION_HEAD + 2 + ede.text.len())
    }

    /// Writes the record.
    pub(super) fn write(&self, message: &mut Message<'_>) {
        if !self.present {
            return;
        }
        let mut head = [0; HEAD];
        head[1..3].copy_from_slice(&Rtype::OPT.0.to_be_bytes());
        head[3..5].copy_from_slice(&self.udp_size.to_be_bytes());
        head[5] = self.extended_rcode;
        head[7] = if self.dnssec_ok { 0x80 } else { 0 };
        head[9..].copy_from_slice(&(self.options() as u16).to_be_bytes());
        message.copy(Section::Additional, 1, &head, &[]);
        if let Some(nsid) = self.nsid {
            message.copy(Section::Additional, 0, &option_head(NSID, nsid.len()), nsid.as_bytes());
        }
        if let Some(Ede { code, text }) = self.ede {
            message.copy(Section::Additional, 0, &option_head(EDE, 2 + text.len()), &code.to_be_bytes());
            message.copy(Section::Additional, 0, text.as_bytes(), &[]);
        }
    }
}

fn option_head(code: u16, length: usize) -> [u8; OPTION_HEAD] {
    let (code, length) = (code.to_be_bytes(), (length as u16).to_be_bytes());
    [code[0], code[1], length[0], length[1]]
}
