//! The query of a DoH GET: what is read is the base64url of the parameter `dns`, whatever stands around it; everything
//! else is refused with a status that says so (RFC 8484 section 4.1).

#![no_main]

use data_encoding::BASE64URL_NOPAD;
use libfuzzer_sys::fuzz_target;
use zonebeat::answer::Transport;
use zonebeat::wire::read_get;
use zonebeat_fuzz::{VIEW, answer};

fuzz_target!(|data: &[u8]| {
    // The first octet says how many of those at the end are the Accept header; an odd one: there is none.
    let Some((kind, rest)) = data.split_first() else { return };
    let (target, accept) = rest.split_at(rest.len() - usize::from(kind / 2).min(rest.len()));
    let Ok(target) = std::str::from_utf8(target) else { return };
    match read_get(target, (kind & 1 == 0).then_some(accept)) {
        Some(Ok(query)) => {
            assert!(target.contains(&BASE64URL_NOPAD.encode(&query)), "the query is what the parameter says");
            answer(&VIEW, &query, Transport::Https, 0);
        }
        Some(Err(status)) => assert!((400..500).contains(&status), "{status}"),
        None => {}
    }
});
