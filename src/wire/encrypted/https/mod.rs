//! DNS over HTTPS (RFC 8484), over HTTP/2 and, for clients that offer no better, HTTP/1.1.
//!
//! # Shape
//!
//! hyper speaks HTTP; this says what a request asks ([`request`]), has it answered, and gives the response the lifetime
//! that its records have ([`freshness`]). Each request is a task of its own, so that a slow body delays nobody; answers
//! leave as the client makes room for them ([`body`]).
//!
//! # Limits
//!
//! One task watches the connection ([`pulse`]): the first request has to be there within `first_query`, handshake
//! included; a body within that time again; with nothing in flight the connection ends after `idle`, and when answers
//! are not taken, after `write_stall`, or sooner when others need the place (each piece that hyper takes of an answer
//! shows that the client made room for one); and in any case after `lifetime`. It holds at most `in_flight` requests,
//! 64 KiB that nobody has read yet, `in_flight_octets` of bodies and as many of answers, of each a second copy of some
//! KiB inside hyper. Streams that a client opens and cancels at once, a flood of frames, and headers above 16 KiB end
//! the connection, which hyper sees to.
//!
//! # Stop
//!
//! The connection says GOAWAY, answers what has arrived, and ends.

mod body;
mod freshness;
mod pulse;
mod request;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hickory_server::server::default_tls_server_config;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Certificates;
use super::tls::shake_hands;
use crate::answer::Transport;
use crate::wire::decode::Origin;
use crate::wire::respond::MAX_TCP;
use crate::wire::tcp::{Action, Admission, Carry, LAST_WORDS, LINGER, Made, MakeMessages, Respond, Service, ask};
use body::{Answer, Flight};
use freshness::freshness;
use pulse::Pulse;
use request::Refusal;

/// HTTP/2 first; RFC 8484 section 5.2 recommends it as the least.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// Octets of a request's head, which holds the query of a GET.
const MAX_HEAD: usize = 16 * 1024;
/// Octets of an answer that wait inside hyper, per request.
const SEND_BUFFER: usize = 8 * 1024;
/// Octets that a client may send before they are read.
const WINDOW: u32 = 65_535;
/// Streams that we reset before the connection ends. Those that come before the client knows how many may be open are
/// among them, and clients begin with bursts of a hundred.
const MOST_RESETS: usize = 512;

/// Carries queries inside HTTP inside TLS.
pub(super) struct Https {
    acceptor: TlsAcceptor,
    path: Arc<str>,
}

impl Https {
    pub(super) fn new(certificates: Arc<Certificates>, path: Arc<str>) -> io::Result<Self> {
        let mut config = default_tls_server_config(ALPN[0], certificates)?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        Ok(Self { acceptor: Arc::new(config).into(), path })
    }
}

impl<R: Respond> Carry<R> for Https {
    fn carry(
        &self,
        stream: TcpStream,
        client: IpAddr,
        admission: Admission,
        service: Arc<Service<R>>,
    ) -> BoxFuture<'static, ()> {
        let (acceptor, path) = (self.acceptor.clone(), self.path.clone());
        let origin = Origin { transport: Transport::Https, client };
        Box::pin(async move {
            if let Some(stream) = shake_hands(acceptor, stream, origin.transport, &admission, &service).await {
                serve(stream, origin, path, &admission, service).await;
            }
        })
    }
}

/// What the requests of one connection share.
struct Visit<R> {
    service: Arc<Service<R>>,
    origin: Origin,
    path: Arc<str>,
    pulse: Arc<Pulse>,
    /// Held from an answer to the room for it, so that one answer at most has none.
    turn: Mutex<()>,
    /// A permit for each octet of an answer that hyper has not taken.
    room: Arc<Semaphore>,
    /// A permit for each octet of a body that is not complete.
    inbox: Semaphore,
}

/// Serves one connection in the version that its handshake settled.
async fn serve<R: Respond>(
    stream: TlsStream<TcpStream>,
    origin: Origin,
    path: Arc<str>,
    admission: &Admission,
    service: Arc<Service<R>>,
) {
    let limits = &service.limits;
    let octets = limits.in_flight_octets.max(MAX_TCP);
    let visit = Arc::new(Visit {
        origin,
        path,
        pulse: Arc::new(Pulse::new(admission, limits)),
        turn: Mutex::default(),
        room: Arc::new(Semaphore::new(octets)),
        inbox: Semaphore::new(octets),
        service: service.clone(),
    });
    let pulse = visit.pulse.clone();
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(ALPN[0]);
    let io = TokioIo::new(stream);
    let handler = service_fn(move |request| {
        let visit = visit.clone();
        async move { Ok::<_, Infallible>(visit.handle(request).await) }
    });
    if is_http2 {
        let streams = u32::try_from(limits.in_flight).unwrap_or(u32::MAX);
        let mut builder = http2::Builder::new(Tracked(service.clone()));
        builder.timer(TokioTimer::new()).max_concurrent_streams(streams).max_header_list_size(MAX_HEAD as u32);
        builder
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND_BUFFER);
        builder.max_pending_accept_reset_streams(limits.in_flight.max(1)).max_local_error_reset_streams(MOST_RESETS);
        attend(builder.serve_connection(io, handler), admission, &pulse, &service).await;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(MAX_HEAD);
        attend(builder.serve_connection(io, handler), admission, &pulse, &service).await;
    }
}

