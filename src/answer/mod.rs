//! A query against a view: pure.
//!
//! `answer` decides and borrows; it writes no octets and allocates nothing for the plain cases (a set at the name that
//! was asked, a negative answer). Aliases, delegations, sets whose targets have to be looked up, and whatever carries
//! signatures are put together in one [`Composed`]. `wire::encode` turns either into a message.

pub mod access;
mod compose;
mod denial;
pub mod explain;
pub mod lookup;
pub mod query;
pub mod server;
mod targets;
pub mod version;

use crate::model::Rtype;
use crate::view::{Entry, HELD, RrSet, View, Zone};

pub use compose::{Composed, Extra, Owner, Part};
pub use lookup::{Found, find, find_at};
pub use query::{CLASS_ANY, CLASS_CH, CLASS_IN, Cookie, Edns, Query, QueryName, Told, Transport};

/// A response code, the extended ones of EDNS included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl std::fmt::Display for Rcode {
    /// The name that tools show; a number that has none as `RCODE24`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match *self {
            Self::NOERROR => "NOERROR",
            Self::FORMERR => "FORMERR",
            Self::SERVFAIL => "SERVFAIL",
            Self::NXDOMAIN => "NXDOMAIN",
            Self::NOTIMP => "NOTIMP",
            Self::REFUSED => "REFUSED",
            Self::YXDOMAIN => "YXDOMAIN",
            Self::YXRRSET => "YXRRSET",
            Self::NXRRSET => "NXRRSET",
            Self::NOTAUTH => "NOTAUTH",
            Self::NOTZONE => "NOTZONE",
            Self::BADVERS => "BADVERS",
            Self(other) => return write!(f, "RCODE{other}"),
        })
    }
}

impl Rcode {
    /// No error (RFC 1035).
    pub const NOERROR: Self = Self(0);
    /// The query was not understood (RFC 1035).
    pub const FORMERR: Self = Self(1);
    /// The server cannot answer now (RFC 1035).
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist (RFC 1035).
    pub const NXDOMAIN: Self = Self(3);
    /// The opcode is not served (RFC 1035).
    pub const NOTIMP: Self = Self(4);
    /// Not by this server, or not for this client (RFC 1035).
    pub const REFUSED: Self = Self(5);
    /// A name that a DNAME gives would be too long (RFC 6672 section 2.2).
    pub const YXDOMAIN: Self = Self(6);
    /// A set exists that should not (RFC 2136).
    pub const YXRRSET: Self = Self(7);
    /// A set does not exist that should (RFC 2136).
    pub const NXRRSET: Self = Self(8);
    /// Not authoritative, or not signed as it should be (RFC 8945).
    pub const NOTAUTH: Self = Self(9);
    /// A name is not in the zone (RFC 2136).
    pub const NOTZONE: Self = Self(10);
    /// The EDNS version is not served (RFC 6891).
    pub const BADVERS: Self = Self(16);
    /// The server's part of the cookie is missing or not ours (RFC 7873).
    pub const BADCOOKIE: Self = Self(23);
}

/// An extended error: a code of RFC 8914 and words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ede<'v> {
    /// INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT.
    pub text: &'v str,
}

impl Ede<'_> {
    /// Other: the text says it.
    pub const OTHER: u16 = 0;
    /// The data are as old as the store's last word.
    pub const STALE_ANSWER: u16 = 3;
    /// The registry has not been loaded.
    pub const NOT_READY: u16 = 14;
    /// Not for this client.
    pub const PROHIBITED: u16 = 18;
    /// No zone of ours.
    pub const NOT_AUTHORITATIVE: u16 = 20;
}

/// The answer to one query: borrowed from the view, not yet octets.
#[derive(Debug)]
pub struct Answer<'v> {
    /// Response code.
    pub rcode: Rcode,
    /// The AA bit.
    pub authoritative: bool,
    /// What the sections hold.
    pub content: Content<'v>,
    /// Why, in words, for clients that speak EDNS.
    pub ede: Option<Ede<'v>>,
}

