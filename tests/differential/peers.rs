//! The four servers on the same zone files, each as like the others as it can be configured.

use std::fmt::{self, Display};
use std::net::SocketAddr;

use crate::exchange;
use crate::message::Response;
use crate::name::Name;
use crate::program::{Place, Program, free_port};
use crate::queries::Query;
use crate::sign::Signer;
use crate::support::{PATIENCE, Server, Setup, eventually};
use crate::types;
use crate::zones::{Batch, Zone};

/// The largest UDP answer that all four are configured to send.
const UDP_MAX: u16 = 4096;

/// A server that we are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    Bind,
    Knot,
    Nsd,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::Bind, Self::Knot, Self::Nsd];
}

impl Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Bind => "BIND",
            Self::Knot => "Knot",
            Self::Nsd => "NSD",
        })
    }
}

/// A zone as a file, and who of the peers takes it.
#[derive(Debug, Clone)]
pub(crate) struct ZoneFile {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) servers: Vec<Peer>,
}

/// All four, running.
pub(crate) struct Servers {
    ours: Server,
    peers: Vec<(Peer, SocketAddr, Program)>,
}

impl Servers {
    /// Starts them on the zones of a batch and waits until each answers for each zone.
    pub(crate) fn start(batch: &Batch) -> Self {
        let signer = batch.signed.then(Signer::new);
        let file = |zone: &Zone| ZoneFile {
            name: zone.file_name(),
            text: signer.as_ref().map_or_else(|| zone.text(), |signer| signer.sign(zone)),
            servers: Peer::ALL.into_iter().filter(|peer| batch.is_served_by(*peer, &zone.apex)).collect(),
        };
        Self::start_files(&batch.zones.iter().map(file).collect::<Vec<_>>())
    }

    /// The same from zone files.
    pub(crate) fn start_files(files: &[ZoneFile]) -> Self {
        let peers = Peer::ALL.into_iter().map(|peer| {
            let port = free_port();
            (peer, SocketAddr::from(([127, 0, 0, 1], port)), start(peer, port, files))
        });
        let peers = peers.collect();
        let setup = Setup::bare().config(&format!("[dns]\nudp_max = {UDP_MAX}\n"));
        let setup = files.iter().fold(setup, |setup, file| setup.zone_file(&file.name, &file.text));
        let servers = Self { ours: setup.start(), peers };
        servers.await_zones(files);
        servers
    }

