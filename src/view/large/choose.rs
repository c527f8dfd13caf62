//! Which part of a large set a client gets: the records that score highest for its prefix (rendezvous hashing).
//!
//! A record's score depends on its key and on the client's prefix and on nothing else. So a client gets the same
//! records from every server that has the same content and after every restart, and a change alters its part only if
//! the record that changes belongs to the part, or comes to belong to it.
//!
//! Scores are made for one class after the other, the lowest first: of SRV records those with the lowest priority,
//! which clients have to try first (RFC 2782). A part has records of another class only if it has all of those before.
//!
//! # Cost
//!
//! All keys of a class are read, which takes a nanosecond each, but no more than [`POOL`] of them and one bucket: in a
//! larger class a client's prefix says in which order the buckets are looked at, and what is beyond is not considered.
//! A record that comes into the first [`POOL`] may then push the last bucket of them out, and with it records that the
//! client had: in the mean one in [`POOL`] divided by the part's size. The scratch memory is on the stack.

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::bucket;
use super::hashed::Hashed;
use super::{LargeSet, Record};

/// The most records that a part has: a message cannot hold more, since none has less than 16 octets.
pub const MOST: usize = 4096;
/// How many records of a class are considered.
pub const POOL: usize = 16_384;
/// Parts up to this size are chosen with little scratch memory.
const FEW: usize = 128;
/// Records of one bucket that are considered. More can only be there if somebody looked for
/// names whose hashes coincide.
const MOST_IN_BUCKET: usize = 4096;
/// The key of the hash of clients and of what is hashed in sets. It is the same in every server, so that servers behind
/// one name give a client the same part.
const KEY: (u64, u64) = (0x7a6f_6e65_6265_6174, 0x6c61_7267_6520_7365);

/// What a client's prefix decides: /24 of IPv4, /56 of IPv6, as prefixes are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientPrefix {
    mask: u32,
    factor: u32,
    order: u32,
}

/// A place in a large set: which class, which bucket, which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pick(u64);

impl ClientPrefix {
    /// The prefix of a client.
    pub fn of(client: IpAddr) -> Self {
        let hash = match client.to_canonical() {
            IpAddr::V4(v4) => stable_hash(&v4.octets()[..3]),
            IpAddr::V6(v6) => stable_hash(&v6.octets()[..7]),
        };
        Self { mask: hash as u32, factor: (hash >> 32) as u32 | 1, order: (hash >> 16) as u32 }
    }

    fn score(self, key: u32) -> u32 {
        let mixed = (key ^ self.mask).wrapping_mul(0x9E37_79B1);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(self.factor);
        (mixed ^ (mixed >> 13)).wrapping_mul(0x85EB_CA6B)
    }
}

/// A hash that is the same in every server and version: SipHash-1-3.
pub(crate) fn stable_hash(octets: &[u8]) -> u64 {
    SipHasher13::new_with_keys(KEY.0, KEY.1).hash(octets)
}

impl LargeSet {
    /// Hands the `want` records that the client prefers to `then`, the best one first; fewer if there are fewer.
    pub fn choose<T>(&self, client: ClientPrefix, want: usize, then: impl FnOnce(&[Pick]) -> T) -> T {
        let want = want.min(self.len()).min(MOST);
        if want <= FEW { choose_few(self, client, want, then) } else { choose_many(self, client, want, then) }
    }

    /// The record at a place that [`Self::choose`] named.
    pub fn record(&self, pick: Pick) -> Record<'_> {
        let (class, bucket, at) = pick.parts();
        bucket::record(self.classes[class].1.bucket(bucket), at)
    }
}

impl Pick {
    const AT: u32 = 12;
    const BUCKET: u32 = 20;

    fn new(score: u32, bucket: usize, at: usize) -> Self {
        Self(u64::from(!score) << 32 | (bucket as u64) << Self::AT | at as u64)
    }

    fn score(self) -> u32 {
        !((self.0 >> 32) as u32)
    }

    /// The same place; where the score was, its class.
    fn in_class(self, class: usize) -> Self {
        Self(self.0 & u64::from(u32::MAX) | (class as u64) << 32)
    }

    fn parts(self) -> (usize, usize, usize) {
        let low = |bits: u32, number: u64| (number & ((1 << bits) - 1)) as usize;
        ((self.0 >> 32) as usize, low(Self::BUCKET, self.0 >> Self::AT), low(Self::AT, self.0))
    }
}

