//! A filter in the kernel that keeps most packets of flooding prefixes out of the sockets' queues.
//!
//! A program of classic BPF, as any process may attach it to its own socket: it compares the source address with each
//! prefix, and lets one packet of [`SAMPLE`] through, chosen at random, so that the workers notice when the flood ends.
//! Offsets are those that the kernel gives to filters: [`NETWORK`] is the start of the IP header.

use std::io;
use std::net::UdpSocket;

use ipnet::IpNet;
use socket2::{SockFilter, SockRef};

use crate::wire::rate::SAMPLE;

/// SKF_NET_OFF: the IP header.
const NETWORK: u32 = -0x0010_0000_i32 as u32;
/// SKF_AD_OFF + SKF_AD_RANDOM: a random number.
const RANDOM: u32 = (-0x1000_i32 + 56) as u32;
/// Where the source address stands in the headers of IPv4 and IPv6.
const SOURCE: [u32; 2] = [12, 8];

const LOAD_OCTET: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Filters packets from these networks on one socket; none: filters nothing any more.
pub(in crate::wire) fn attach(socket: &UdpSocket, networks: &[IpNet]) -> io::Result<()> {
    let socket = SockRef::from(socket);
    if networks.is_empty() {
        return match socket.detach_filter() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
    }
    socket.attach_filter(&program(networks))
}

/// The program: for each network a comparison that skips to the next one, then the sample; last, everything passes.
fn program(networks: &[IpNet]) -> Vec<SockFilter> {
    let mut program = Vec::new();
    for network in networks {
        let (version, words) = match network {
            IpNet::V4(v4) => (4, vec![(v4.network().to_bits(), v4.netmask().to_bits())]),
            IpNet::V6(v6) => (6, words_of(v6.network().to_bits(), v6.netmask().to_bits())),
        };
        // each comparison is three steps, and a difference skips all that follows for this network
        let sample = sample();
        let length = 3 * (1 + words.len()) + sample.len();
        let compare = |program: &mut Vec<SockFilter>, start: usize, load: SockFilter, mask: u32, value: u32| {
            program.extend([load, step(AND, mask)]);
            let rest = length - (program.len() - start) - 1;
            program.push(SockFilter::new(JUMP_IF_EQUAL, 0, rest as u8, value));
        };
        let start = program.len();
        compare(&mut program, start, step(LOAD_OCTET, NETWORK), 0xF0, version << 4);
        for (index, (value, mask)) in words.into_iter().enumerate() {
            let source = SOURCE[usize::from(version == 6)] + 4 * index as u32;
            compare(&mut program, start, step(LOAD_WORD, NETWORK.wrapping_add(source)), mask, value);
        }
        program.extend(sample);
    }
    program.push(step(RETURN, u32::MAX));
    program
}

/// One packet of [`SAMPLE`] passes.
fn sample() -> [SockFilter; 5] {
    let is_chosen = SockFilter::new(JUMP_IF_EQUAL, 1, 0, 0);
    [step(LOAD_WORD, RANDOM), step(AND, SAMPLE as u32 - 1), is_chosen, step(RETURN, 0), step(RETURN, u32::MAX)]
}

/// The two words that the first half of an IPv6 address is compared by, each with its mask.
fn words_of(address: u128, mask: u128) -> Vec<(u32, u32)> {
    [96, 64].map(|shift| ((address >> shift) as u32, (mask >> shift) as u32)).to_vec()
}

fn step(code: u16, k: u32) -> SockFilter {
    SockFilter::new(code, 0, 0, k)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn count(from: &str, to: &str, networks: &[&str]) -> usize {
        let networks: Vec<IpNet> = networks.iter().map(|net| net.parse().unwrap()).collect();
        let socket = super::super::socket::bind(to.parse().unwrap()).unwrap();
        attach(&socket, &networks).unwrap();
        let client = UdpSocket::bind(from).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // in portions that fit into the smallest queue
        let received = (0..10).map(|_| {
            (0..64).for_each(|_| assert_eq!(client.send_to(b"query", socket.local_addr().unwrap()).unwrap(), 5));
            std::iter::from_fn(|| socket.recv(&mut [0; 16]).ok()).count()
        });
        let received = received.sum();
        attach(&socket, &[]).unwrap();
        client.send_to(b"query", socket.local_addr().unwrap()).unwrap();
        assert!(socket.recv(&mut [0; 16]).is_ok(), "nothing is filtered any more");
        received
    }

    #[test]
    fn a_sample_of_the_networks_named_gets_through_and_all_of_others() {
        let v4 = ["192.0.2.0/24", "2001:db8::/56", "127.0.7.0/24"];
        assert_eq!(count("127.0.6.1:0", "127.0.0.1:0", &v4), 640);
        assert!((1..60).contains(&count("127.0.7.9:0", "127.0.0.1:0", &v4)));
        assert_eq!(count("[::1]:0", "[::1]:0", &["192.0.2.0/24", "2001:db8::/56"]), 640);
        assert!((1..60).contains(&count("[::1]:0", "[::1]:0", &["192.0.2.0/24", "::/56"])));
    }
}
