//! The accept loops, and the end of everything they started.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients::{Admission, Clients};
use super::{Carry, Respond, Watched, connection};
use crate::answer::Transport;
use crate::metrics::dns::{DnsCounters, Refused};
use crate::wire::decode::Origin;
use crate::wire::limits::TcpLimits;

/// Pauses after an accept call that failed: the first, and the longest.
const PAUSE: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];
/// Accepting fails for one reason, which is logged once, until it has not failed for so long.
const CALM: Duration = Duration::from_secs(60);
/// Connections that are taken from the kernel's queue at once, when descriptors are out or the server stops.
const BACKLOG: usize = 1024;

/// What all connections share.
pub(super) type Shared<R> = Arc<Service<R>>;

/// Everything a connection needs from its surroundings.
pub(in crate::wire) struct Service<R> {
    /// Answers messages.
    pub(in crate::wire) responder: R,
    /// The limits.
    pub(in crate::wire) limits: TcpLimits,
    /// The counters of connections.
    pub(in crate::wire) counters: Arc<DnsCounters>,
    /// Ends the service gently.
    pub(in crate::wire) stop: CancellationToken,
    /// Cuts off what has not ended in time.
    kill: CancellationToken,
    /// A permit for each transfer that may run.
    pub(in crate::wire) transfers: Arc<Semaphore>,
    /// Every connection and transfer.
    pub(in crate::wire) tasks: TaskTracker,
    /// Who has a connection.
    pub(in crate::wire) clients: Arc<Clients>,
}

/// A socket that listens, and what runs on its connections.
pub(in crate::wire) struct Door<R> {
    pub(in crate::wire) listener: TcpListener,
    pub(in crate::wire) carry: Arc<dyn Carry<R>>,
}

/// Messages straight on the connection.
pub(in crate::wire) struct Plain;

impl<R: Respond> Carry<R> for Plain {
    fn carry(
        &self,
        stream: TcpStream,
        client: IpAddr,
        admission: Admission,
        service: Arc<Service<R>>,
    ) -> BoxFuture<'static, ()> {
        let (reader, writer) = stream.into_split();
        let writer = Watched::new(writer, admission.seat.clone());
        let origin = Origin { transport: Transport::Tcp, client };
        Box::pin(connection::serve(reader, writer, origin, admission, service))
    }
}

impl<R: Respond> Service<R> {
    /// A service that runs until `stop` is cancelled.
    pub(in crate::wire) fn new(
        responder: R,
        limits: TcpLimits,
        counters: Arc<DnsCounters>,
        stop: CancellationToken,
    ) -> Self {
        let transfers = Arc::new(Semaphore::new(limits.transfers));
        let clients = Arc::new(Clients::new(&limits));
        let (kill, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { responder, limits, counters, stop, kill, transfers, tasks, clients }
    }

    /// Starts a task for a connection, unless its client has enough of them.
    async fn welcome(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, carry: &dyn Carry<R>) {
        let admission = match self.clients.admit_soon(peer.ip()).await {
            Ok(admission) => admission,
            Err(why) => return self.counters.refused(why),
        };
        let _ = stream.set_nodelay(true); // fails only if the client is gone already
        self.counters.connected();
        let counted = Counted(self.counters.clone());
        let seat = admission.seat.clone();
        let served = carry.carry(stream, peer.ip(), admission, self.clone());
        self.spawn(async move {
            tokio::select! {
                () = served => {}
                () = seat.cut() => {}
            }
            drop(counted);
        });
    }

    /// Starts a task that the end of the service waits for, and cuts off in the end.
    pub(in crate::wire) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let kill = self.kill.clone();
        self.tasks.spawn(async move {
            kill.run_until_cancelled(task).await;
        });
    }
}

/// Counts the end of a connection, however it comes.
struct Counted(Arc<DnsCounters>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.disconnected();
    }
}

/// Serves all listeners until the service stops; then waits for the connections, as long as the limits say.
pub(in crate::wire) async fn serve<R: Respond>(doors: Vec<Door<R>>, service: Shared<R>) {
    let mut loops = JoinSet::new();
    for door in doors {
        loops.spawn(accept(door, service.clone()));
    }
    loops.join_all().await;
    service.tasks.close();
    if timeout(service.limits.drain, service.tasks.wait()).await.is_err() {
        tracing::info!(tasks = service.tasks.len(), "TCP connections did not end in time and are cut off");
        service.kill.cancel();
        service.tasks.wait().await;
    }
}

/// Accepts from one listener until the stop, and then what the kernel has accepted before.
async fn accept<R: Respond>(door: Door<R>, service: Shared<R>) {
    let Door { listener, carry } = door;
    let mut reserve = reserve();
    let mut pause = PAUSE[0];
    let mut failed: Option<Instant> = None;
    while let Some(accepted) = service.stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                pause = PAUSE[0];
                service.welcome(stream, peer, &*carry).await;
            }
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                if failed.is_none_or(|last| last.elapsed() > CALM) {
                    tracing::warn!(%error, "accepting TCP connections failed; trying again");
                }
                failed = Some(Instant::now());
                if is_out_of_descriptors(&error) {
                    shed(&listener, &mut reserve, &service.counters).await;
                }
                service.stop.run_until_cancelled(sleep(pause)).await;
                pause = (pause * 2).min(PAUSE[1]);
            }
        }
    }
    for _ in 0..BACKLOG {
        let Some((stream, peer)) = accept_now(&listener).await else { return };
        service.welcome(stream, peer, &*carry).await;
    }
}

/// A connection that is there already.
async fn accept_now(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    timeout(Duration::ZERO, listener.accept()).await.ok()?.ok()
}

/// Closes waiting connections with the help of the descriptor in reserve: their clients then know, and try elsewhere,
/// instead of waiting in the kernel's queue for a server that cannot even say no.
async fn shed(listener: &TcpListener, spare: &mut Option<File>, counters: &DnsCounters) {
    drop(spare.take());
    for _ in 0..BACKLOG {
        let Some(connection) = accept_now(listener).await else { break };
        drop(connection);
        counters.refused(Refused::Descriptors);
    }
    *spare = reserve();
}

/// A descriptor that can be given up when there is no other.
fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Whether a connection ended before it was accepted.
fn is_the_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
