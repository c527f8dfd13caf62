//! A wire that serves a small zone, and packets for it.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use prometheus::{Registry, TextEncoder};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use zonebeat::metrics::dns::{DnsCollector, DnsCounters};
use zonebeat::model::naming::Naming;
use zonebeat::model::{Name, Record, Rtype};
use zonebeat::registry::Snapshot;
use zonebeat::view::{Compiler, Published, ServerFacts, View, ZoneSource};
use zonebeat::wire::{Serving, WireOptions, bind};

/// Addresses of `big`: more than fit 512 octets, fewer than fit 1232.
pub(crate) const BIG: usize = 50;
/// Hosts of the zone, so that a transfer takes several messages.
pub(crate) const HOSTS: usize = 2000;
/// All records of the zone: SOA, NS, hosts, `big`.
pub(crate) const RECORDS: usize = 2 + HOSTS + BIG;

fn name(text: &str) -> Name {
    Name::parse_absolute(text).expect("test name")
}

pub(crate) fn record(owner: &str, rtype: Rtype, rdata: &[u8]) -> Record {
    Record { owner: name(owner), rtype, ttl: 300, rdata: rdata.into() }
}

/// SOA and NS.
pub(crate) fn apex_records(apex: &str) -> Vec<Record> {
    let mut soa = [name("ns1.sd.example.org").as_wire(), name("hostmaster.example.org").as_wire()].concat();
    soa.extend([0u32, 3600, 600, 86400, 5].iter().flat_map(|number| number.to_be_bytes()));
    vec![record(apex, Rtype::SOA, &soa), record(apex, Rtype::NS, name("ns1.sd.example.org").as_wire())]
}

static VIEW: LazyLock<View> = LazyLock::new(|| {
    let mut records = apex_records("sd.example.org");
    let host = |number: usize| format!("host{number}.sd.example.org");
    records.extend((0..HOSTS).map(|n| record(&host(n), Rtype::A, &[192, 0, 2, n as u8])));
    records.extend((0..BIG).map(|n| record("big.sd.example.org", Rtype::A, &[198, 51, 100, n as u8])));
    compile(vec![source("sd.example.org", records)])
});

/// A zone of these records alone.
pub(crate) fn source(apex: &str, records: Vec<Record>) -> ZoneSource {
    ZoneSource {
        apex: name(apex),
        records,
        registrations: false,
        reverse: false,
        updates: false,
        ttl: 30,
        readable: true,
    }
}

/// A view of these zones.
pub(crate) fn compile(sources: Vec<ZoneSource>) -> View {
    let server = ServerFacts { identity: Some("ns".into()), version: None, udp_size: 1232 };
    Compiler::new(sources, Naming::new(&["plain".into()], &[]).expect("a preset"), server, 7)
        .full(&Snapshot::default(), &[])
}

/// The zone `sd.example.org`.
pub(crate) fn view() -> View {
    VIEW.clone()
}

/// A running wire.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    counters: Arc<DnsCounters>,
    serving: Option<Serving>,
    runtime: Runtime,
}

impl Server {
    /// Serves with these options, on a loopback address unless they name another.
    pub(crate) fn start(options: WireOptions) -> Self {
        Self::serve(options, view())
    }

    /// Serves this view.
    pub(crate) fn serve(mut options: WireOptions, view: View) -> Self {
        if options.listen.is_empty() {
            options.listen = vec!["127.0.0.1:0".parse().unwrap()];
        }
        let runtime = Runtime::new().unwrap();
        let bound = bind(options).unwrap();
        let (address, counters) = (bound.local_addrs()[0], Arc::new(DnsCounters::default()));
        let shutdown = CancellationToken::new();
        let guard = runtime.enter();
        let serving = bound.serve(Published::new(view), counters.clone(), shutdown.clone()).unwrap();
        drop(guard);
        Self { address, shutdown, counters, serving: Some(serving), runtime }
    }

    /// Waits until everything has ended; somebody has to say shutdown.
    pub(crate) fn join(&mut self) {
        let serving = self.serving.take().expect("joined once");
        self.runtime.block_on(serving.join()).unwrap();
    }

    /// A socket that hears only this server.
    pub(crate) fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind((self.address.ip(), 0)).unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// The metrics as they are scraped.
    pub(crate) fn metrics(&self) -> String {
        let registry = Registry::new();
        registry.register(Box::new(DnsCollector::new(self.counters.clone()).unwrap())).unwrap();
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    /// Waits until transfers are counted, which happens when their threads end.
    pub(crate) fn await_transfers(&self, outcome: &str, number: usize) {
        let line = format!("zonebeat_dns_transfers_total{{outcome=\"{outcome}\"}} {number}\n");
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.metrics().contains(&line) {
            assert!(Instant::now() < deadline, "{}", self.metrics());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A query, with OPT if an EDNS size is given. The case of the name is sent as it is written.
pub(crate) fn query(id: u16, name: &str, rtype: u16, edns: Option<u16>) -> Vec<u8> {
    let mut packet: Vec<u8> =
        [id, 0, 1, 0, 0, u16::from(edns.is_some())].iter().flat_map(|word| word.to_be_bytes()).collect();
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1]);
    if let Some(size) = edns {
        packet.extend([0, 0, 41]);
        packet.extend(size.to_be_bytes());
        packet.extend([0; 6]);
    }
    packet
}
