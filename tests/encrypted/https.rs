//! DNS over HTTPS (RFC 8484).

use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use hickory_proto::op::ResponseCode;
use hyper::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use zonebeat::wire::TcpLimits;

use super::identity::HOST;
use super::server::query;
use super::wire::{HUGE, UNHURRIED, Wire, parse, soon};

const H2: &[&[u8]] = &[b"h2"];
const MEDIA_TYPE: &str = "application/dns-message";

/// A connection of HTTP/2, and the task that drives it.
struct Client {
    requests: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

async fn connect(wire: &Wire) -> Client {
    connect_with(wire, h2::client::Builder::new().initial_window_size(1 << 20).initial_connection_window_size(1 << 24))
        .await
}

async fn connect_with(wire: &Wire, builder: &h2::client::Builder) -> Client {
    let stream = wire.connect(wire.https(), H2).await;
    let (requests, connection) = builder.handshake(stream).await.unwrap();
    Client { requests, driver: tokio::spawn(connection) }
}

fn post(path: &str) -> Request<()> {
    let uri = format!("https://{HOST}{path}");
    Request::post(uri).header("content-type", MEDIA_TYPE).header("accept", MEDIA_TYPE).body(()).unwrap()
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://{HOST}{path}")).body(()).unwrap()
}

fn get_query(packet: &[u8]) -> Request<()> {
    get(&format!("/dns-query?dns={}", BASE64URL_NOPAD.encode(packet)))
}

/// What came back.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: hyper::HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn read(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut octets = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        octets.extend_from_slice(&piece);
    }
    Ok(octets)
}

async fn receive(response: ResponseFuture) -> Result<Reply, h2::Error> {
    let (head, body) = response.await?.into_parts();
    Ok(Reply { status: head.status, headers: head.headers, body: read(body).await? })
}

