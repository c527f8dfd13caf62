//! Connections to servers, made for networks that lose packets.
//!
//! A lost SYN is repeated by the kernel after a whole second, which is all the time that a call has. So another attempt
//! begins every [`AGAIN`] while none has come through, and the first that does carries the call; the others are given
//! up before anything was sent on them, so that a server never gets a call twice for that.
//!
//! A connection that is given up is reset, and not closed in order: what it had not delivered yet is thrown away. Else
//! a set of instances that nobody waits for any more could arrive after the one that replaced it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};
use tower_service::Service;

/// How long connecting may take: shorter than a call's patience, so that a call that never arrived is told from one
/// without a reply.
const CONNECT_TIME: Duration = Duration::from_millis(800);
/// How long an attempt is waited for until another one begins beside it.
const AGAIN: Duration = Duration::from_millis(200);

/// Makes connections for a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connector;

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        Box::pin(async move {
            let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {CONNECT_TIME:?}"));
            let stream = timeout(CONNECT_TIME, connect(&server)).await.unwrap_or_else(|_| Err(late()))?;
            Ok(TokioIo::new(stream))
        })
    }
}

async fn connect(server: &Uri) -> io::Result<TcpStream> {
    let host = server.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let addresses = lookup_host((host, server.port_u16().unwrap_or(80))).await?.collect();
    let stream = race(addresses).await?;
    stream.set_nodelay(true)?;
    stream.set_zero_linger()?;
    Ok(stream)
}

/// The first connection to one of the addresses. One that refuses is not tried again, and the next is tried at once.
async fn race(mut addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let open = |address| async move { (address, TcpStream::connect(address).await) };
    let mut attempts = FuturesUnordered::new();
    let mut error = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for turn in 0.. {
        match addresses.get(turn % addresses.len().max(1)) {
            Some(address) => attempts.push(open(*address)),
            None if attempts.is_empty() => break,
            None => {}
        }
        tokio::select! {
            Some((address, outcome)) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(why) => {
                    error = why;
                    addresses.retain(|known| *known != address);
                }
            },
            () = sleep(AGAIN) => {}
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn uri(address: SocketAddr) -> Uri {
        format!("http://{address}/v1/services").parse().expect("a URI")
    }

    /// An address that nobody listens on.
    fn nobody() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.local_addr().expect("it is bound")
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_told_at_once() {
        let error = connect(&uri(nobody())).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn the_address_that_answers_is_taken() {
        let listener = tokio::net::TcpListener::bind("[::1]:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let stream = race(vec![nobody(), address]).await.expect("one answers");
        assert_eq!(stream.peer_addr().expect("it is connected"), address);
        assert!(connect(&uri(address)).await.is_ok(), "in brackets, too");
    }

    /// What was not delivered when nobody waits for it any more never is: the server sees the connection reset.
    #[tokio::test]
    async fn what_is_given_up_is_reset() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let stream = connect(&uri(listener.local_addr().expect("it is bound"))).await.expect("it connects");
        let (mut server, _) = listener.accept().await.expect("it accepts");
        drop(stream);
        let end = server.read(&mut [0; 16]).await.expect_err("no orderly end");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }
}
