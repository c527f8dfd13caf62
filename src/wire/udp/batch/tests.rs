use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::super::socket;
use super::*;

fn loopback() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Receives a batch of `count` datagrams; on loopback they are in the socket when the send call returns.
fn receive_all(received: &mut Received, socket: &UdpSocket, count: usize) {
    assert_eq!(received.receive(socket, Wait::ForOne).unwrap(), count);
}

/// All datagrams that arrive at `socket`, sorted.
fn collect(socket: &UdpSocket, count: usize) -> Vec<Vec<u8>> {
    let receive = |_| {
        let mut buffer = [0; 2048];
        let len = socket.recv(&mut buffer).unwrap();
        buffer[..len].to_vec()
    };
    let mut found: Vec<_> = (0..count).map(receive).collect();
    found.sort();
    found
}

#[test]
fn a_batch_is_received_with_its_sources_and_cut_at_the_buffer() {
    let (server, one, two) = (loopback(), loopback(), loopback());
    let address = server.local_addr().unwrap();
    one.send_to(b"first", address).unwrap();
    two.send_to(&[7; 5000], address).unwrap();
    one.send_to(b"", address).unwrap();
    let mut received = Received::new(false);
    receive_all(&mut received, &server, 3);
    assert_eq!(received.packet(0), b"first");
    assert_eq!(received.packet(1), &[7; RECEIVE_SIZE]);
    assert_eq!(received.packet(2), b"");
    assert_eq!(received.source(0), Some(one.local_addr().unwrap()));
    assert_eq!(received.source(1), Some(two.local_addr().unwrap()));
    assert_eq!(received.destination(0), None);
}

#[test]
fn waiting_ends_with_the_timeout_and_does_not_begin_when_told_so() {
    let server = loopback();
    server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut received = Received::new(false);
    assert_eq!(received.receive(&server, Wait::ForOne).unwrap(), 0);
    server.set_read_timeout(None).unwrap();
    assert_eq!(received.receive(&server, Wait::Never).unwrap(), 0);
}

#[test]
fn calls_ask_for_more_while_more_comes_and_for_little_when_it_is_quiet() {
    let (server, client) = (loopback(), loopback());
    let mut received = Received::new(false);
    assert_eq!(received.receive(&server, Wait::Never).unwrap(), 0);
    for number in 0..100_u8 {
        client.send_to(&[number], server.local_addr().unwrap()).unwrap();
    }
    let mut next = 0;
    let counts = std::iter::from_fn(|| {
        let count = received.receive(&server, Wait::Never).unwrap();
        (0..count).for_each(|index| assert_eq!(received.packet(index), [next + index as u8]));
        next += count as u8;
        (count > 0).then_some(count)
    });
    let counts = counts.collect::<Vec<_>>();
    assert_eq!(counts, [8, 16, 32, 44]);
}

#[test]
fn replies_of_one_length_to_one_client_go_out_in_one_message() {
    let (server, one, two) = (loopback(), loopback(), loopback());
    let address = server.local_addr().unwrap();
    for client in [&one, &two, &one, &one, &one] {
        client.send_to(b"?", address).unwrap();
    }
    let mut received = Received::new(false);
    receive_all(&mut received, &server, 5);
    let mut replies = Replies::new();
    for (to, reply) in [&b"aa"[..], b"bb", b"cc", b"ddd", b"ee"].iter().enumerate() {
        replies.buffer()[..reply.len()].copy_from_slice(reply);
        replies.push(to, reply.len());
    }
    let sent = replies.send(&server, &mut received);
    assert_eq!((sent.replies, sent.failed), (5, 0));
    assert!(sent.messages == 3 || replies.grouping_pause > 0, "{sent:?}");
    assert_eq!(collect(&one, 4), [&b"aa"[..], b"cc", b"ddd", b"ee"]);
    assert_eq!(collect(&two, 1), [b"bb"]);
}

#[test]
fn a_full_batch_of_long_replies_stays_within_one_datagrams_size_per_message() {
    let (server, client) = (loopback(), loopback());
    let address = server.local_addr().unwrap();
    (0..BATCH).for_each(|_| assert_eq!(client.send_to(b"?", address).unwrap(), 1));
    let mut received = Received::new(false);
    receive_all(&mut received, &server, BATCH);
    let mut replies = Replies::new();
    for to in 0..BATCH {
        replies.buffer()[..MAX_SEGMENT].fill(to as u8);
        replies.push(to, MAX_SEGMENT);
    }
    let sent = replies.send(&server, &mut received);
    assert_eq!((sent.replies, sent.failed), (BATCH, 0));
    let found = collect(&client, BATCH);
    assert!(found.iter().enumerate().all(|(index, reply)| *reply == [index as u8; MAX_SEGMENT]));
}