impl Client {
    async fn try_call(&self, request: Request<()>, body: &[u8]) -> Result<Reply, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (response, mut stream) = requests.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        receive(response).await
    }

    async fn call(&self, request: Request<()>, body: &[u8]) -> Reply {
        soon("an answer", self.try_call(request, body)).await.unwrap()
    }

    /// Waits for the end of the connection.
    async fn ended(self) -> Result<(), h2::Error> {
        let Self { requests, driver } = self;
        let ended = soon("the server ends the connection", driver).await.unwrap();
        drop(requests);
        ended
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc8484_4_1_queries_come_by_post_and_get() {
    let wire = Wire::start().await;
    let client = connect(&wire).await;
    for (name, answers) in [("host7.sd.example.org", 1), ("huge.sd.example.org", HUGE)] {
        let packet = query(0, name, 1, Some(1232));
        for reply in [client.call(post("/dns-query"), &packet).await, client.call(get_query(&packet), &[]).await] {
            assert_eq!(reply.status, 200);
            assert_eq!((reply.header("content-type"), reply.header("cache-control")), (MEDIA_TYPE, "max-age=300"));
            assert_eq!(reply.header("content-length"), reply.body.len().to_string());
            let message = parse(&reply.body);
            assert_eq!((message.metadata.id, message.answers.len()), (0, answers));
        }
    }
    assert_eq!(wire.metric(r#"zonebeat_dns_queries_total{rcode="NOERROR",transport="https",type="A"}"#), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc8484_4_2_1_a_dns_error_is_a_success_of_http() {
    let wire = Wire::start().await;
    let client = connect(&wire).await;
    for (packet, rcode, cache) in [
        (query(9, "no.sd.example.org", 1, None), ResponseCode::NXDomain, "max-age=5"),
        (query(9, "host1.sd.example.org", 28, None), ResponseCode::NoError, "max-age=5"),
        (query(9, "example.com", 1, None), ResponseCode::Refused, "max-age=0"),
        (query(9, "sd.example.org", 252, None), ResponseCode::FormErr, "max-age=0"),
        (query(9, "sd.example.org", 6, None)[..20].to_vec(), ResponseCode::FormErr, "max-age=0"),
    ] {
        let reply = client.call(post("/dns-query"), &packet).await;
        assert_eq!((reply.status, reply.header("cache-control")), (StatusCode::OK, cache));
        let message = parse(&reply.body);
        assert_eq!((message.metadata.id, message.metadata.response_code), (9, rcode));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_query_gets_a_status_that_says_why() {
    let wire = Wire::start().await;
    let client = connect(&wire).await;
    let good = query(0, "sd.example.org", 6, None);
    let mut response = good.clone();
    response[2] |= 0x80;
    let typed = |value: &str| Request::post(format!("https://{HOST}/dns-query")).header("content-type", value);
    let encoded = BASE64URL_NOPAD.encode(&good);
    for (what, request, body, status) in [
        ("another path", post("/dns-query/"), &good[..], 404),
        ("the root", get("/"), &[], 404),
        ("no parameter", get("/dns-query"), &[], 400),
        ("not base64url", get("/dns-query?dns=@@@@"), &[], 400),
        ("base64", get("/dns-query?dns=AA+/"), &[], 400),
        ("an empty parameter", get("/dns-query?dns="), &[], 400),
        ("shorter than a header", get("/dns-query?dns=AAAB"), &[], 400),
        ("an empty body", post("/dns-query"), &[], 400),
        ("a response", post("/dns-query"), &response, 400),
        ("PUT", Request::put(format!("https://{HOST}/dns-query")).body(()).unwrap(), &good, 405),
        ("HEAD", Request::head(format!("https://{HOST}/dns-query?dns={encoded}")).body(()).unwrap(), &[], 405),
        ("JSON", typed("application/json").body(()).unwrap(), &good, 415),
        ("no type", Request::post(format!("https://{HOST}/dns-query")).body(()).unwrap(), &good, 415),
        ("Accept", typed(MEDIA_TYPE).header("accept", "application/dns-json").body(()).unwrap(), &good, 406),
        ("parameters", typed("Application/DNS-Message; a=b").body(()).unwrap(), &good, 200),
        ("padding", get(&format!("/dns-query?dns={encoded}==&ct")), &[], 200),
    ] {
        let reply = client.call(request, body).await;
        assert_eq!(reply.status.as_u16(), status, "{what}");
        if status == 405 {
            assert_eq!(reply.header("allow"), "GET, POST");
        }
    }
    assert_eq!(wire.metric(r#"zonebeat_https_refused_total{status="404"}"#), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_bodies_and_heads_are_refused() {
    let wire = Wire::start().await;
    let client = connect(&wire).await;
    let announced = Request::post(format!("https://{HOST}/dns-query")).header("content-type", MEDIA_TYPE);
    let announced = announced.header("content-length", "65536").body(()).unwrap();
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, _stream) = requests.send_request(announced, false).unwrap();
    assert_eq!(soon("an answer", receive(response)).await.unwrap().status, 413);

    let (response, mut stream) = requests.send_request(post("/dns-query"), false).unwrap();
    stream.send_data(vec![0; 70_000].into(), true).unwrap();
    let refused = soon("an answer", receive(response)).await;
    assert!(refused.as_ref().is_ok_and(|reply| reply.status == 413), "{refused:?}");

    let mut longest = query(0, "sd.example.org", 6, None);
    longest.resize(65_535, 0);
    let reply = client.call(post("/dns-query"), &longest).await;
    assert_eq!(parse(&reply.body).metadata.response_code, ResponseCode::FormErr, "it was read to its end");

    let long = get(&format!("/dns-query?dns={}", "A".repeat(20_000)));
    let refused = soon("an answer", client.try_call(long, &[])).await;
    assert!(refused.is_err() || refused.is_ok_and(|reply| reply.status == 431));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_are_all_answered() {
    let wire = Wire::start().await;
    let client = connect(&wire).await;
    // From now on it knows how many may be open.
    client.call(get_query(&query(0, "sd.example.org", 6, None)), &[]).await;
    let mut asked = tokio::task::JoinSet::new();
    for id in 0..1000u16 {
        let mut requests = client.requests.clone();
        asked.spawn(async move {
            let name = if id.is_multiple_of(20) { "huge.sd.example.org" } else { "host7.sd.example.org" };
            std::future::poll_fn(|cx| requests.poll_ready(cx)).await.unwrap();
            let (response, _) = requests.send_request(get_query(&query(id, name, 1, None)), true).unwrap();
            let reply = receive(response).await.unwrap();
            assert_eq!(parse(&reply.body).metadata.id, id);
        });
    }
    soon("a thousand answers", async {
        while let Some(asked) = asked.join_next().await {
            asked.unwrap()
        }
    })
    .await;
}

/// RFC 9113 section 5.1.2: what comes before the client knows how many may be open can be refused, and tried again.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_before_the_settings_is_answered_or_may_try_again() {
    let wire = Wire::start().await;
    let client = connect_with(&wire, h2::client::Builder::new().initial_max_send_streams(400)).await;
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let mut requests = client.requests.clone();
        let packet = query(0, "sd.example.org", 6, None);
        waiting.push(requests.send_request(get_query(&packet), true).unwrap().0);
    }
    for response in waiting {
        match soon("an answer or a refusal", receive(response)).await {
            Ok(reply) => assert_eq!(reply.status, 200),
            Err(error) => assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM)),
        }
    }
    assert_eq!(client.call(get_query(&query(0, "sd.example.org", 6, None)), &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_connections_are_all_busy_gets_no_other() {
    let wire = Wire::with_limits(TcpLimits { connections_per_client: 1, ..TcpLimits::default() }).await;
    let client = connect_with(&wire, h2::client::Builder::new().initial_window_size(0)).await;
    let packet = query(0, "huge.sd.example.org", 1, None);
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (response, _) = requests.send_request(get_query(&packet), true).unwrap();
    let (head, body) = soon("a head", response).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let (_client, quic) = super::quic::connect(&wire).await;
    assert_eq!(super::quic::code(&quic).await, super::quic::EXCESSIVE_LOAD);
    let tls = tokio::net::TcpStream::connect(wire.tls()).await.unwrap();
    assert!(wire.shake_hands(tls, &[]).await.is_err());
    assert_eq!(wire.metric(r#"zonebeat_tcp_refused_total{reason="client"}"#), 2);
    drop(body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_given_up_and_delays_nobody() {
    let wire = Wire::with_limits(TcpLimits { first_query: UNHURRIED, ..TcpLimits::default() }).await;
    let client = connect(&wire).await;
    let good = query(0, "sd.example.org", 6, None);
    assert_eq!(client.call(post("/dns-query"), &good).await.status, 200);
    let mut requests = client.requests.clone().ready().await.unwrap();
    let (slow, mut stream) = requests.send_request(post("/dns-query"), false).unwrap();
    stream.send_data(Bytes::copy_from_slice(&good[..5]), false).unwrap();
    let begun = Instant::now();
    assert_eq!(client.call(get_query(&good), &[]).await.status, 200);
    assert!(begun.elapsed() < UNHURRIED);
    assert_eq!(soon("the slow one is told", receive(slow)).await.unwrap().status, 408);
    assert_eq!(client.call(get_query(&good), &[]).await.status, 200, "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_ends() {
    let limits = TcpLimits { idle: Duration::from_secs(1), ..TcpLimits::default() };
    let wire = Wire::with_limits(limits).await;
    let mut silent = wire.connect(wire.https(), H2).await;
    let (begun, mut rest) = (Instant::now(), Vec::new());
    // Closed or reset: it has ended.
    let _ = soon("who sends no preface is cut off", silent.read_to_end(&mut rest)).await;
    assert!(begun.elapsed() < Duration::from_secs(4));

    let client = connect(&wire).await;
    client.call(get_query(&query(0, "sd.example.org", 6, None)), &[]).await;
    let begun = Instant::now();
    client.ended().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4), "idle");

    let wire = Wire::with_limits(TcpLimits { lifetime: Duration::from_secs(2), ..TcpLimits::default() }).await;
    let client = connect(&wire).await;
    let begun = Instant::now();
    while client.try_call(get_query(&query(0, "sd.example.org", 6, None)), &[]).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(8), "its lifetime is over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_no_answers_is_cut_off() {
    let limits = TcpLimits { write_stall: Duration::from_secs(2), ..TcpLimits::default() };
    let wire = Wire::with_limits(limits).await;
    let client = connect_with(&wire, h2::client::Builder::new().initial_window_size(0)).await;
    let packet = query(0, "huge.sd.example.org", 1, None);
    let mut waiting = Vec::new();
    for _ in 0..30 {
        let mut requests = client.requests.clone().ready().await.unwrap();
        waiting.push(requests.send_request(get_query(&packet), true).unwrap().0);
    }
    let begun = Instant::now();
    let _ = client.ended().await; // cut off, or told to go
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    soon("nothing is left of it", async {
        while wire.metric("zonebeat_tcp_connections") > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(wire.join().await < Duration::from_secs(2));
}

/// CVE-2023-44487: streams that are opened and cancelled as fast as the client can.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_cancelled_streams_ends_the_connection() {
    let wire = Wire::start().await;
    let client = connect(&wire).await;
    let packet = query(0, "sd.example.org", 6, None);
    let mut ended = false;
    for _ in 0..20_000 {
        let Ok(mut requests) = client.requests.clone().ready().await else {
            ended = true;
            break;
        };
        let Ok((_, mut stream)) = requests.send_request(post("/dns-query"), false) else {
            ended = true;
            break;
        };
        stream.send_reset(Reason::CANCEL);
    }
    let other = connect(&wire).await;
    assert_eq!(other.call(get_query(&packet), &[]).await.status, 200, "others are answered");
    let survived = client.try_call(get_query(&packet), &[]).await;
    assert!(ended || survived.is_ok(), "it ended, or nothing came of the flood: {survived:?}");
    assert!(wire.join().await < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_without_http2_are_answered_too() {
    let wire = Wire::start().await;
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let mut stream = wire.connect(wire.https(), alpn).await;
        let packet = query(0, "sd.example.org", 6, None);
        for _ in 0..3 {
            let head = format!(
                "POST /dns-query HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {}\r\n\r\n",
                packet.len()
            );
            stream.write_all(&[head.as_bytes(), &packet].concat()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(soon("a head", stream.read_u8()).await.unwrap());
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            assert!(head.starts_with("http/1.1 200") && head.contains("max-age=300"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).await.unwrap();
            assert_eq!(parse(&body).answers.len(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_before_the_stop_is_answered() {
    let wire = Wire::start().await;
    let client = connect(&wire).await;
    let packet = query(0, "huge.sd.example.org", 1, None);
    let mut waiting = Vec::new();
    for _ in 0..30 {
        let mut requests = client.requests.clone().ready().await.unwrap();
        waiting.push(requests.send_request(get_query(&packet), true).unwrap().0);
    }
    let first = soon("the first answer", receive(waiting.remove(0))).await.unwrap();
    assert_eq!(parse(&first.body).answers.len(), HUGE);
    wire.shut_down();
    for response in waiting {
        let reply = soon("an answer", receive(response)).await.unwrap();
        assert_eq!(parse(&reply.body).answers.len(), HUGE);
    }
    client.ended().await.expect("GOAWAY without an error");
    assert!(wire.join().await < Duration::from_secs(3));
}
