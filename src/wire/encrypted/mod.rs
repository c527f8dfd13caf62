//! The encrypted transports: DNS over TLS (RFC 7858), HTTPS (RFC 8484) and QUIC (RFC 9250).
//!
//! # Shape
//!
//! All three do the same around the engine: shake hands with the certificate in force (`certificates`), cut what the
//! client sends into messages, have each answered by the responder of TCP, and put the answers back in their frames.
//! `tls` and `https` are other ways to carry a TCP connection; `quic` accepts its own. `rules`, answers, seats,
//! deadlines and the end are those of TCP, so that no limit can be passed by choosing another transport.
//!
//! # Limits
//!
//! A connection of any transport takes one of its client's seats, which are counted over all of them. A handshake has
//! to end, and the first query to be there, within `first_query`. What one connection can hold is bounded in each: see
//! there. A QUIC client has shown that its address is its own before it gets a seat.
//!
//! # hickory-server
//!
//! It makes the TLS configuration and names the error codes of QUIC. The rest of it is not used, for reasons that
//! docs/decisions/0019 lists.

mod certificates;
mod https;
mod quic;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

pub use certificates::Certificates;

use super::server::{BindError, listen};
use super::tcp::{Door, LAST_WORDS, Respond, Service};
use crate::answer::Transport;

/// What listens for encrypted queries; nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptedOptions {
    /// Where DNS over TLS listens.
    pub tls: Vec<SocketAddr>,
    /// Where DNS over HTTPS listens.
    pub https: Vec<SocketAddr>,
    /// The path of queries over HTTPS.
    pub https_path: String,
    /// Where DNS over QUIC listens.
    pub quic: Vec<SocketAddr>,
    /// What is shown in handshakes. Nothing listens without it.
    pub certificates: Option<Arc<Certificates>>,
}

/// Where the encrypted transports listen, with the ports that 0 became.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptedAddrs {
    /// DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// DNS over QUIC.
    pub quic: Vec<SocketAddr>,
}

/// Sockets that are open and not served yet.
#[derive(Debug)]
pub(super) struct Opened {
    tls: Vec<TcpListener>,
    https: Vec<TcpListener>,
    quic: Vec<UdpSocket>,
    https_path: Arc<str>,
    certificates: Option<Arc<Certificates>>,
    pub(super) addresses: EncryptedAddrs,
}

/// Opens all sockets.
pub(super) fn open(options: &EncryptedOptions) -> Result<Opened, BindError> {
    let certificates = options.certificates.clone();
    let addresses = |addresses: &[SocketAddr]| if certificates.is_some() { addresses.to_vec() } else { Vec::new() };
    let tls = each(&addresses(&options.tls), listen)?;
    let https = each(&addresses(&options.https), listen)?;
    let quic = each(&addresses(&options.quic), quic::bind)?;
    let addresses = EncryptedAddrs {
        tls: tls.iter().map(|(address, _)| *address).collect(),
        https: https.iter().map(|(address, _)| *address).collect(),
        quic: quic.iter().map(|(address, _)| *address).collect(),
    };
    Ok(Opened {
        tls: tls.into_iter().map(|(_, socket)| socket).collect(),
        https: https.into_iter().map(|(_, socket)| socket).collect(),
        quic: quic.into_iter().map(|(_, socket)| socket).collect(),
        https_path: options.https_path.as_str().into(),
        certificates,
        addresses,
    })
}

/// Opens a socket for each address, and says where it is.
fn each<S: Local>(
    addresses: &[SocketAddr],
    open: fn(SocketAddr) -> io::Result<S>,
) -> Result<Vec<(SocketAddr, S)>, BindError> {
    let open = |&address: &SocketAddr| {
        let opened = open(address).and_then(|socket| Ok((socket.local()?, socket)));
        opened.map_err(|source| BindError::new(address, source))
    };
    addresses.iter().map(open).collect()
}

/// What knows its own address.
trait Local {
    fn local(&self) -> io::Result<SocketAddr>;
}

impl Local for TcpListener {
    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Local for UdpSocket {
    fn local(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Opened {
    /// The transports that listen.
    pub(super) fn transports(&self) -> Vec<Transport> {
        let all = [
            (Transport::Tls, self.tls.is_empty()),
            (Transport::Https, self.https.is_empty()),
            (Transport::Quic, self.quic.is_empty()),
        ];
        all.into_iter().filter(|(_, silent)| !silent).map(|(transport, _)| transport).collect()
    }

    /// Starts everything but what [`Opened::serve`] returns: the listeners of TCP, for its accept loops.
    pub(super) fn serve<R: Respond>(self, service: &Arc<Service<R>>) -> io::Result<Vec<Door<R>>> {
        let Some(certificates) = self.certificates else { return Ok(Vec::new()) };
        let mut doors = Vec::new();
        let tls: Arc<tls::Tls> = Arc::new(tls::Tls::new(certificates.clone())?);
        for listener in self.tls {
            doors.push(Door { listener: tokio::net::TcpListener::from_std(listener)?, carry: tls.clone() });
        }
        let https: Arc<https::Https> = Arc::new(https::Https::new(certificates.clone(), self.https_path)?);
        for listener in self.https {
            doors.push(Door { listener: tokio::net::TcpListener::from_std(listener)?, carry: https.clone() });
        }
        for socket in self.quic {
            let endpoint = quic::endpoint(socket, certificates.clone(), &service.limits)?;
            service.spawn(quic::serve(endpoint, service.clone()));
        }
        service.spawn(certificates.watch(service.counters.clone(), service.stop.clone()));
        Ok(doors)
    }
}

/// How long a handshake in progress goes on after the stop.
async fn last_words<R>(service: &Service<R>) {
    service.stop.cancelled().await;
    tokio::time::sleep(LAST_WORDS).await;
}

#[cfg(feature = "fuzzing")]
pub use https::read_get;
