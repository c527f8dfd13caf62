//! DNS over QUIC (RFC 9250).
//!
//! # Shape
//!
//! One endpoint per listen address accepts handshakes, each in a task of its own, so that a slow one delays nobody. A
//! connection that has shaken hands takes a seat ([`connection`]); each of its streams is one query ([`stream`]).
//!
//! # Limits
//!
//! At most [`HANDSHAKES`] are in progress; from [`PROVE`] on a client has to show first that its address is its own, by
//! sending back a token, which costs no memory here. Who has shown it takes a seat for each handshake. A handshake has
//! to end within `first_query`. A connection holds at most `in_flight` streams, 128 KiB that it has sent and nobody has
//! read, and `in_flight_octets` of answers that it has not acknowledged. A connection stays with the address that it
//! came from: seats are counted by address, and so are transfers allowed. 0-RTT is off: queries in it could be
//! replayed.
//!
//! # Stop
//!
//! Nothing new is accepted; streams that have arrived are answered, and the connection ends with DOQ_NO_ERROR when the
//! client has acknowledged the answers.

mod connection;
mod stream;

use std::future::pending;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_server::net::quic::DoqErrorCode;
use hickory_server::server::default_tls_server_config;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Certificates, last_words};
use crate::answer::Transport;
use crate::metrics::encrypted::Handshake;
use crate::wire::limits::TcpLimits;
use crate::wire::respond::MAX_TCP;
use crate::wire::tcp::{Admission, Respond, Service};

/// The name of the protocol in handshakes (RFC 9250 section 4.1.1).
const ALPN: &[u8] = b"doq";
/// Handshakes in progress.
const HANDSHAKES: usize = 1024;
/// From how many handshakes in progress a client has to show that its address is its own.
const PROVE: usize = 64;
/// What the kernel keeps for us, in octets: a burst of handshakes.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How long the last packets of connections that have ended may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A UDP socket for QUIC alone.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER); // as much as the system allows
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// An endpoint that shows `certificates`.
pub(super) fn endpoint(socket: UdpSocket, certificates: Arc<Certificates>, limits: &TcpLimits) -> io::Result<Endpoint> {
    let tls = default_tls_server_config(ALPN, certificates)?;
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(transport(limits)));
    config.migration(false).max_incoming(HANDSHAKES);
    config.incoming_buffer_size(64 << 10).incoming_buffer_size_total(4 << 20);
    Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))
}

fn transport(limits: &TcpLimits) -> TransportConfig {
    let number = |number: usize| VarInt::try_from(number as u64).unwrap_or(VarInt::MAX);
    let mut transport = TransportConfig::default();
    transport.max_idle_timeout(IdleTimeout::try_from(limits.idle).ok());
    transport.max_concurrent_bidi_streams(number(limits.in_flight)).max_concurrent_uni_streams(VarInt::from_u32(0));
    transport.stream_receive_window(number(2 + MAX_TCP)).receive_window(number(2 * (2 + MAX_TCP)));
    transport.send_window(limits.in_flight_octets.max(2 + MAX_TCP) as u64);
    transport.datagram_receive_buffer_size(None);
    transport
}

/// Serves one endpoint until the service stops and its connections have ended.
pub(super) async fn serve<R: Respond>(endpoint: Endpoint, service: Arc<Service<R>>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = service.stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => if let Some((incoming, slot)) = consider(incoming, &handshakes, &service) {
                    connections.spawn(welcome(incoming, slot, service.clone()));
                },
                None => break,
            },
        }
    }
    while connections.join_next().await.is_some() {}
    endpoint.close(DoqErrorCode::NoError.into(), b"");
    let _ = timeout(FAREWELL, endpoint.wait_idle()).await; // who has not heard it by then will notice the silence
}

/// Whether a handshake may begin: not from a port that nobody can have, and not while there are too many.
fn consider<R>(
    incoming: Incoming,
    handshakes: &Arc<Semaphore>,
    service: &Service<R>,
) -> Option<(Incoming, OwnedSemaphorePermit)> {
    let busy = HANDSHAKES - handshakes.available_permits() >= PROVE;
    let counters = &service.counters.encrypted;
    if incoming.remote_address().port() == 0 {
        incoming.ignore();
    } else if busy && !incoming.remote_address_validated() && incoming.may_retry() {
        counters.handshake(Transport::Quic.as_str(), Handshake::Deferred);
        let _ = incoming.retry(); // has just said that it may
    } else if let Ok(slot) = handshakes.clone().try_acquire_owned() {
        return Some((incoming, slot));
    } else {
        counters.handshake(Transport::Quic.as_str(), Handshake::Deferred);
        incoming.ignore();
    }
    None
}

/// Finds a seat, shakes hands, and serves the connection. A client whose address may be forged gets its seat after the
/// handshake, so that nobody takes the seats of another; one that has shown it needs a seat for its handshakes too.
async fn welcome<R: Respond>(incoming: Incoming, slot: OwnedSemaphorePermit, service: Arc<Service<R>>) {
    let (born, client) = (Instant::now(), incoming.remote_address().ip());
    let early = match incoming.remote_address_validated().then(|| service.clients.admit(client)).transpose() {
        Ok(early) => early,
        Err(why) => {
            service.counters.refused(why);
            return incoming.refuse();
        }
    };
    let Some(connection) = shake_hands(incoming, born, early.as_ref(), &service).await else { return };
    drop(slot);
    match early.map_or_else(|| service.clients.admit(client), Ok) {
        Ok(mut admission) => {
            admission.born = born;
            service.counters.encrypted.connected();
            let _counted = Counted(service.clone());
            let seat = admission.seat.clone();
            tokio::select! {
                () = connection::serve(connection.clone(), admission, service) => {}
                () = seat.cut() => connection.close(DoqErrorCode::ExcessiveLoad.into(), b"the place is needed"),
            }
        }
        Err(why) => {
            service.counters.refused(why);
            connection.close(DoqErrorCode::ExcessiveLoad.into(), b"too many connections");
        }
    }
}

/// Shakes hands within the time for the first query; gives up when the client needs the seat for a newer connection.
async fn shake_hands<R>(
    incoming: Incoming,
    born: Instant,
    admission: Option<&Admission>,
    service: &Service<R>,
) -> Option<Connection> {
    let leave = async {
        match admission {
            Some(admission) => admission.seat.leave.notified().await,
            None => pending().await,
        }
    };
    let connecting = incoming.accept().ok()?;
    let (how, connection) = tokio::select! {
        shaken = timeout_at(born + service.limits.first_query, connecting) => match shaken {
            Ok(Ok(connection)) => (Handshake::Done, Some(connection)),
            Ok(Err(_)) => (Handshake::Failed, None),
            Err(_) => (Handshake::Late, None),
        },
        () = leave => (Handshake::Late, None),
        () = last_words(service) => (Handshake::Late, None),
    };
    service.counters.encrypted.handshake(Transport::Quic.as_str(), how);
    connection
}

/// Counts the end of a connection, however it comes.
struct Counted<R: Respond>(Arc<Service<R>>);

impl<R: Respond> Drop for Counted<R> {
    fn drop(&mut self) {
        self.0.counters.encrypted.disconnected();
    }
}
