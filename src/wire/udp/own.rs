//! Which addresses are our own: a datagram that claims to come from the port that we listen on at one of them is
//! forged.
//!
//! Answering it would make the server talk to itself. With a wildcard address all addresses of this host count; they
//! are read from the system at the start and every few seconds, aside, so that the query path compares and never asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

/// How often the addresses of this host are read.
const PERIOD: Duration = Duration::from_secs(10);

/// The addresses that answers are never sent to.
#[derive(Debug)]
pub(in crate::wire) struct OwnAddresses {
    listen: Vec<SocketAddr>,
    /// Those of this host; empty unless a wildcard address is listened on.
    host: ArcSwap<Vec<IpAddr>>,
}

impl OwnAddresses {
    /// Those of a server that listens on these.
    pub(in crate::wire) fn new(listen: Vec<SocketAddr>) -> Self {
        let own = Self { listen, host: ArcSwap::default() };
        own.read();
        own
    }

    /// Whether `source` is an address of ours with a port of ours; `destination` is where the datagram was sent to, if
    /// that is known.
    pub(super) fn has(&self, source: SocketAddr, destination: Option<IpAddr>) -> bool {
        let mut same_port = self.listen.iter().filter(|listen| listen.port() == source.port());
        same_port.any(|listen| match listen.ip() {
            ip if ip.is_unspecified() => {
                source.ip().is_loopback() || destination == Some(source.ip()) || self.host.load().contains(&source.ip())
            }
            ip => ip == source.ip(),
        })
    }

    /// Follows the addresses of this host, until it is dropped.
    pub(in crate::wire) async fn follow(self: Arc<Self>) {
        if !self.is_wildcard() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(PERIOD).await;
            let own = self.clone();
            let _ = tokio::task::spawn_blocking(move || own.read()).await; // what was read last stays
        }
    }

    fn is_wildcard(&self) -> bool {
        self.listen.iter().any(|listen| listen.ip().is_unspecified())
    }

    fn read(&self) {
        if self.is_wildcard()
            && let Ok(interfaces) = if_addrs::get_if_addrs()
        {
            self.host.store(Arc::new(interfaces.iter().map(if_addrs::Interface::ip).collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("test address")
    }

    fn own(listen: &str, host: &[&str]) -> OwnAddresses {
        let own = OwnAddresses::new(vec![address(listen)]);
        own.host.store(Arc::new(host.iter().map(|text| text.parse().expect("test address")).collect()));
        own
    }

    #[test]
    fn only_the_port_that_is_listened_on_counts() {
        let own = own("192.0.2.1:53", &[]);
        assert!(own.has(address("192.0.2.1:53"), None));
        assert!(!own.has(address("192.0.2.1:54"), None));
        assert!(!own.has(address("192.0.2.2:53"), None));
    }

    #[test]
    fn a_wildcard_stands_for_every_address_of_the_host() {
        let own = own("0.0.0.0:53", &["192.0.2.1", "198.51.100.1"]);
        let sent_to = Some(IpAddr::from([192, 0, 2, 1]));
        assert!(own.has(address("198.51.100.1:53"), sent_to));
        assert!(own.has(address("127.0.0.1:53"), sent_to));
        assert!(!own.has(address("203.0.113.1:53"), sent_to));
        assert!(!own.has(address("198.51.100.1:5353"), sent_to));
    }

    #[test]
    fn the_host_has_a_loopback_address() {
        let own = OwnAddresses::new(vec![address("0.0.0.0:53")]);
        assert!(own.host.load().contains(&IpAddr::from([127, 0, 0, 1])));
    }
}
