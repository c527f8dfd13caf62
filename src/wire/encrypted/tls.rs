//! DNS over TLS (RFC 7858): the messages of TCP inside TLS. Zone transfers work as over TCP (RFC 9103).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use hickory_server::server::default_tls_server_config;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Certificates, last_words};
use crate::answer::Transport;
use crate::metrics::encrypted::Handshake;
use crate::wire::decode::Origin;
use crate::wire::tcp::{Admission, Carry, Respond, Service, Watched, serve_messages};

/// The name of the protocol in handshakes (RFC 7858 section 7.1). A client that names none is taken too.
const ALPN: &[u8] = b"dot";

/// Carries messages inside TLS.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
}

impl Tls {
    pub(super) fn new(certificates: Arc<Certificates>) -> io::Result<Self> {
        let config = default_tls_server_config(ALPN, certificates)?;
        Ok(Self { acceptor: Arc::new(config).into() })
    }
}

impl<R: Respond> Carry<R> for Tls {
    fn carry(
        &self,
        stream: TcpStream,
        client: IpAddr,
        admission: Admission,
        service: Arc<Service<R>>,
    ) -> BoxFuture<'static, ()> {
        let (acceptor, origin) = (self.acceptor.clone(), Origin { transport: Transport::Tls, client });
        Box::pin(async move {
            let stream = Watched::new(stream, admission.seat.clone());
            if let Some(stream) = shake_hands(acceptor, stream, origin.transport, &admission, &service).await {
                let (reader, writer) = tokio::io::split(stream);
                serve_messages(reader, writer, origin, admission, service).await;
            }
        })
    }
}

/// Shakes hands within the time for the first query; gives up when the client needs the seat for a newer
/// connection, and soon after the stop.
pub(super) async fn shake_hands<R: Respond, S: AsyncRead + AsyncWrite + Unpin>(
    acceptor: TlsAcceptor,
    stream: S,
    transport: Transport,
    admission: &Admission,
    service: &Service<R>,
) -> Option<TlsStream<S>> {
    let (how, stream) = tokio::select! {
        shaken = timeout_at(admission.born + service.limits.first_query, acceptor.accept(stream)) => match shaken {
            Ok(Ok(stream)) => (Handshake::Done, Some(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, transport = transport.as_str(), "a handshake failed");
                (Handshake::Failed, None)
            }
            Err(_) => (Handshake::Late, None),
        },
        () = admission.seat.leave.notified() => (Handshake::Late, None),
        () = last_words(service) => (Handshake::Late, None),
    };
    service.counters.encrypted.handshake(transport.as_str(), how);
    stream
}