/// Drives a connection to its end, and says when that comes: gently first, and then by cutting it off.
async fn attend<R: Respond>(
    connection: impl GracefulConnection,
    admission: &Admission,
    pulse: &Pulse,
    service: &Service<R>,
) {
    let mut connection = pin!(connection);
    let mut cut: Option<Instant> = None;
    loop {
        let patience = match cut {
            None => tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = admission.seat.leave.notified() => LINGER,
                () = service.stop.cancelled() => service.limits.write_stall,
                () = sleep_until(pulse.next_look()) => match pulse.is_over() {
                    Some(patience) => patience,
                    None => continue,
                },
            },
            Some(cut) => {
                tokio::select! {
                    _ = connection.as_mut() => {}
                    () = sleep_until(cut) => {}
                }
                return;
            }
        };
        cut = Some(Instant::now() + patience);
        connection.as_mut().graceful_shutdown();
    }
}

impl<R: Respond> Visit<R> {
    /// One request: an answer, or why there is none.
    async fn handle(&self, mut request: Request<Incoming>) -> Response<Answer> {
        let flight = self.pulse.begin().await;
        if request.method() == Method::HEAD {
            return self.refuse(&request::HEAD, flight);
        }
        let read = request::read(&mut request, &self.path, &self.inbox);
        let read = timeout(self.service.limits.first_query, read).await;
        let query = match read.unwrap_or(Err(request::LATE)) {
            Ok(query) => query,
            Err(refusal) => {
                if refusal != request::BUSY {
                    let _ = timeout(LAST_WORDS, request::discard(request.body_mut())).await; // it is refused either way
                }
                return self.refuse(&refusal, flight);
            }
        };
        let turn = self.turn.lock().await;
        let answered = match ask(&self.service.responder, &query, self.origin, bytes::Bytes::copy_from_slice) {
            Ok(message) => Some(message),
            Err(Action::Stream(messages)) => self.first(messages).await,
            Err(Action::Later(response)) => Some(response.await.into()),
            Err(_) => None,
        };
        let Some(message) = answered else { return self.refuse(&request::NO_QUERY, flight) };
        let age = freshness(&message);
        let size = message.len() as u32; // at most MAX_TCP
        let room = self.room.clone().acquire_many_owned(size).await.ok(); // nobody closes the semaphore
        drop(turn);
        let response = Response::builder()
            .header("content-type", request::MEDIA_TYPE)
            .header("cache-control", format!("max-age={age}"))
            .body(Answer::new(message, flight, room));
        response.expect("the headers are constants and a number")
    }

    /// The first message of a response that takes its time; over HTTPS it is the only one.
    async fn first(&self, mut messages: Box<dyn MakeMessages>) -> Option<bytes::Bytes> {
        let _permit = self.service.transfers.acquire().await.ok()?;
        let made = tokio::task::spawn_blocking(move || {
            let mut message = Vec::new();
            (messages.next_message(&mut message) == Made::Message).then_some(message)
        });
        made.await.ok().flatten().map(bytes::Bytes::from)
    }

    fn refuse(&self, refusal: &Refusal, flight: Flight) -> Response<Answer> {
        self.service.counters.encrypted.refused(refusal.status.as_u16());
        let mut builder = Response::builder().status(refusal.status).header("content-type", "text/plain");
        if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
            builder = builder.header("allow", "GET, POST");
        }
        let text = bytes::Bytes::from_static(refusal.text.as_bytes());
        builder.body(Answer::new(text, flight, None)).expect("the headers are constants")
    }
}

/// Runs the requests of a connection as tasks that the end of the service waits for.
struct Tracked<R>(Arc<Service<R>>);

impl<R> Clone for Tracked<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Respond, F: Future<Output: Send> + Send + 'static> hyper::rt::Executor<F> for Tracked<R> {
    fn execute(&self, request: F) {
        self.0.spawn(async {
            request.await;
        });
    }
}

#[cfg(feature = "fuzzing")]
pub use request::read_get;
