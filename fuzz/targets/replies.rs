//! What a server sends to the client side: bodies and problems over HTTP, answers to the SRV query over DNS. A value
//! survives being written and read again; no reply makes the client fail otherwise than by saying so.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::agent::lookup::read_reply;
use zonebeat::agent::read_refusal;
use zonebeat::model::api::{
    Applied, Beaten, ChangeList, InstanceList, Registered, ServiceInfo, ServiceList, SessionStored, TokenCreated,
    TokenList,
};
use zonebeat_fuzz::round_trip;

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    match kind % 12 {
        0 => round_trip::<Registered>(body),
        1 => round_trip::<Beaten>(body),
        2 => round_trip::<ServiceList>(body),
        3 => round_trip::<InstanceList>(body),
        4 => round_trip::<ChangeList>(body),
        5 => round_trip::<TokenList>(body),
        6 => round_trip::<SessionStored>(body),
        7 => round_trip::<ServiceInfo>(body),
        8 => round_trip::<TokenCreated>(body),
        9 => round_trip::<Applied>(body),
        10 => refusal(body),
        _ => lookup(body),
    }
});

fn refusal(body: &[u8]) {
    let Some((status, text)) = body.split_first_chunk::<2>() else { return };
    let status = 400 + u16::from_be_bytes(*status) % 200;
    let text = String::from_utf8_lossy(text);
    if let Some(refused) = read_refusal(status, &text) {
        assert_eq!(refused.status, status);
        assert!(!refused.to_string().is_empty());
    }
}

fn lookup(message: &[u8]) {
    let Some(id) = message.first_chunk::<2>() else { return };
    let Some(seen) = read_reply(u16::from_be_bytes(*id), message) else { return };
    let announced = usize::from(u16::from_be_bytes([message[6], message[7]]));
    assert!(seen.endpoints.len() <= announced, "no more records than the header says");
}
