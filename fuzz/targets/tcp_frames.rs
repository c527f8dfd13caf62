//! The stream of a TCP client: however it is cut into pieces, the same messages come out of it as its lengths say, and
//! each is decided on.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, ReadBuf};
use zonebeat::answer::Transport;
use zonebeat::wire::decode::{Origin, decode};
use zonebeat::wire::messages;

/// Gives its octets in pieces of these sizes.
struct Pieces<'d> {
    rest: &'d [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'d, u8>>,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let size = self.sizes.next().map_or(1, |size| usize::from(*size) + 1);
        let (piece, rest) = self.rest.split_at(size.min(self.rest.len()).min(buffer.remaining()));
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((count, data)) = data.split_first() else { return };
    let (sizes, stream) = data.split_at((usize::from(*count) % 8).min(data.len()));
    let mut reading = Box::pin(messages(Pieces { rest: stream, sizes: sizes.iter().cycle() }));
    let Poll::Ready(found) = reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the stream is always ready")
    };
    assert_eq!(found, expected(stream));
    let client = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    for message in &found {
        decode(message, Origin { transport: Transport::Tcp, client });
    }
});

fn expected(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk::<2>() {
        let Some((message, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
        messages.push(message.to_vec());
        stream = rest;
    }
    messages
}
