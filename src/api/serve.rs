//! Connections: accept, bound, serve, end.
//!
//! One task per connection, at most `Limits::connections` of them; beyond that the quietest gives way. A head must
//! arrive within `Limits::head_time`, which also ends idle connections; a client that reads nothing of its reply for
//! `Limits::write_time` is cut. At shutdown what is in the listen queue is still accepted and what was sent before is
//! still read, for a moment in which every reply says `Connection: close`. Calls in flight are finished, streams of
//! events end, and what is left after `Limits::drain_time` is cut.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::Limits;
use super::seats::{Seat, Seats};
use super::stall::Bounded;

/// How long connections are read as before when the server stops: a request that was sent before lies in the kernel,
/// and closing its connection at once would lose it.
const LAST_CALLS: Duration = Duration::from_millis(250);

/// Octets that are buffered for a connection in each direction, and so the longest head. Bodies pass through in parts.
const MOST_BUFFERED: usize = 16 * 1024;

/// How long the log is spared the next failure to accept: between two of them some often work.
const QUIET_LOG: Duration = Duration::from_secs(60);

/// How long accepting rests after it failed, for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves a router until `shutdown`; returns when every connection has ended.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, shutdown: CancellationToken) {
    let seats = Seats::new(limits.connections);
    let connections = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let start = |(stream, peer), seat: Arc<Seat>| {
        let connection = connect(stream, peer, router.clone(), &limits, shutdown.clone(), seat.clone());
        let connection = connections.watcher().watch(connection);
        let cut = cut.clone();
        tokio::spawn(async move {
            // How a connection ends is the client's business: broken, slow or malformed, nothing is to be done.
            tokio::select! {
                biased;
                _ = connection => {}
                () = seat.displaced() => {}
                () = cut.cancelled() => {}
            }
        });
    };
    let mut warned: Option<Instant> = None;
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(accepted) => start(accepted, seats.take().await),
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                if warned.is_none_or(|at| at.elapsed() > QUIET_LOG) {
                    tracing::warn!(%error, "cannot accept HTTP connections; trying again");
                    warned = Some(Instant::now());
                }
                seats.displace(); // out of descriptors, most likely
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
    // What waits in the listen queue would be reset with the socket.
    while let Some(seat) = seats.try_take()
        && let Some(accepted) = accept_waiting(&listener)
    {
        start(accepted, seat);
    }
    drop(listener);
    tokio::time::sleep(LAST_CALLS).await;
    if tokio::time::timeout(limits.drain_time, connections.shutdown()).await.is_err() {
        tracing::warn!("HTTP connections were cut that did not end in time");
        cut.cancel();
    }
}

/// A connection that is in the listen queue already.
fn accept_waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(accepted)) => Some(accepted),
        Poll::Ready(Err(_)) | Poll::Pending => None,
    }
}

