//! The sockets of the DNS side, and everything that runs on them.
//!
//! [`bind`] opens all sockets and fails whole, before anything is served; [`Bound::serve`] starts the UDP threads and
//! the TCP tasks; [`Serving::join`] waits until they have ended, which they do when the token that they were given is
//! cancelled.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cookie::{CookieOptions, Cookies};
use super::count::Blocks;
use super::encrypted::{self, EncryptedAddrs, EncryptedOptions, Opened};
use super::explain::Explainer;
use super::keepalive::Keepalive;
use super::limits::{TcpLimits, UdpLimits};
use super::rate::{Rates, Watch};
use super::rotation::Rotation;
use super::rules::{Rules, SharedKeys};
use super::tcp::Door;
use super::udp::OwnAddresses;
use super::updates::{self, AnswerUpdates, Desk};
use super::{tcp, udp};
use crate::answer::Transport;
use crate::config::RateLimit;
use crate::metrics::dns::DnsCounters;
use crate::view::Published;

/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;
/// Octets that the kernel keeps of a connection that it cannot send yet: one long answer. With more, a client that
/// reads nothing could have megabytes made before that is seen, and a slow one would show progress rarely.
const UNSENT: u32 = 64 * 1024;
/// How often a free port is looked for that is free for UDP and TCP alike.
const PORT_TRIES: usize = 32;

/// What the DNS side is told.
#[derive(Debug, Clone, Default)]
pub struct WireOptions {
    /// Where to listen, for UDP and TCP. Port 0 takes any port that is free for both.
    pub listen: Vec<SocketAddr>,
    /// UDP threads per listen address; the number of cores by default.
    pub workers: Option<NonZeroUsize>,
    /// Response sizes over UDP.
    pub udp: UdpLimits,
    /// How many answers over UDP a prefix gets.
    pub rate_limit: RateLimit,
    /// Connections, queries and time over TCP.
    pub tcp: TcpLimits,
    /// Cookies.
    pub cookies: CookieOptions,
    /// Prefixes of clients that may transfer zones.
    pub transfer_from: Vec<IpNet>,
    /// DNS over TLS, HTTPS and QUIC.
    pub encrypted: EncryptedOptions,
    /// TSIG keys; whoever holds them too may put others in force.
    pub keys: SharedKeys,
}

/// Why the DNS side cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The list is empty.
    #[error("no address to listen on; give at least one, such as 127.0.0.1:5300")]
    NoAddress,
    /// Another socket has the address.
    #[error(
        "cannot listen on {address}: another program does already; stop it (`ss -lntup` names it) or choose another \
             address or port"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The port is reserved for privileged programs.
    #[error(
        "cannot listen on {address}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE (the systemd unit \
             grants it), or choose a port from 1024 on"
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The address is not one of this host.
    #[error(
        "cannot listen on {address}: no interface of this host has the address; `ip address` lists those that it has"
    )]
    NotOurs {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot listen on {address}: {source}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
}

impl BindError {
    pub(super) fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address, source },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address, source },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { address, source },
            _ => Self::Other { address, source },
        }
    }
}

/// Opens the sockets for all listen addresses.
pub fn bind(options: WireOptions) -> Result<Bound, BindError> {
    if options.listen.is_empty() {
        return Err(BindError::NoAddress);
    }
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = options.workers.unwrap_or(cores).get();
    let open = |&address| Listening::open(address, workers).map_err(|source| BindError::new(address, source));
    let listening = options.listen.iter().map(open).collect::<Result<_, _>>()?;
    let encrypted = encrypted::open(&options.encrypted)?;
    let cookies = Arc::new(Cookies::new(&options.cookies));
    Ok(Bound { listening, encrypted, options, cookies, explainer: Explainer::default(), updates: None })
}

/// The sockets of one listen address.
#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    tcp: TcpListener,
    udp: Vec<UdpSocket>,
}

impl Listening {
    /// Opens TCP first: it tells which port is free, and cannot be shared by accident.
    fn open(address: SocketAddr, workers: usize) -> io::Result<Self> {
        let tries = if address.port() == 0 { PORT_TRIES } else { 1 };
        let mut opened = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..tries {
            opened = Self::try_open(address, workers);
            match &opened {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                _ => break,
            }
        }
        opened
    }

    fn try_open(address: SocketAddr, workers: usize) -> io::Result<Self> {
        let tcp = listen(address)?;
        let address = tcp.local_addr()?;
        udp::probe(address)?;
        let udp = (0..workers).map(|_| udp::bind(address)).collect::<io::Result<_>>()?;
        Ok(Self { address, tcp, udp })
    }
}

/// A TCP socket that listens. It may follow a server that has just stopped, whose connections linger in the kernel.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_notsent_lowat(UNSENT)?; // its connections inherit it
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sockets that are open and not served yet.
#[derive(Debug)]
pub struct Bound {
    listening: Vec<Listening>,
    encrypted: Opened,
    options: WireOptions,
    cookies: Arc<Cookies>,
    explainer: Explainer,
    updates: Option<Arc<dyn AnswerUpdates>>,
}

impl Bound {
    /// Has UPDATE messages with a good signature answered; without a handler they get NOTIMP.
    pub fn with_updates(self, updates: Arc<dyn AnswerUpdates>) -> Self {
        Self { updates: Some(updates), ..self }
    }

