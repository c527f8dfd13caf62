//! The fast path is the plain encoder: on random views and random queries, what `respond` copies from ready sections
//! equals, octet by octet, what a plain encoder writes record by record.
//!
//! The plain encoder ([`plain`]) knows names and records (from the model and from [`RrSet::records`]), looks names up in a
//! sorted map, and writes one record after the other. It shares no code with the path under test but the decoder, which
//! says what was asked. Both start a set at the same record. Answers that are put together from several sets are written
//! record by record anyway; of those the records are compared.

#[path = "support/instance.rs"]
mod instance;
#[path = "plain_encoder/plain.rs"]
mod plain;
#[path = "plain_encoder/random.rs"]
mod random;

use std::net::IpAddr;

use hickory_proto::op::Message;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use zonebeat::answer::Transport;
use zonebeat::wire::Rules;
use zonebeat::wire::decode::{Decoded, Origin};
use zonebeat::wire::respond::{MAX_TCP, respond};

use plain::{Plain, Solution};
use random::{Ask, Published};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 99));
/// Views, and questions about each.
const VIEWS: u32 = 128;
const QUESTIONS: usize = 120;

#[test]
fn ready_sections_are_what_the_plain_encoder_writes() {
    let config = ProptestConfig { cases: VIEWS, failure_persistence: None, ..ProptestConfig::default() };
    let questions = prop::collection::vec(random::ask(), QUESTIONS);
    let tried = TestRunner::new(config).run(&(random::published(), questions), |(published, questions)| {
        let plain = Plain::new(&published);
        let names = plain.names();
        for ask in &questions {
            count(&compare(&published, &plain, &ask.packet(&names), ask)?);
        }
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
    let seen = SEEN.with_borrow(Seen::clone);
    let Seen { ready, composed, truncated, bare, negative, refused, options } = seen.clone();
    let all = [ready, composed, truncated, bare, negative, refused, options];
    assert!(all.iter().all(|count| *count > 50), "too little of something was tried: {seen:?}");
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
}

thread_local! {
    static SEEN: std::cell::RefCell<Seen> = std::cell::RefCell::default();
}

/// Answers one question in both ways.
fn compare(published: &Published, plain: &Plain, packet: &[u8], ask: &Ask) -> Result<Seen, TestCaseError> {
    let transport = if ask.tcp { Transport::Tcp } else { Transport::Udp };
    let rules = Rules::default();
    let (mut decoded, _) = rules.decode(packet, Origin { transport, client: CLIENT });
    let Decoded::Query(query) = &mut decoded else { panic!("a sound query: {packet:?}") };
    query.rotation = ask.rotation;
    let query = *query;
    let mut out = vec![0xEE; MAX_TCP];
    let len = respond(&published.view, &decoded, &rules, &mut out).expect("a query is answered").len;
    let fast = &out[..len];
    let solution = plain.solve(&query);
    let mut seen = Seen { options: usize::from(ask.cookie.is_some()), ..Seen::default() };
    match &solution {
        Solution::Composed { answer } => {
            seen.composed += 1;
            let message = Message::from_vec(fast).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let records = plain::sorted(answer.iter().map(|record| record.rdata.clone()));
            let found = plain::sorted(plain::answer_data(fast));
            prop_assert!(message.metadata.truncation || found == records, "{ask:?}\n{message:?}");
        }
        _ => {
            let slow = plain.encode(&query, &solution);
            prop_assert_eq!(fast, &slow.octets[..], "{:?}", ask);
            seen.truncated += usize::from(slow.truncated);
            seen.bare += usize::from(slow.bare);
            match solution {
                Solution::Negative { .. } => seen.negative += 1,
                Solution::Refused => seen.refused += 1,
                _ => seen.ready += 1,
            }
        }
    }
    Ok(seen)
}

fn count(one: &Seen) {
    SEEN.with_borrow_mut(|all| {
        all.ready += one.ready;
        all.composed += one.composed;
        all.truncated += one.truncated;
        all.bare += one.bare;
        all.negative += one.negative;
        all.refused += one.refused;
        all.options += one.options;
    });
}