fn choose_few<T>(set: &LargeSet, client: ClientPrefix, want: usize, then: impl FnOnce(&[Pick]) -> T) -> T {
    let mut room = [Pick(0); 4 * FEW];
    let chosen = choose_into(set, client, want, &mut room);
    then(&room[..chosen])
}

/// Apart, so that only who needs the large scratch memory takes it.
#[inline(never)]
fn choose_many<T>(set: &LargeSet, client: ClientPrefix, want: usize, then: impl FnOnce(&[Pick]) -> T) -> T {
    let mut room = [Pick(0); 2 * MOST + MOST / 2];
    let chosen = choose_into(set, client, want, &mut room);
    then(&room[..chosen])
}

/// Chooses class after class into the front of `room`; says how many.
fn choose_into(set: &LargeSet, client: ClientPrefix, want: usize, room: &mut [Pick]) -> usize {
    let mut chosen = 0;
    for (number, (_, class)) in set.classes.iter().enumerate() {
        if chosen == want {
            break;
        }
        let room = &mut room[chosen..];
        let found = best_of(class, client, want - chosen, room);
        room[..found].iter_mut().for_each(|pick| *pick = pick.in_class(number));
        chosen += found;
    }
    chosen
}

/// The best of one class into the front of `room`, sorted; says how many.
fn best_of(class: &Hashed, client: ClientPrefix, want: usize, room: &mut [Pick]) -> usize {
    let considered = class.totals.records.min(POOL);
    let mut best = Best { want, floor: floor(want, considered), len: 0, room };
    scan(class, client, &mut best);
    if best.len < want.min(considered) && best.floor > 0 {
        (best.floor, best.len) = (0, 0); // the estimate was too high, which is rare
        scan(class, client, &mut best);
    }
    best.cut();
    best.room[..best.len].sort_unstable();
    best.len
}

/// The score that some more than `want` of so many records reach: five standard deviations more.
fn floor(want: usize, records: usize) -> u32 {
    let enough = want + 5 * want.isqrt() + 16;
    if enough >= records { 0 } else { u32::MAX - (u64::from(u32::MAX) * enough as u64 / records as u64) as u32 }
}

fn scan(class: &Hashed, client: ClientPrefix, best: &mut Best<'_>) {
    if class.totals.records <= POOL {
        class.all().enumerate().for_each(|(number, bucket)| best.offer(client, number, bucket));
        return;
    }
    let mut seen = 0;
    for number in order(client, class.buckets()) {
        let bucket = class.bucket(number);
        best.offer(client, number, bucket);
        seen += bucket::len(bucket);
        if seen >= POOL {
            return;
        }
    }
}

/// The buckets in the order of a client: those whose hashes begin as its own (the last bit first) before others. A
/// bucket that was split is followed by what it was split into, so that splits hardly alter the order of records.
fn order(client: ClientPrefix, buckets: usize) -> impl Iterator<Item = usize> {
    let bits = buckets.ilog2();
    let whole = 1usize << bits;
    (0..whole).flat_map(move |turn| {
        let reversed = if bits == 0 { 0 } else { turn.reverse_bits() >> (usize::BITS - bits) };
        let number = reversed ^ (client.order as usize & (whole - 1));
        std::iter::once(number).chain((number + whole < buckets).then_some(number + whole))
    })
}

/// The best that were offered, and some more while there is room.
struct Best<'r> {
    want: usize,
    /// Lower scores are not taken.
    floor: u32,
    len: usize,
    room: &'r mut [Pick],
}

impl Best<'_> {
    fn offer(&mut self, client: ClientPrefix, number: usize, bucket: &[u8]) {
        for (at, key) in bucket::keys(bucket).take(MOST_IN_BUCKET).enumerate() {
            let score = client.score(key);
            if score < self.floor {
                continue;
            }
            if self.len == self.room.len() {
                self.cut();
            }
            self.room[self.len] = Pick::new(score, number, at);
            self.len += 1;
        }
    }

    /// Keeps the best, and takes only what is as good from now on.
    fn cut(&mut self) {
        if self.len > self.want {
            let (_, last, _) = self.room[..self.len].select_nth_unstable(self.want - 1);
            self.floor = self.floor.max(last.score());
            self.len = self.want;
        }
    }
}