    /// Where it listens, in the order of the options, with the ports that 0 became.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listening.iter().map(|listening| listening.address).collect()
    }

    /// What makes and verifies cookies, for whoever has other secrets later.
    pub fn cookies(&self) -> Arc<Cookies> {
        self.cookies.clone()
    }

    /// Who explains names, for whoever knows later.
    pub fn explainer(&self) -> Explainer {
        self.explainer.clone()
    }

    /// Where the encrypted transports listen.
    pub fn encrypted_addrs(&self) -> &EncryptedAddrs {
        &self.encrypted.addresses
    }

    /// Starts serving, within the current tokio runtime, until `shutdown` is cancelled.
    ///
    /// Fails if the system has no more threads or cannot watch the listeners; then nothing is served.
    pub fn serve(
        self,
        published: Published,
        counters: Arc<DnsCounters>,
        shutdown: CancellationToken,
    ) -> io::Result<Serving> {
        let own = Arc::new(OwnAddresses::new(self.local_addrs()));
        let Self { listening, encrypted, options, cookies, explainer, updates } = self;
        let keepalive = Keepalive::new(&options.tcp, counters.clone());
        let seed = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        let rates = Rates::new(&options.rate_limit, seed).map(Arc::new);
        let (udp, keys, updates) = (options.udp, options.keys, updates.map(Desk::new));
        let rules = Arc::new(Rules { udp, cookies: cookies.clone(), keepalive, rates: rates.clone(), keys, updates });
        let under_way = rules.updates.as_ref().map(Desk::tasks);
        let (mut doors, mut udp_sockets) = (Vec::new(), Vec::new());
        for Listening { address, tcp, udp } in listening {
            doors.push(Door { listener: tokio::net::TcpListener::from_std(tcp)?, carry: Arc::new(tcp::Plain) });
            udp_sockets.extend(udp.into_iter().map(|socket| (address, socket)));
        }
        let stop = StopOnDrop(Arc::default());
        let mut udp = Vec::new();
        if let Some(rates) = rates {
            let sockets = udp_sockets.iter().map(|(_, socket)| socket.try_clone()).collect::<io::Result<_>>()?;
            let watch = Watch::new(rates, sockets, counters.clone());
            let stop = stop.0.clone();
            udp.push(thread::Builder::new().name("dns-watch".to_owned()).spawn(move || watch.run(&stop))?);
        }
        let rotation = Arc::new(Rotation::new());
        let updates_block = counters.block("udp");
        for (index, (address, socket)) in udp_sockets.into_iter().enumerate() {
            let answerer = udp::Answerer {
                published: published.clone(),
                rules: rules.clone(),
                own: own.clone(),
                later: Arc::new(udp::Later { socket: socket.try_clone()?, counters: updates_block.clone() }),
                counters: counters.block_of_one("udp"),
                rotation: rotation.clone(),
                started: None,
                failing: false,
            };
            udp.push(spawn_worker(index, address, socket, answerer, stop.0.clone())?);
        }
        let responder = tcp::Answerer {
            published,
            rules,
            transfer_from: options.transfer_from,
            blocks: Blocks::new(&counters, &[vec![Transport::Tcp], encrypted.transports()].concat()),
            counters: counters.clone(),
            unsendable: tcp::Unsendable::default(),
            explainer,
            rotation,
        };
        let service = Arc::new(tcp::Service::new(responder, options.tcp, counters, shutdown.clone()));
        doors.extend(encrypted.serve(&service)?);
        let mut tasks = JoinSet::new();
        tasks.spawn(tcp::serve(doors, service));
        tasks.spawn(async move {
            let rotating = async {
                match options.cookies.secrets.is_empty() {
                    true => cookies.keep_rotating(options.cookies.rotation).await,
                    false => std::future::pending().await,
                }
            };
            shutdown.run_until_cancelled(async { tokio::join!(rotating, own.follow()) }).await;
            drop(stop);
            updates::finish(under_way).await;
        });
        Ok(Serving { udp, tasks })
    }
}

/// Stops the UDP workers: when the server shuts down, and when it cannot even start.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn spawn_worker(
    index: usize,
    address: SocketAddr,
    socket: UdpSocket,
    mut answerer: udp::Answerer,
    stop: Arc<AtomicBool>,
) -> io::Result<thread::JoinHandle<()>> {
    let with_destination = address.ip().is_unspecified();
    thread::Builder::new()
        .name(format!("dns-udp-{index}"))
        .spawn(move || udp::worker::serve(&socket, with_destination, &stop, &mut answerer))
}

/// Everything that serves. Dropping it cuts TCP off and lets the UDP threads answer what they have.
#[derive(Debug)]
pub struct Serving {
    udp: Vec<thread::JoinHandle<()>>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// Waits until all have ended after the shutdown: what was in flight has been answered then.
    ///
    /// Fails if one of them panicked, which is a bug of ours.
    pub async fn join(self) -> Result<(), String> {
        let Self { udp, mut tasks } = self;
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| format!("the DNS service over TCP panicked: {error}"))?;
        }
        let all_well = move || udp.into_iter().map(thread::JoinHandle::join).all(|ended| ended.is_ok());
        match tokio::task::spawn_blocking(all_well).await {
            Ok(true) => Ok(()),
            _ => Err("a DNS worker over UDP panicked".to_owned()),
        }
    }
}
