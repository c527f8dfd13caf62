//! Connections: kept, ended without loss, and not held up by callers that misbehave.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Server;

async fn raw(server: &Server, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    stream.write_all(octets).await.expect("write");
    let mut answer = vec![0; 64 * 1024];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await.expect("in time");
    String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned()
}

#[tokio::test]
async fn a_connection_carries_many_calls() {
    let server = Server::start().await;
    server.call("PUT", "/v1/services/search/instances/a1", r#"{"port":80}"#).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    for _ in 0..50 {
        stream
            .write_all(
                b"POST /v1/services/search/instances/a1/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            )
            .await
            .expect("write");
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).await.expect("read");
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 OK"));
    }
}

#[tokio::test]
async fn broken_requests_are_answered_and_hurt_nobody() {
    let server = Server::start().await;
    for octets in [&b"\x00\x01\x02\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]
    {
        let answer = raw(&server, octets).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000));
    let answer = raw(&server, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{}", &answer[..answer.len().min(80)]);
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_chunked_body_is_bounded_too() {
    let server = Server::start().await;
    let mut request =
        b"PUT /v1/services/search/instances/a1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..10 {
        request.extend_from_slice(b"2710\r\n");
        request.extend_from_slice(&[b' '; 10_000]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&server, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("too-large"), "{answer}");
}

#[tokio::test]
async fn writes_in_flight_at_the_end_are_answered() {
    let mut server = Server::start().await;
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let request = server.request("PUT", &format!("/v1/services/search/instances/a{n}"));
            tokio::spawn(request.body(r#"{"port":80}"#).send())
        })
        .collect();
    server.until(async || !server.registry.snapshot().services.is_empty()).await;
    server.shutdown.cancel();
    let mut done = 0;
    for call in calls {
        // A connection that came too late is refused, never cut.
        match call.await.expect("task") {
            Ok(response) => {
                assert_eq!(response.status(), 201);
                done += 1;
            }
            Err(error) => assert!(error.is_connect(), "{error:?}"),
        }
    }
    assert!(done > 0);
    tokio::time::timeout(Duration::from_secs(10), &mut server.task).await.expect("in time").expect("server");
    assert_eq!(server.registry.snapshot().service("search").map(|service| service.instances.len()), Some(done));
}
