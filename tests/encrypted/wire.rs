//! A wire that serves a small zone over every transport, and clients of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use prometheus::{Registry, TextEncoder};
use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use zonebeat::metrics::dns::{DnsCollector, DnsCounters};
use zonebeat::model::Rtype;
use zonebeat::view::{Published, View};
use zonebeat::wire::{Certificates, EncryptedAddrs, EncryptedOptions, Serving, TcpLimits, WireOptions, bind};

use super::identity::{HOST, Identity};
use super::server::{apex_records, compile, record, source};

/// Addresses of `huge`: an answer of nearly 64 KiB.
pub(crate) const HUGE: usize = 4000;
/// How long any single step may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A time for the first query that even a busy machine has passed only if somebody waited for it.
pub(crate) const UNHURRIED: Duration = Duration::from_secs(5);

/// A running wire.
pub(crate) struct Wire {
    pub(crate) dns: SocketAddr,
    pub(crate) at: EncryptedAddrs,
    pub(crate) identity: Identity,
    counters: Arc<DnsCounters>,
    shutdown: CancellationToken,
    serving: Serving,
}

impl Wire {
    pub(crate) async fn start() -> Self {
        Self::with(TcpLimits::default(), true).await
    }

    pub(crate) async fn with_limits(tcp: TcpLimits) -> Self {
        Self::with(tcp, true).await
    }

    /// Every transport on a loopback address; transfers to everybody or to nobody.
    pub(crate) async fn with(tcp: TcpLimits, transfers: bool) -> Self {
        let identity = Identity::new();
        let any: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
        let encrypted = EncryptedOptions {
            tls: any.clone(),
            https: any.clone(),
            https_path: "/dns-query".into(),
            quic: any.clone(),
            certificates: Some(Certificates::load(identity.files()).unwrap()),
        };
        let transfer_from = if transfers { vec!["127.0.0.0/8".parse().unwrap()] } else { Vec::new() };
        let bound = bind(WireOptions { listen: any, tcp, transfer_from, encrypted, ..WireOptions::default() }).unwrap();
        let (dns, at) = (bound.local_addrs()[0], bound.encrypted_addrs().clone());
        let (counters, shutdown) = (Arc::new(DnsCounters::default()), CancellationToken::new());
        let serving = bound.serve(Published::new(view()), counters.clone(), shutdown.clone()).unwrap();
        Self { dns, at, identity, counters, shutdown, serving }
    }

    pub(crate) fn tls(&self) -> SocketAddr {
        self.at.tls[0]
    }

    pub(crate) fn https(&self) -> SocketAddr {
        self.at.https[0]
    }

    pub(crate) fn quic(&self) -> SocketAddr {
        self.at.quic[0]
    }

    /// Tells it to stop, without waiting.
    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Waits until everything has ended, and says how long that took.
    pub(crate) async fn join(self) -> Duration {
        let asked = Instant::now();
        self.shutdown.cancel();
        self.serving.join().await.unwrap();
        asked.elapsed()
    }

    /// The metrics as they are scraped.
    pub(crate) fn metrics(&self) -> String {
        let registry = Registry::new();
        registry.register(Box::new(DnsCollector::new(self.counters.clone()).unwrap())).unwrap();
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    /// The value of a series; 0 if there is none.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// A client of one transport over TCP that has shaken hands.
    pub(crate) async fn connect(&self, address: SocketAddr, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(address).await.unwrap();
        self.shake_hands(stream, alpn).await.unwrap()
    }

    pub(crate) async fn shake_hands(&self, stream: TcpStream, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::new(self.identity.client(alpn)));
        connector.connect(ServerName::try_from(HOST).unwrap(), stream).await
    }
}

/// A TCP connection from 127.0.x.y.
pub(crate) async fn connect_from(client: [u8; 2], server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((IpAddr::from([127, 0, client[0], client[1]]), 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// A message that has to be sound.
pub(crate) fn parse(octets: &[u8]) -> Message {
    Message::from_vec(octets).unwrap_or_else(|error| panic!("{error}: {octets:02x?}"))
}

/// The zone `sd.example.org` with hosts enough for a transfer of several messages, and `huge`.
fn view() -> View {
    let mut records = apex_records("sd.example.org");
    records
        .extend((0..2000).map(|n: usize| record(&format!("host{n}.sd.example.org"), Rtype::A, &[192, 0, 2, n as u8])));
    let huge = (0..HUGE).map(|n| record("huge.sd.example.org", Rtype::A, &[203, 0, (n >> 8) as u8, n as u8]));
    records.extend(huge);
    compile(vec![source("sd.example.org", records)])
}

/// All records of the zone.
pub(crate) const RECORDS: usize = 2 + 2000 + HUGE;
