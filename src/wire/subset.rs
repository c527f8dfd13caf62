//! Large sets in messages: the whole set, or the part of it that the client's prefix gets.
//!
//! A set is answered whole when it fits, unless its service declares an `answer_limit` below its count: then every
//! client gets that many records. Over UDP that is all: what does not fit is truncated, so that the client comes back
//! over TCP. Over a stream there is nothing larger to come back for, so as many records are answered as a message
//! holds. Who gets a part is told so in an extended error.

use std::fmt::Write as _;

use super::decode::HEADER;
use super::encode::first_record;
use super::message::{Message, Section};
use crate::answer::{self, Answer, Content, Ede, Query};
use crate::view::RrSet;
use crate::view::large::{ClientPrefix, LargeSet, MOST, Pick, RESERVED, Record, additional};
use crate::view::rrset::{Body, MAX_POINTER, RECORD_HEAD, SRV_TARGET};

use super::respond::MAX_TCP;

/// The most octets that the text of a [`Part`] has.
const TEXT: usize = 80;

/// How much of a large set an answer has, in words.
pub(super) struct Part {
    text: [u8; TEXT],
    len: usize,
}

impl Part {
    /// What to say of an answer with so many records; `None` if it has all, or is not from a large set.
    pub(super) fn of(answer: &Answer<'_>, records: usize) -> Option<Self> {
        let (set, others) = large_set(&answer.content)?;
        let records = records.saturating_sub(others);
        let mut part = Self { text: [0; TEXT], len: 0 };
        let (answered, count) = (Grouped(records), Grouped(set.len()));
        let is_part = records > 0 && records < set.len();
        is_part.then(|| {
            let text = write!(part, "{answered} of {count}, chosen by client prefix; HTTP and AXFR have all");
            text.expect("two numbers and some words are shorter than the room for them");
            part
        })
    }

    /// The extended error that says it.
    pub(super) fn ede(&self) -> Ede<'_> {
        Ede { code: Ede::OTHER, text: std::str::from_utf8(&self.text[..self.len]).unwrap_or_default() }
    }
}

/// The large set of an answer, and how many records stand beside it: an alias leads to one such set at most.
fn large_set<'v>(content: &Content<'v>) -> Option<(&'v LargeSet, usize)> {
    let composed = match content {
        Content::Set(RrSet { body: Body::Large(set), .. }) => return Some((*set, 0)),
        Content::Composed(composed) => composed,
        _ => return None,
    };
    let (mut large, mut others): (Option<&LargeSet>, _) = (None, 0);
    for part in &composed.answer {
        match part {
            answer::Part::Set { set: RrSet { body: Body::Large(set), .. }, .. } => large = Some(*set),
            answer::Part::Set { set, .. } => others += set.count as usize,
            answer::Part::Synthesized { .. } | answer::Part::Soa(..) => others += 1,
        }
    }
    large.map(|large| (large, others))
}

impl std::fmt::Write for Part {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        self.text.get_mut(self.len..end).ok_or(std::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// A number with a comma before every three digits.
struct Grouped(usize);

impl std::fmt::Display for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 1000, self.0 % 1000) {
            (0, rest) => write!(f, "{rest}"),
            (thousands, rest) => write!(f, "{},{rest:03}", Grouped(thousands)),
        }
    }
}

/// Writes a large set or a part of it; `false` when that does not fit.
pub(super) fn write(query: &Query<'_>, set: &RrSet<'_>, large: &LargeSet, message: &mut Message<'_>) -> bool {
    let room = room(query, message, 0);
    let most = large.limit().unwrap_or(usize::MAX);
    if large.len() <= most && large.octets() <= room {
        let first = first_record(query.rotation, set);
        let records = large.records_from(first).chain(large.records().take(first));
        return copy(records, set.additional_count > 0, message);
    }
    with_part(query, large, room, |picks| {
        let records = rotated(query, set, picks).map(|pick| large.record(*pick));
        !picks.is_empty() && copy(records, set.additional_count > 0, message)
    })
}

/// What was chosen from a set, starting where the rotation says.
pub(super) fn rotated<'p>(
    query: &Query<'_>,
    set: &RrSet<'_>,
    picks: &'p [Pick],
) -> impl Iterator<Item = &'p Pick> + Clone {
    let first = first_record(query.rotation, &RrSet { count: picks.len() as u32, ..*set });
    picks[first..].iter().chain(&picks[..first])
}

/// Octets that records may take, `beside` of them for something else. Over a stream some are kept free whatever OPT
/// holds, so that all queries of a client get the same part.
pub(super) fn room(query: &Query<'_>, message: &Message<'_>, beside: usize) -> usize {
    let room = message.limit().saturating_sub(message.len());
    let most = match query.transport.is_datagram() {
        true => room,
        false => room.min(MAX_TCP - RESERVED - HEADER - query.question.len()),
    };
    most.saturating_sub(beside)
}

/// Hands what the client gets to `then`, the best record first; nothing when that does not fit into `room`.
pub(super) fn with_part<T>(query: &Query<'_>, large: &LargeSet, room: usize, then: impl FnOnce(&[Pick]) -> T) -> T {
    let most = large.limit().unwrap_or(usize::MAX).min(large.len()).min(MOST);
    let mean = large.octets() / large.len().max(1);
    if query.transport.is_datagram() && (large.limit().is_none() || most * mean > 2 * room) {
        return then(&[]);
    }
    let client = ClientPrefix::of(query.client);
    let whole_or_none = query.transport.is_datagram();
    let mut then = Some(then);
    let mut want = most.min(room / mean.max(1) * 33 / 32 + 8);
    loop {
        let done = large.choose(client, want, |picks| {
            let fitting = fitting(large, picks, room);
            let enough = fitting < picks.len() || want == most;
            let part = if whole_or_none && fitting < most { &[] } else { &picks[..fitting] };
            then.take_if(|_| enough).map(|then| then(part))
        });
        if let Some(done) = done {
            return done;
        }
        want = most.min(want + want / 4 + 8);
    }
}

/// How many of the records fit, from the first on.
fn fitting(large: &LargeSet, picks: &[Pick], room: usize) -> usize {
    let mut octets = 0;
    let lengths = picks.iter().map(|pick| large.record(*pick).answer.len());
    lengths
        .take_while(|length| {
            octets += length;
            octets <= room
        })
        .count()
}

/// Copies records, and all records about their targets if those fit as well.
fn copy<'r>(
    records: impl Iterator<Item = Record<'r>> + Clone,
    with_additional: bool,
    message: &mut Message<'_>,
) -> bool {
    let start = message.len();
    if !records.clone().all(|record| message.copy(Section::Answer, 1, record.answer, &[])) {
        return false;
    }
    if with_additional {
        let mark = message.mark();
        if !copy_additional(records, start, message) {
            message.rewind(mark);
        }
    }
    true
}

/// Copies the records about the targets of records that stand in the message from `at` on.
fn copy_additional<'r>(records: impl Iterator<Item = Record<'r>>, mut at: usize, message: &mut Message<'_>) -> bool {
    for record in records {
        let target = at + RECORD_HEAD + SRV_TARGET;
        let pointer = (0xC000 | target as u16).to_be_bytes();
        let owner = match target {
            0..=MAX_POINTER => &pointer[..],
            _ => &record.answer[RECORD_HEAD + SRV_TARGET..],
        };
        if !additional(&record).all(|one| message.copy(Section::Additional, 1, owner, one)) {
            return false;
        }
        at += record.answer.len();
    }
    true
}
