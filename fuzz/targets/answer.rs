//! A packet all the way to its response, against zones with everything in them, one of them signed: no response is
//! longer than the client takes, none is partial, and a library that is not ours can read each.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::answer::Transport;
use zonebeat_fuzz::{VIEW, VIEW_NSEC3, answer};

fuzz_target!(|data: &[u8]| {
    let Some((kind, packet)) = data.split_first() else { return };
    let transport = if kind & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let view = if kind & 2 == 0 { &VIEW } else { &VIEW_NSEC3 };
    answer(view, packet, transport, u32::from(kind >> 2));
});