/// A connection whose requests know where they come from.
fn connect(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: &Limits,
    shutdown: CancellationToken,
    seat: Arc<Seat>,
) -> impl GracefulConnection + use<> {
    // Replies are small and whole: they should not wait for the client's acknowledgement. If it fails, they do.
    let _ = stream.set_nodelay(true);
    // Shared as a whole: a token that is cloned for each call takes the lock that all connections share.
    let shared = Arc::new((router, shutdown));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let shared = shared.clone();
        let call = seat.call();
        async move {
            let _call = call;
            let (router, shutdown) = &*shared;
            let mut response = router.clone().call(request).await?;
            if shutdown.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(MOST_BUFFERED)
        .serve_connection(TokioIo::new(Bounded::new(stream, limits.write_time)), service)
}

/// Whether a connection ended before it was accepted.
fn is_the_clients_fault(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use axum::response::sse::{Event, Sse};
    use axum::routing::get;
    use futures_util::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;
    use tokio::task::JoinHandle;

    use super::*;

    /// Calls that are held until the test lets them go.
    struct Held {
        arrived: Semaphore,
        go: Semaphore,
    }

    impl Held {
        async fn arrived(&self, calls: u32) {
            let arrived = tokio::time::timeout(Duration::from_secs(10), self.arrived.acquire_many(calls));
            arrived.await.expect("in time").expect("open").forget();
        }

        fn let_go(&self, calls: usize) {
            self.go.add_permits(calls);
        }
    }

    struct Server {
        address: SocketAddr,
        held: Arc<Held>,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    /// Octets of a reply that no socket buffers take whole.
    const LARGE: usize = 64 << 20;

    async fn server(limits: Limits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let held = Arc::new(Held { arrived: Semaphore::new(0), go: Semaphore::new(0) });
        let hold = held.clone();
        let hold = || async move {
            hold.arrived.add_permits(1);
            hold.go.acquire().await.expect("open").forget();
            "done"
        };
        let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
        let large = || async { vec![0; LARGE] };
        let event = || Some(Ok::<_, Infallible>(Event::default().data("x".repeat(1000))));
        let events = move || async move { Sse::new(stream::iter(std::iter::from_fn(event))) };
        let router = Router::new()
            .route("/held", get(hold))
            .route("/peer", get(peer))
            .route("/large", get(large))
            .route("/events", get(events));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        Server { address, held, shutdown, task }
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    /// A connection that was answered and is kept.
    async fn kept(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(b"GET /peer HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("write");
        let mut answer = Vec::new();
        while !answer.ends_with(b"127.0.0.1") {
            assert_ne!(stream.read_buf(&mut answer).await.expect("read"), 0);
        }
        stream
    }

    #[tokio::test]
    async fn calls_in_flight_are_finished() {
        let server = server(Limits::default()).await;
        assert!(ask(server.address, "/peer").await.ends_with("127.0.0.1"));
        let calls: Vec<_> = (0..10).map(|_| tokio::spawn(ask(server.address, "/held"))).collect();
        server.held.arrived(10).await;
        server.shutdown.cancel();
        server.held.let_go(10);
        for call in calls {
            assert!(call.await.expect("task").ends_with("done"));
        }
        server.task.await.expect("server");
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn idle_and_slow_heads_are_ended() {
        let limits = Limits { head_time: Duration::from_millis(100), ..Limits::default() };
        let server = server(limits).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        stream.write_all(b"GET /peer HTTP/1.1\r\nHost").await.expect("write");
        let started = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await; // closed or reset: it has ended
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_ended() {
        for path in ["/large", "/events"] {
            let limits = Limits { write_time: Duration::from_millis(100), ..Limits::default() };
            let server = server(limits).await;
            let mut stream = TcpStream::connect(server.address).await.expect("connect");
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("write");
            let ended = async {
                while stream.write_all(b"\r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), ended).await.expect(path);
            assert!(ask(server.address, "/peer").await.ends_with("127.0.0.1"));
        }
    }

    #[tokio::test]
    async fn one_connection_too_many_displaces_the_quietest() {
        let limits = Limits { connections: 2, ..Limits::default() };
        let server = server(limits).await;
        let mut quiet = kept(server.address).await;
        let busy = tokio::spawn(ask(server.address, "/held"));
        server.held.arrived(1).await;
        assert!(ask(server.address, "/peer").await.ends_with("127.0.0.1"));
        let _ = quiet.read_to_end(&mut Vec::new()).await; // closed or reset: it has ended
        server.held.let_go(1);
        assert!(busy.await.expect("task").ends_with("done"));
    }

    #[tokio::test]
    async fn connections_with_a_call_in_flight_keep_their_seats() {
        let limits = Limits { connections: 1, ..Limits::default() };
        let server = server(limits).await;
        let busy = tokio::spawn(ask(server.address, "/held"));
        server.held.arrived(1).await;
        let waiting = tokio::spawn(ask(server.address, "/peer"));
        // Time in which a fault would show; without one the test does not depend on how long it is.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        server.held.let_go(1);
        assert!(busy.await.expect("task").ends_with("done"));
        assert!(waiting.await.expect("task").ends_with("127.0.0.1"));
    }

    #[tokio::test]
    async fn the_end_does_not_wait_for_ever() {
        let limits = Limits { drain_time: Duration::from_millis(50), ..Limits::default() };
        let server = server(limits).await;
        let call = tokio::spawn(ask(server.address, "/held"));
        server.held.arrived(1).await;
        server.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(5), server.task).await.expect("in time").expect("server");
        call.abort();
    }
}
