//! Agents: many in this process, each a session of its own with its own jitter; and the network between them and the
//! server, which can be cut.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zonebeat::agent::Client;
use zonebeat::agent::servers::{Servers, parse_server};
use zonebeat::agent::services::parse;
use zonebeat::agent::session::Identity;
use zonebeat::agent::set::HttpSession;
use zonebeat::agent::supervise::{Agent, Controls, Source};

use super::support::faults::transfer;
use super::support::{Server, ZONE, eventually};

/// Instances of each service.
pub(crate) const EACH: usize = 3;

/// The network: what is sent to it reaches the server unless it is cut. Then connections stay open and nothing comes.
#[derive(Clone)]
pub(crate) struct Network {
    at: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    whole: watch::Sender<bool>,
}

impl Network {
    fn new(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let at = listener.local_addr().expect("it has an address");
        let network = Self { at, to: Arc::new(Mutex::new(at)), whole: watch::Sender::new(true) };
        runtime.spawn(network.clone().carry(listener));
        network
    }

    /// What agents take for the server.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// A configuration with which the server names no other way to itself.
    pub(crate) fn config(&self, more: &str) -> String {
        format!("[server]\nadvertise = [\"{}\"]\n{more}", self.url())
    }

    /// Cuts it, or mends it.
    pub(crate) fn set_whole(&self, whole: bool) {
        self.whole.send_replace(whole);
    }

    /// Leads to another server, or to the same one after a restart.
    pub(crate) fn lead_to(&self, to: SocketAddr) {
        *self.to.lock().expect("no thread panics with it") = to;
    }

    async fn carry(self, listener: TcpListener) {
        while let Ok((client, _)) = listener.accept().await {
            let (to, mut whole) = (*self.to.lock().expect("no thread panics with it"), self.whole.subscribe());
            tokio::spawn(async move {
                tokio::select! {
                    () = forward(client, to, whole.clone()) => {}
                    // What was cut is lost: whoever waits for it has to begin anew.
                    () = async { while whole.changed().await.is_ok() && !*whole.borrow() {} } => {}
                }
            });
        }
    }
}

async fn forward(mut client: TcpStream, to: SocketAddr, mut whole: watch::Receiver<bool>) {
    // Whoever asks has given up by then; what is kept of it would only take descriptors.
    if timeout(Duration::from_secs(3), until(&mut whole, true)).await.is_err() {
        return;
    }
    if let Ok(mut server) = TcpStream::connect(to).await {
        tokio::select! {
            // Either side may close as it likes.
            _ = copy_bidirectional(&mut client, &mut server) => {}
            () = until(&mut whole, false) => std::future::pending().await,
        }
    }
}

async fn until(whole: &mut watch::Receiver<bool>, wanted: bool) {
    // Nobody else ends it before the runtime does.
    let _ = whole.wait_for(|whole| *whole == wanted).await;
}

/// Many agents in this process.
pub(crate) struct Fleet {
    pub(crate) network: Network,
    agents: Vec<JoinHandle<()>>,
    runtime: Runtime,
}

impl Fleet {
    /// The network, without agents and without a server.
    pub(crate) fn new() -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
        Self { network: Network::new(&runtime), agents: Vec::new(), runtime }
    }

    /// Starts so many agents of the server with such a lease, each with one instance; three of a service. Waits until
    /// all are answered.
    pub(crate) fn join(mut self, server: &Server, count: usize, lease: Duration) -> Self {
        self.network.lead_to(server.http());
        let url = self.network.url();
        let start = |number| self.runtime.spawn(agent(&url, number, lease).run(Controls::default()));
        self.agents = (0..count).map(start).collect();
        eventually("all are answered", || {
            targets(server).iter().filter(|target| target.starts_with('i')).count() == count
        });
        self
    }

    /// Ends an agent as a power cut does.
    pub(crate) fn kill(&self, number: usize) {
        self.agents[number].abort();
    }
}

/// The host name of an agent's instance.
pub(crate) fn target(number: usize) -> String {
    format!("i{number}.s{}.{ZONE}.", number / EACH)
}

fn agent(url: &str, number: usize, lease: Duration) -> Agent<HttpSession> {
    let (service, session) = (format!("s{}", number / EACH), format!("host-{number}"));
    let [high, low] = (number as u16).to_be_bytes();
    let text = format!("id = \"i{number}\"\nport = 80\naddresses = [\"10.0.{high}.{low}\"]");
    let servers = Servers::new([parse_server(url).expect("a URL")]);
    Agent {
        carrier: HttpSession { client: Client::new(servers, None, 1).expect("a client"), session: session.clone() },
        identity: Identity { session, epoch: "e".to_owned(), lease_seconds: lease.as_secs() as i64 },
        source: Source::Fixed(parse("s.toml", &service, "host", &text).expect("a service")),
        drain: Duration::ZERO,
        farewell: "the test ends".to_owned(),
        socket: None,
    }
}

/// The targets of all SRV records of services named `s...`, from a zone transfer.
pub(crate) fn targets(server: &Server) -> Vec<String> {
    let records = transfer(server.dns(), ZONE);
    let of_services = records.iter().filter(|record| record.name.to_ascii().starts_with("_s"));
    let srv = of_services.filter_map(|record| match &record.data {
        hickory_proto::rr::RData::SRV(srv) => Some(srv.target.to_ascii()),
        _ => None,
    });
    let mut targets: Vec<String> = srv.collect();
    targets.sort();
    targets
}

/// Fails with the difference if another set is answered.
pub(crate) fn assert_answered(server: &Server, wanted: &[String], when: &str) {
    let found = targets(server);
    if found != wanted {
        let missing: Vec<_> = wanted.iter().filter(|one| !found.contains(one)).collect();
        let more: Vec<_> = found.iter().filter(|one| !wanted.contains(one)).collect();
        panic!("{when}: missing {missing:?}, more {more:?}");
    }
}

/// What happened to instances after the revision, but for what `expected` takes.
pub(crate) fn changes_since(server: &Server, revision: u64) -> Vec<Value> {
    let (mut since, mut all) = (revision, Vec::new());
    loop {
        let (_, page) = server.http_json("GET", &format!("/v1/changes?since={since}&limit=1000"), None);
        all.extend(page["changes"].as_array().cloned().unwrap_or_default());
        since = page["next"].as_u64().expect("a page says where the next one begins");
        if page["more"] != true {
            return all;
        }
    }
}

/// The changes of that transition.
pub(crate) fn of_transition(changes: &[Value], transition: &str) -> Vec<String> {
    let of = changes.iter().filter(|change| change["transition"] == transition);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    of.map(|change| format!("{}/{}", word(&change["subject"]), word(&change["instance"]))).collect()
}

/// The last committed change.
pub(crate) fn revision(server: &Server) -> u64 {
    changes_since(server, 0).last().map_or(0, |last| last["revision"].as_u64().expect("a number"))
}

/// The serial of the zone.
pub(crate) fn serial(server: &Server) -> u32 {
    let soa = server.dig_short(&[ZONE, "SOA"]);
    let serial = soa.first().and_then(|soa| soa.split(' ').nth(2)).expect("there is an SOA");
    serial.parse().expect("a number")
}
