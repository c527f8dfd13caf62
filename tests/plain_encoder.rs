//! The fast path is the plain encoder: on random views and random queries, what `respond` copies from ready sections
//! equals, octet by octet, what a plain encoder writes record by record.
//!
//! The plain encoder ([`plain`]) knows names and records (from the model and from [`RrSet::records`]), looks names up
//! in a sorted map, and writes one record after the other; of a large set it scores and sorts every record ([`ranks`]).
//! It shares no code with the path under test but the decoder, which says what was asked, and reads a view that was
//! compiled from nothing, while the one that is asked has been changed step by step ([`changes`]). Both start a set at
//! the same record. Answers that are put together from several sets are written record by record anyway; of those the
//! records of the answer section and their order are compared. In a batch, among packets that get an error or nothing
//! ([`batch`]), each question gets the same octets as alone.

#[path = "support/batch.rs"]
mod batch;
#[path = "support/instance.rs"]
mod instance;
#[path = "plain_encoder/changes.rs"]
mod changes;
#[path = "plain_encoder/plain.rs"]
mod plain;
#[path = "plain_encoder/random.rs"]
mod random;
#[path = "plain_encoder/ranks.rs"]
mod ranks;

use hickory_proto::op::Message;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use zonebeat::answer::{Query, Transport};
use zonebeat::model::Rtype;
use zonebeat::wire::Rules;
use zonebeat::wire::decode::{Decoded, Origin};
use zonebeat::wire::respond::{MAX_TCP, Silence, respond};

use batch::Packet;
use plain::{Data, Large, Plain, Solution};
use random::{Ask, Published};

/// A part behind an alias may leave so many octets of the largest message: for OPT, a name, and the record that did not
/// fit any more.
const UNUSED: usize = 512 + 255 + 400;

#[test]
fn ready_sections_are_what_the_plain_encoder_writes() {
    let seen = compare_all(128, 120, random::few());
    let Seen { ready, composed, truncated, bare, negative, refused, options, .. } = seen.clone();
    let all = [ready, composed, truncated, bare, negative, refused, options];
    assert!(all.iter().all(|count| *count > 20), "too little of something was tried: {seen:?}");
}

#[test]
fn large_sets_and_their_parts_are_what_the_plain_encoder_writes() {
    let seen = compare_all(64, 120, random::many());
    let Seen { large, parts, led, truncated, bare, .. } = seen.clone();
    let all = [large, parts, led, truncated, bare];
    assert!(all.iter().all(|count| *count > 2), "too little of something was tried: {seen:?}");
}