#[test]
fn what_the_kernel_refuses_as_a_group_goes_out_one_by_one() {
    let (server, client) = (loopback(), loopback());
    // Without checksums the kernel does not cut messages: EINVAL.
    set_option(&server, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    let address = server.local_addr().unwrap();
    (0..3).for_each(|_| assert_eq!(client.send_to(b"?", address).unwrap(), 1));
    let mut received = Received::new(false);
    receive_all(&mut received, &server, 3);
    let mut replies = Replies::new();
    for to in 0..3 {
        replies.buffer()[0] = b'a' + to as u8;
        replies.push(to, 1);
    }
    assert_eq!(replies.send(&server, &mut received), Sent { replies: 3, messages: 3, failed: 0 });
    assert_eq!(collect(&client, 3), [b"a", b"b", b"c"]);
    assert!(replies.grouping_pause > 0);
}

#[test]
fn a_reply_that_cannot_be_sent_does_not_stop_the_others() {
    let (server, client) = (loopback(), loopback());
    let address = server.local_addr().unwrap();
    (0..2).for_each(|_| assert_eq!(client.send_to(b"?", address).unwrap(), 1));
    let mut received = Received::new(false);
    receive_all(&mut received, &server, 2);
    received.destinations[0] = Some(Ipv4Addr::new(192, 0, 2, 1).into()); // not an address of ours to send from
    let mut replies = Replies::new();
    replies.push(0, 1);
    replies.push(1, 2);
    assert_eq!(replies.send(&server, &mut received), Sent { replies: 1, messages: 1, failed: 1 });
    assert_eq!(collect(&client, 1)[0].len(), 2);
}

#[test]
#[allow(clippy::disallowed_methods)] // because real waiting is measured
fn a_full_socket_is_waited_for_once_per_batch() {
    // On loopback a UDP socket never fills; the calls are the same for this one, whose peer does not read.
    let (full, _peer) = UnixDatagram::pair().unwrap();
    let timeout = Duration::from_millis(200);
    full.set_write_timeout(Some(timeout)).unwrap();
    while full.send(b"?").is_ok() {}
    let socket = UdpSocket::from(OwnedFd::from(full));
    let groups = [Group { first: 0, last: 0, count: 2 }; BATCH];
    let started = Instant::now();
    let (sent, refused) = send_all(&socket, &groups, &mut [EMPTY_HEADER; BATCH]);
    assert!((timeout / 2..BATCH as u32 / 2 * timeout).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert_eq!(sent, Sent { replies: 0, messages: 0, failed: 2 * BATCH });
    assert_eq!(refused, [false; BATCH]);
}

/// On the wildcard address a reply leaves from the address that was asked, or the client drops it.
fn answers_from_where_it_was_asked(wildcard: &str, asked: &str, client: &str) {
    let server = socket::bind(wildcard.parse().unwrap()).unwrap();
    let asked = SocketAddr::new(asked.parse().unwrap(), server.local_addr().unwrap().port());
    let client = UdpSocket::bind(client).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.connect(asked).unwrap();
    client.send(b"?").unwrap();
    client.send(b"?").unwrap();
    let mut received = Received::new(true);
    receive_all(&mut received, &server, 2);
    assert_eq!(received.destination(0), Some(asked.ip()));
    let mut replies = Replies::new();
    for to in 0..2 {
        replies.buffer()[0] = b'!';
        replies.push(to, 1);
    }
    assert_eq!(replies.send(&server, &mut received).replies, 2);
    assert_eq!(collect(&client, 2), [b"!", b"!"], "a connected socket hears only the address that it asked");
}

#[test]
fn on_the_ipv4_wildcard_replies_leave_from_the_address_that_was_asked() {
    answers_from_where_it_was_asked("0.0.0.0:0", "127.0.0.7", "127.0.0.1:0");
}

#[test]
fn on_the_ipv6_wildcard_replies_leave_from_the_address_that_was_asked() {
    answers_from_where_it_was_asked("[::]:0", "::1", "[::1]:0");
}
