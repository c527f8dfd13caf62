//! gRPC health: `grpc.health.v1.Health/Check` over HTTP/2, with TLS or without.
//!
//! The two messages have one field each, so their octets are written and read here and no code is generated:
//! `HealthCheckRequest { string service = 1; }`, `HealthCheckResponse { ServingStatus status = 1; }`. A message has a
//! prefix of five octets: not compressed, length. The connection is driven by the probe itself.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use hyper::{Method, Request, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::spec::GrpcProbe;
use super::{Outcome, tcp, tls};

const METHOD: &str = "/grpc.health.v1.Health/Check";
/// The longest reply that is read; a right one has 7 octets.
const REPLY_LIMIT: usize = 1024;

/// Asks once.
pub(super) async fn probe(probe: &GrpcProbe) -> Outcome {
    let stream = tcp::connect(&probe.target).await?;
    match &probe.tls {
        None => exchange(stream, probe).await,
        Some(tls) => exchange(tls::connect(stream, tls, &[b"h2"]).await?, probe).await,
    }
}

async fn exchange(stream: impl AsyncRead + AsyncWrite + Unpin, probe: &GrpcProbe) -> Outcome {
    let (sender, connection) = h2::client::handshake(stream).await.map_err(failed)?;
    let asking = ask(sender, probe);
    tokio::pin!(asking, connection);
    tokio::select! {
        biased;
        outcome = &mut asking => outcome,
        // The server has hung up, perhaps after it had said everything.
        _ = &mut connection => asking.await,
    }
}

async fn ask(sender: SendRequest<Bytes>, probe: &GrpcProbe) -> Outcome {
    let GrpcProbe { target, service, tls } = probe;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("{scheme}://{target}{METHOD}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| error.to_string())?;
    let mut sender = sender.ready().await.map_err(failed)?;
    let (response, mut body) = sender.send_request(request, false).map_err(failed)?;
    body.send_data(message(service), true).map_err(failed)?;
    let response = response.await.map_err(failed)?;
    if response.status() != 200 {
        return Err(format!("gRPC health answered HTTP {}", response.status().as_u16()));
    }
    let in_head = response.headers().get("grpc-status").cloned();
    let mut body = response.into_body();
    let reply = read(&mut body).await?;
    let trailers = body.trailers().await.map_err(failed)?.unwrap_or_default();
    let status = in_head.or_else(|| trailers.get("grpc-status").cloned());
    match status.as_ref().map(|status| status.as_bytes()) {
        Some(b"0") => serving(&reply),
        Some(b"5") => Err(format!("gRPC health does not know the service \"{service}\"")),
        Some(b"12") => Err("the server has no gRPC health service".to_owned()),
        Some(code) => Err(format!("gRPC health failed with status {}", String::from_utf8_lossy(code))),
        None => Err("gRPC health ended without a status".to_owned()),
    }
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, String> {
    let mut reply = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(failed)?;
        // Room that is given back after the stream's end is of no use to anybody.
        let _ = body.flow_control().release_capacity(data.len());
        if reply.len() + data.len() > REPLY_LIMIT {
            return Err("the reply of gRPC health is too long".to_owned());
        }
        reply.extend_from_slice(&data);
    }
    Ok(reply)
}

/// The request with its prefix.
fn message(service: &str) -> Bytes {
    let mut field = Vec::with_capacity(service.len() + 4);
    if !service.is_empty() {
        field.push(0x0a); // field 1, length-delimited
        let mut length = service.len();
        while length >= 0x80 {
            field.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        field.extend(service.as_bytes());
    }
    let mut message = vec![0];
    message.extend((field.len() as u32).to_be_bytes());
    message.extend(field);
    message.into()
}

/// Reads the reply: status 1 is `SERVING`; a status that is missing is 0.
fn serving(reply: &[u8]) -> Outcome {
    let status = match reply {
        [0, _, _, _, _] => 0,
        [0, _, _, _, _, 0x08, status, ..] => *status,
        _ => return Err("the reply of gRPC health is not understood".to_owned()),
    };
    match status {
        1 => Ok("gRPC health says SERVING".to_owned()),
        0 => Err("gRPC health says UNKNOWN".to_owned()),
        2 => Err("gRPC health says NOT_SERVING".to_owned()),
        3 => Err("gRPC health says SERVICE_UNKNOWN".to_owned()),
        other => Err(format!("gRPC health says {other}")),
    }
}

fn failed(error: h2::Error) -> String {
    format!("gRPC health failed: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_protobuf_writes_them() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        assert_eq!(&message(&"x".repeat(200))[..8], b"\0\0\0\0\xcb\x0a\xc8\x01");
        assert!(serving(&[0, 0, 0, 0, 2, 8, 1]).is_ok());
        for bad in [&[0, 0, 0, 0, 2, 8, 2][..], &[0, 0, 0, 0, 0], &[], &[1, 2]] {
            assert!(serving(bad).is_err(), "{bad:?}");
        }
    }
}