    pub(crate) fn ours(&self) -> SocketAddr {
        self.ours.dns()
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = (Peer, SocketAddr)> {
        self.peers.iter().map(|(peer, address, _)| (*peer, *address))
    }

    pub(crate) fn address(&self, wanted: Peer) -> SocketAddr {
        self.peers().find(|(peer, _)| *peer == wanted).expect("every peer was started").1
    }

    /// Answers of all four to the same questions: ours, and those of the peers in their order.
    pub(crate) fn ask(&self, queries: &[Query]) -> (Vec<Vec<u8>>, Vec<Vec<Vec<u8>>>) {
        std::thread::scope(|scope| {
            let theirs = self.peers().map(|(_, address)| scope.spawn(move || exchange::ask(address, queries)));
            let theirs: Vec<_> = theirs.collect();
            let ours = exchange::ask(self.ours(), queries);
            let theirs = theirs.into_iter().map(|thread| thread.join().expect("the peer answers"));
            (ours, theirs.collect())
        })
    }

    fn await_zones(&self, files: &[ZoneFile]) {
        for address in self.peers().map(|(_, address)| address).chain([self.ours()]) {
            eventually("the server listens", || std::net::TcpStream::connect(address).is_ok());
        }
        let is_there = |file: &ZoneFile, address| {
            let name = Name::of(&file.name);
            let query = Query { qname: name.wire(), name, rtype: types::SOA, flags: 0, edns: None, tcp: false };
            let answer = Response::parse(&exchange::ask(address, &[query])[0]);
            answer.is_ok_and(|answer| answer.authoritative() && !answer.answer.is_empty())
        };
        let mut left: Vec<(String, SocketAddr, &ZoneFile)> = Vec::new();
        for file in files {
            left.push(("zonebeat".to_owned(), self.ours(), file));
            let peers = self.peers().filter(|(peer, _)| file.servers.contains(peer));
            left.extend(peers.map(|(peer, address)| (peer.to_string(), address, file)));
        }
        let deadline = std::time::Instant::now() + PATIENCE;
        while !left.is_empty() && std::time::Instant::now() < deadline {
            left.retain(|(_, address, file)| !is_there(file, *address));
        }
        let mut missing =
            left.iter().map(|(server, _, file)| format!("{server} does not serve {}:\n{}", file.name, file.text));
        assert!(missing.len() == 0, "{}", missing.next().unwrap_or_default());
    }
}

fn start(peer: Peer, port: u16, files: &[ZoneFile]) -> Program {
    let place = Place::new();
    let files = files.iter().filter(|file| file.servers.contains(&peer));
    for file in files.clone() {
        std::fs::write(place.path().join(format!("{}.zone", file.name)), &file.text).expect("file can be written");
    }
    let zones = |line: fn(&str) -> String| files.map(|file| line(&file.name)).collect::<String>();
    match peer {
        Peer::Bind => {
            let config =
                bind(port) + &zones(|name| format!("zone \"{name}\" {{ type primary; file \"{name}.zone\"; }};\n"));
            place.start("named", &["-g", "-n", "1", "-c", "{dir}/config"], &config)
        }
        Peer::Knot => {
            let config = knot(port) + &zones(|name| format!("  - domain: {name}\n    file: {name}.zone\n"));
            place.start("knotd", &["-c", "{dir}/config"], &config)
        }
        Peer::Nsd => {
            let line = |name: &str| {
                format!("zone:\n  name: {name}\n  zonefile: {name}.zone\n  provide-xfr: 127.0.0.0/8 NOKEY\n")
            };
            let config = nsd(port) + &zones(line);
            place.start("nsd", &["-d", "-c", "{dir}/config"], &config)
        }
    }
}

/// BIND without what only resolvers need, without opinions on the data, and without the NS set in every answer.
fn bind(port: u16) -> String {
    format!(
        "options {{ directory \"{{dir}}\"; pid-file none; session-keyfile \"{{dir}}/key\"; recursion no; notify no;\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; allow-transfer {{ any; }};\n\
         dnssec-validation no; zero-no-soa-ttl no; minimal-responses no-auth; minimal-any yes; empty-zones-enable no; answer-cookie no;\n\
         check-names primary ignore; check-mx ignore; check-mx-cname ignore; check-srv-cname ignore; check-sibling no;\n\
         check-integrity no; check-wildcard no; check-spf ignore; check-dup-records ignore;\n\
         max-udp-size {UDP_MAX}; edns-udp-size {UDP_MAX}; }};\n\
         controls {{ }};\n"
    )
}

fn knot(port: u16) -> String {
    format!(
        "server:\n    listen: 127.0.0.1@{port}\n    rundir: {{dir}}\n    udp-workers: 1\n    tcp-workers: 1\n\
         \x20   background-workers: 2\n    udp-max-payload: {UDP_MAX}\n\
         database:\n    storage: {{dir}}\nlog:\n  - target: stderr\n    any: warning\n\
         acl:\n  - id: all\n    address: 127.0.0.0/8\n    action: transfer\n\
         template:\n  - id: default\n    storage: {{dir}}\n    acl: all\n    semantic-checks: soft\n\
         \x20   zonefile-sync: -1\n    journal-content: none\n\
         zone:\n"
    )
}

fn nsd(port: u16) -> String {
    format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  server-count: 1\n  zonesdir: {{dir}}\n\
         \x20 database: \"\"\n  pidfile: {{dir}}/pid\n  xfrdfile: {{dir}}/xfrd\n  zonelistfile: {{dir}}/zones\n\
         \x20 xfrdir: {{dir}}\n  rrl-ratelimit: 0\n  refuse-any: yes\n  ipv4-edns-size: {UDP_MAX}\n\
         \x20 minimal-responses: no\n  round-robin: no\n\
         remote-control:\n  control-enable: no\n"
    )
}
