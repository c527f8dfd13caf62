//! How much a client gets: sizes over UDP; connections, queries and time over TCP.

use std::fs;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::encode::MAX_UDP;

/// What every client takes over UDP, EDNS or not (RFC 1035 section 4.2.1).
pub const MIN_UDP: usize = 512;

/// The largest response over UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpLimits {
    /// For clients of no listed prefix, in octets. The default does not fragment anywhere.
    pub max: usize,
    /// For clients of these prefixes; the longest prefix that matches decides.
    pub by_prefix: Vec<(IpNet, usize)>,
}

impl Default for UdpLimits {
    fn default() -> Self {
        Self { max: 1232, by_prefix: Vec::new() }
    }
}

impl UdpLimits {
    /// The largest response to a query from `client`, whose OPT record said `edns_size`.
    ///
    /// Without EDNS it is 512 octets, and a client that says less than that is taken to say 512 (RFC 6891 section
    /// 6.2.3).
    pub fn limit(&self, client: IpAddr, edns_size: Option<u16>) -> usize {
        match edns_size {
            None => MIN_UDP,
            Some(size) => usize::from(size).min(self.max_for(client)).clamp(MIN_UDP, MAX_UDP),
        }
    }

    fn max_for(&self, client: IpAddr) -> usize {
        let matching = self.by_prefix.iter().filter(|(prefix, _)| prefix.contains(&client));
        matching.max_by_key(|(prefix, _)| prefix.prefix_len()).map_or(self.max, |&(_, max)| max)
    }
}

/// What one client, and all of them together, can hold over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections in all.
    pub connections: usize,
    /// Connections of one client address. One more closes the oldest that has nothing to do; if all are busy, the new
    /// one is refused.
    pub connections_per_client: usize,
    /// From the connection to the end of its first query.
    pub first_query: Duration,
    /// Without a query in flight.
    pub idle: Duration,
    /// Answers, and transfers, of one connection that the client has not read yet; then it is not read from any more.
    pub in_flight: usize,
    /// Octets of answers of one connection that the client has not read yet; then it is not read from any more.
    pub in_flight_octets: usize,
    /// How long queries are read from one connection. A transfer that runs then may finish within `transfer_time`.
    pub lifetime: Duration,
    /// How long a client may take to make room for the next message of at most 64 KiB, or for some short ones.
    pub write_stall: Duration,
    /// Transfers that run at the same time; more wait.
    pub transfers: usize,
    /// Those of one client address; more wait there and keep nobody else from a transfer.
    pub transfers_per_client: usize,
    /// Those of one connection; more wait there and keep nobody else from a transfer.
    pub transfers_per_connection: usize,
    /// How long a transfer may go on after the lifetime of its connection.
    pub transfer_time: Duration,
    /// How long connections have to finish when the server stops.
    pub drain: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self {
            connections: descriptor_limit() / 2,
            connections_per_client: 16,
            first_query: Duration::from_secs(2),
            idle: Duration::from_secs(10),
            in_flight: 32,
            in_flight_octets: 128 * 1024,
            lifetime: Duration::from_secs(120),
            write_stall: Duration::from_secs(10),
            transfers: 32,
            transfers_per_client: 4,
            transfers_per_connection: 2,
            transfer_time: Duration::from_secs(600),
            drain: Duration::from_secs(4),
        }
    }
}

/// The soft limit of open files (RLIMIT_NOFILE) as the kernel shows it; 1024, its traditional value, if it does not.
pub fn descriptor_limit() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|fields| fields.split_whitespace().next()?.parse().ok()).unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> IpAddr {
        text.parse().expect("test address")
    }

    #[test]
    fn the_udp_limit_is_what_both_sides_take() {
        let limits = UdpLimits::default();
        let near = client("192.0.2.1");
        assert_eq!(limits.limit(near, None), 512);
        assert_eq!(limits.limit(near, Some(0)), 512, "RFC 6891 section 6.2.3");
        assert_eq!(limits.limit(near, Some(1000)), 1000);
        assert_eq!(limits.limit(near, Some(4096)), 1232);
    }

    #[test]
    fn the_longest_prefix_decides_and_buffers_bound_all() {
        let prefix = |text: &str| text.parse::<IpNet>().expect("test prefix");
        let by_prefix = vec![(prefix("192.0.2.0/24"), 4096), (prefix("192.0.2.64/26"), 60_000), (prefix("::/0"), 1)];
        let limits = UdpLimits { max: 1232, by_prefix };
        assert_eq!(limits.limit(client("192.0.2.1"), Some(65535)), 4096);
        assert_eq!(limits.limit(client("192.0.2.65"), Some(65535)), MAX_UDP);
        assert_eq!(limits.limit(client("198.51.100.1"), Some(65535)), 1232);
        assert_eq!(limits.limit(client("2001:db8::1"), Some(65535)), 512);
    }

    #[test]
    fn connections_follow_the_descriptor_limit() {
        let fits = |limit: usize| limit > 0 && limit < usize::MAX / 2;
        assert!(fits(TcpLimits::default().connections));
    }
}