/// What the sections of a message hold.
#[derive(Debug)]
pub enum Content<'v> {
    /// Nothing.
    Empty,
    /// One set at the name that was asked, ready to be copied.
    Set(RrSet<'v>),
    /// The zone's SOA in the answer section.
    Soa(&'v Zone),
    /// The zone's SOA in the authority section: no such name, or no such type.
    Negative(&'v Zone),
    /// Several sets, or sets that do not belong to the name that was asked.
    Composed(Box<Composed<'v>>),
    /// What the server says of itself: a TXT record of class CH.
    Identity(&'v str),
    /// The answer to ANY: HINFO "RFC8482" (RFC 8482 section 4.2).
    Any,
    /// TXT that explains a name: somebody else writes it, and over UDP the client has to come back over TCP.
    Explanation,
}

/// Answers one query from one view.
pub fn answer<'v>(view: &'v View, query: &Query<'_>) -> Answer<'v> {
    answer_at(view, view.find(query.name.as_wire()), query)
}

/// The same for a query whose name has been looked up in the view.
pub fn answer_at<'v>(view: &'v View, entry: Option<Entry<'v>>, query: &Query<'_>) -> Answer<'v> {
    match query.class {
        CLASS_IN | CLASS_ANY => {}
        CLASS_CH => return server::answer(view, query),
        _ => return refused("zonebeat serves the classes IN and CH"),
    }
    let found = find_at(view, entry, query.name.as_wire(), query.rtype);
    let is_stale = view.stale || view.fleet_held;
    let is_of_registrations = is_stale && found.zone().is_some_and(|zone| zone.dynamic);
    let mut answer = match found {
        _ if query.wants_signatures() && found.zone().is_some_and(|zone| zone.ready && zone.is_signed()) => {
            compose::compose(view, query, found)
        }
        Found::Set(_, set) if set.follows_targets() && !(view.minimal && set.rtype == Rtype::SRV) => {
            compose::compose(view, query, found)
        }
        Found::Set(_, set) if view.minimal => Answer::yes(Content::Set(set.without_additional())),
        Found::Set(_, set) => Answer::yes(Content::Set(set)),
        Found::Soa(zone) => Answer::yes(Content::Soa(zone)),
        Found::Any(..) => Answer::yes(Content::Any),
        Found::NoData { zone, note } => Answer { ede: no_data_ede(note), ..Answer::yes(Content::Negative(zone)) },
        Found::NoName(zone) => match explain::content(view, query) {
            None => Answer { rcode: Rcode::NXDOMAIN, ..Answer::yes(Content::Negative(zone)) },
            Some(content) => Answer::yes(content),
        },
        Found::Alias(..) | Found::Redirect(..) | Found::Referral(..) | Found::Signatures(..) => {
            compose::compose(view, query, found)
        }
        Found::NotReady(zone) => not_ready(zone),
        Found::NotOurs => refused("the name is in none of this server's zones"),
    };
    if answer.ede.is_none()
        && let Some(text) = held(view, entry, &answer.content)
    {
        answer.ede = Some(Ede { code: Ede::STALE_ANSWER, text });
    }
    if is_stale && answer.ede.is_none() && (is_of_registrations || leads_to_registrations(view, &answer.content)) {
        answer.ede = Some(Ede { code: Ede::STALE_ANSWER, text: stale(view) });
    }
    if view.restricted { access::enforce(view, query, answer) } else { answer }
}

impl<'v> Answer<'v> {
    /// An authoritative NOERROR answer.
    pub fn yes(content: Content<'v>) -> Self {
        Self { rcode: Rcode::NOERROR, authoritative: true, content, ede: None }
    }

    /// An answer without records or authority.
    pub fn error(rcode: Rcode, ede: Option<Ede<'v>>) -> Self {
        Self { rcode, authoritative: false, content: Content::Empty, ede }
    }
}

/// Why a name has no data, in words, if there is something to say.
fn no_data_ede(note: &str) -> Option<Ede<'_>> {
    if note.is_empty() {
        return None;
    }
    let (code, text) = note.strip_prefix(HELD).map_or((Ede::OTHER, note), |held| (Ede::STALE_ANSWER, held));
    Some(Ede { code, text })
}

/// Why an answer may be stale, in words, if the guard holds an instance that it is made of: at the name that was asked,
/// or where aliases lead.
#[inline]
fn held<'v>(view: &'v View, entry: Option<Entry<'v>>, content: &Content<'v>) -> Option<&'v str> {
    if let Some(text) = entry.and_then(|entry| entry.held()) {
        return Some(text);
    }
    let Content::Composed(composed) = content else { return None };
    match composed.answer.last()? {
        Part::Set { set, .. } => view.find(set.owner)?.held(),
        Part::Synthesized { .. } | Part::Soa(..) => None,
    }
}

/// Whether aliases lead from another zone to one that has registrations.
fn leads_to_registrations(view: &View, content: &Content<'_>) -> bool {
    let Content::Composed(composed) = content else { return false };
    composed.answer.iter().chain(&composed.authority).any(|part| match part {
        Part::Set { set, .. } => view.find(set.owner).is_some_and(|entry| view.zone_of(&entry).dynamic),
        Part::Soa(zone, _) => zone.dynamic,
        Part::Synthesized { .. } => false,
    })
}

/// Why answers from registrations may be stale, in words.
fn stale(view: &View) -> &'static str {
    match view.stale {
        true => "the registry's store is away; this is its last known state",
        false => "many sessions fell silent together: the guard holds the lapses of the whole fleet",
    }
}

fn not_ready(zone: &Zone) -> Answer<'_> {
    let text = match zone.readable {
        true => "the registry has not been loaded yet",
        false => "the zone's file has an error; the server's log and `zonebeat check` show it",
    };
    Answer::error(Rcode::SERVFAIL, Some(Ede { code: Ede::NOT_READY, text }))
}

fn refused(text: &str) -> Answer<'_> {
    Answer::error(Rcode::REFUSED, Some(Ede { code: Ede::NOT_AUTHORITATIVE, text }))
}