/// So many views, and so many questions about each.
fn compare_all(views: u32, questions: usize, published: impl Strategy<Value = Published>) -> Seen {
    let config =
        ProptestConfig { cases: views, failure_persistence: None, max_shrink_iters: 200, ..Default::default() };
    let all = std::cell::RefCell::new(Seen::default());
    let questions = prop::collection::vec(random::ask(), questions);
    let tried = TestRunner::new(config).run(&(published, questions), |(published, questions)| {
        let plain = Plain::new(&published);
        let names = plain.names();
        for ask in &questions {
            all.borrow_mut().add(&compare(&published, &plain, &ask.packet(&names), ask)?);
        }
        compare_batches(&published, questions.iter().map(|ask| to_packet(ask, &names)).collect())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
    all.into_inner()
}

/// What has been compared.
#[derive(Debug, Default, Clone)]
struct Seen {
    ready: usize,
    composed: usize,
    truncated: usize,
    /// Without the additional section, for want of room.
    bare: usize,
    negative: usize,
    refused: usize,
    options: usize,
    /// Whole.
    large: usize,
    parts: usize,
    /// Parts behind an alias.
    led: usize,
}

impl Seen {
    fn add(&mut self, one: &Self) {
        let Self { ready, composed, truncated, bare, negative, refused, options, large, parts, led } = self;
        *ready += one.ready;
        *composed += one.composed;
        *truncated += one.truncated;
        *bare += one.bare;
        *negative += one.negative;
        *refused += one.refused;
        *options += one.options;
        *large += one.large;
        *parts += one.parts;
        *led += one.led;
    }
}

/// Answers one question in both ways.
fn compare(published: &Published, plain: &Plain, packet: &[u8], ask: &Ask) -> Result<Seen, TestCaseError> {
    let transport = if ask.tcp { Transport::Tcp } else { Transport::Udp };
    let rules = Rules::default();
    let (mut decoded, _) = rules.decode(packet, Origin { transport, client: ask.client });
    let Decoded::Query(query) = &mut decoded else { panic!("a sound query: {packet:?}") };
    query.rotation = ask.rotation;
    let query = *query;
    let mut out = vec![0xEE; MAX_TCP];
    let len = respond(&published.view, &decoded, &rules, &mut out).expect("a query is answered").len;
    let fast = &out[..len];
    let solution = plain.solve(&query);
    let mut seen = Seen { options: usize::from(ask.cookie.is_some()), ..Seen::default() };
    match &solution {
        Solution::Undecided => {}
        Solution::Composed { alias, records, large } => {
            seen.composed += 1;
            let message = Message::from_vec(fast).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let is_part = !message.metadata.truncation
                && compare_composed(&query, fast, alias.as_ref(), records, large.as_ref())?;
            seen.led += usize::from(is_part);
        }
        _ => {
            let slow = plain.encode(&query, &solution);
            prop_assert_eq!(fast, &slow.octets[..], "{:?}", ask);
            seen.truncated += usize::from(slow.truncated);
            seen.bare += usize::from(slow.bare);
            seen.large += usize::from(slow.large == Some(false));
            seen.parts += usize::from(slow.large == Some(true));
            match solution {
                Solution::Negative { .. } => seen.negative += 1,
                Solution::Refused => seen.refused += 1,
                _ => seen.ready += 1,
            }
        }
    }
    Ok(seen)
}

fn to_packet(ask: &Ask, names: &[(&[u8], Vec<Rtype>)]) -> Packet {
    let transport = if ask.tcp { Transport::Tcp } else { Transport::Udp };
    let origin = Origin { transport, client: ask.client };
    Packet { octets: ask.packet(names), origin, rotation: ask.rotation, datagram: None }
}

/// Answers questions in batches: each gets, octet by octet, what it gets alone, and so does what stands between them.
fn compare_batches(published: &Published, packets: Vec<Packet>) -> Result<(), TestCaseError> {
    let (view, rules, packets) = (&published.view, Rules::default(), batch::interspersed(packets));
    let (mut out, mut lone) = (vec![0xEE; MAX_TCP], vec![0xEE; MAX_TCP]);
    for size in batch::SIZES {
        for packets in packets.chunks(size) {
            let mut expected = packets.iter().enumerate().filter(|(_, packet)| !packet.octets.is_empty());
            let mut compared = Ok(());
            batch::answer_batch(view, &rules, packets, &mut out, |arrived, outcome| {
                let alone = respond(view, &arrived.decoded, &rules, &mut lone).map_err(Silence::Dropped);
                let alone = alone.map(|reply| (reply, &lone[..reply.len]));
                let index = expected.next().map(|(index, _)| index);
                if (outcome, Some(arrived.index)) != (alone, index) && compared.is_ok() {
                    compared =
                        Err(TestCaseError::fail(format!("{index:?} of {size}: {outcome:?} and alone {alone:?}")));
                }
            });
            compared?;
            prop_assert!(expected.next().is_none(), "a packet was forgotten");
        }
    }
    Ok(())
}

/// Compares the answer section of an answer that is put together; says whether it has a part of a large set.
fn compare_composed(
    query: &Query<'_>,
    fast: &[u8],
    alias: Option<&Data>,
    records: &[Data],
    large: Option<&Large>,
) -> Result<bool, TestCaseError> {
    let found: Vec<Vec<u8>> = plain::answer_data(fast).collect();
    let count = found.len() - alias.iter().len();
    let records = match large {
        Some(large) if count < records.len() => {
            prop_assert!(count == large.most() || fast.len() > MAX_TCP - UNUSED, "{count} in {} octets", fast.len());
            &large.ranked[..count]
        }
        _ => records,
    };
    let first = plain::first(query, records.len());
    let expected = alias.into_iter().chain(&records[first..]).chain(&records[..first]);
    prop_assert_eq!(found, expected.map(|record| record.rdata.clone()).collect::<Vec<_>>());
    Ok(large.is_some_and(|large| count < large.ranked.len()))
}
