//! Every kind of check, against something real that is well, ill and well again.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::support::{Server, eventually, pass, signal};
use super::world::{Home, Web, answered, free_port, quick, service, transitions};

/// The reason why an instance is out.
fn reason(home: &Home) -> String {
    home.instance("a1")["reason"].as_str().unwrap_or_default().to_owned()
}

/// What the last probe found.
fn detail(home: &Home) -> String {
    home.instance("a1")["checks"][0]["detail"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn http_looks_at_status_and_body() {
    let (server, home, web) = (Server::start(), Home::new(), Web::start());
    home.write("a.toml", &service(web.port, &quick("http:/health", "contains = \"fine\"")));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || answered(&server) == 1);
    web.answer_with(503);
    eventually("it is out", || answered(&server) == 0);
    assert_eq!(reason(&home), "GET /health answered 503, 2 times");
    home.await_in_sync();
    let (status, instance) = server.http_json("GET", "/v1/services/search/instances/a1", None);
    assert_eq!((status, &instance["state"]), (200, &"out".into()), "{instance}");
    assert!(instance.to_string().contains("GET /health answered 503, 2 times"), "{instance}");
    web.answer_with(200);
    eventually("it is back", || answered(&server) == 1);
    let shown = String::from_utf8(server.client(&["show", "search"]).stdout).expect("text");
    for part in ["out: GET /health answered 503, 2 times", "no longer out"] {
        assert!(shown.contains(part), "history shows why: {shown}");
    }
    home.write("a.toml", &service(web.port, &quick("http:/health", "contains = \"terrible\"")));
    eventually("the body is wrong", || answered(&server) == 0);
    assert!(reason(&home).starts_with("GET /health answered 200 without \"terrible\""), "{}", reason(&home));
}

#[test]
fn tcp_connects() {
    let (server, home, web) = (Server::start(), Home::new(), Web::start());
    home.write("a.toml", &service(web.port, &quick("tcp", "")));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || answered(&server) == 1);
    drop(web);
    eventually("it is out", || answered(&server) == 0);
    assert!(reason(&home).contains("connection refused"), "{}", reason(&home));
}

/// A certificate for `localhost` that is its own authority, and its key.
fn certificate(home: &Home) -> (PathBuf, PathBuf) {
    let (certificate, key) = (home.path("cert.pem"), home.path("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl is missing; run `make setup`").success());
    (certificate, key)
}

#[test]
fn https_needs_tls_and_with_authorities_a_certificate_of_theirs() {
    let (server, home) = (Server::start(), Home::new());
    let port = free_port();
    let (certificate, key) = certificate(&home);
    let mut web = Command::new("openssl")
        .args(["s_server", "-www", "-quiet", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(&certificate)
        .arg("-key")
        .arg(&key)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is missing; run `make setup`");
    home.write(
        "a.toml",
        &service(port, &quick("https:/", "timeout = \"2s\"").replacen("timeout = \"500ms\"\n", "", 1)),
    );
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || answered(&server) == 1);
    let ca = |path: &std::path::Path, name: &str| {
        let more = format!("ca = \"{}\"\nserver_name = \"{name}\"", path.display());
        service(port, &quick("https:/", &more))
    };
    home.write("a.toml", &ca(&certificate, "other.example.org"));
    eventually("the name is wrong", || detail(&home).contains("TLS failed"));
    eventually("it is out", || answered(&server) == 0);
    home.write("a.toml", &ca(&certificate, "localhost"));
    eventually("it is back", || answered(&server) == 1);
    web.kill().expect("it can be killed");
    web.wait().expect("it can be waited for");
    eventually("it is out", || answered(&server) == 0);
}

#[test]
fn exec_sees_the_exit_code_and_is_killed_with_its_group() {
    let (server, home) = (Server::start(), Home::new());
    let (ill, number) = (home.path("ill"), home.path("number"));
    let command =
        format!("exec:test $ZONEBEAT_PORT = 80 && ! test -e {} || {{ echo disk full; exit 2; }}", ill.display());
    home.write("a.toml", &service(80, &quick(&command, "")));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || answered(&server) == 1);
    std::fs::write(&ill, "").expect("a file can be written");
    eventually("it is out", || answered(&server) == 0);
    assert_eq!(reason(&home), "exited with 2: disk full, 2 times");

    let command = format!("exec:sleep 1000 & echo $! > {}; wait", number.display());
    home.write("a.toml", &service(80, &quick(&command, "")));
    eventually("it takes too long", || detail(&home).contains("no result within 500ms"));
    home.remove("a.toml");
    eventually("it is no longer planned", || home.instance("a1") == Value::Null);
    let sleeper = std::fs::read_to_string(&number).expect("the command has written it");
    let is_gone = || {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim()));
        status.map_or(true, |text| text.contains(") Z "))
    };
    eventually("what the command has started is killed with it", is_gone);
}

#[test]
fn a_check_that_has_not_passed_asks_in_short_order() {
    let (server, home) = (Server::start(), Home::new());
    let count = home.path("count");
    let text = count.display();
    let command = format!("exec:echo x >> {text}; test $(wc -l < {text}) -ge 4");
    let probe = |interval: &str| format!("[[check]]\nprobe = \"{command}\"\ninterval = \"{interval}\"\n");
    home.write("a.toml", &service(80, &probe("1h")));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("the fourth passes, long before the interval", || answered(&server) == 1);
    pass(Duration::from_millis(500));
    let lines = std::fs::read_to_string(&count).expect("the command has written it").lines().count();
    assert_eq!(lines, 4, "from then on it asks at its interval");
}

#[test]
fn a_killed_process_is_out_within_two_seconds() {
    let (server, home) = (Server::start(), Home::new());
    let file = home.path("number");
    let start = || {
        let child = Command::new("sleep").arg("1000").spawn().expect("sleep starts");
        std::fs::write(&file, format!("{}\n", child.id())).expect("a file can be written");
        child
    };
    let mut child = start();
    let probe = format!("[[check]]\nprobe = \"process:{}\"\n", file.display());
    home.write("a.toml", &service(80, &probe));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || answered(&server) == 1);
    signal(child.id(), "KILL");
    let began = Instant::now();
    eventually("it is out", || answered(&server) == 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(reason(&home).ends_with("has ended"), "{}", reason(&home));
    pass(Duration::from_millis(2500)); // its parent has not waited for it, and the file is read again
    assert_eq!(transitions(&server), ["register a1", "update a1"]);
    child.wait().expect("it can be waited for");
    let mut child = start();
    eventually("the new one is seen", || answered(&server) == 1);
    child.kill().expect("it can be killed");
    child.wait().expect("it can be waited for");
}

#[test]
fn a_service_reports_itself() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, "[[check]]\nprobe = \"ttl\"\nttl = \"1s\"\n"));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is silent", || reason(&home).starts_with("no report within 1s"));
    home.report("a1", "pass", "");
    eventually("it is answered", || answered(&server) == 1);
    home.report("a1", "fail", "the index is being rebuilt");
    eventually("it is out", || answered(&server) == 0);
    assert_eq!(reason(&home), "the index is being rebuilt");
    home.report("a1", "pass", "");
    eventually("it is back", || answered(&server) == 1);
    pass(Duration::from_millis(1200));
    eventually("it has been silent for too long", || answered(&server) == 0);
}

/// A gRPC health service: 1 is SERVING, 2 is NOT_SERVING; 0 does not know the service.
async fn grpc(listener: TcpListener, status: watch::Receiver<u8>) {
    while let Ok((stream, _)) = listener.accept().await {
        let status = *status.borrow();
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                let response = hyper::Response::builder().header("content-type", "application/grpc");
                let mut body = respond.send_response(response.body(()).expect("head"), false).expect("sent");
                if status > 0 {
                    body.send_data(bytes::Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false).expect("sent");
                }
                let code = if status == 0 { "5" } else { "0" };
                let mut trailers = hyper::HeaderMap::new();
                trailers.insert("grpc-status", code.parse().expect("a number"));
                body.send_trailers(trailers).expect("sent");
            }
        });
    }
}

#[test]
fn grpc_asks_the_health_service() {
    let (server, home) = (Server::start(), Home::new());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
    let (serving, status) = watch::channel(1);
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    runtime.spawn(grpc(listener, status));
    home.write("a.toml", &service(port, &quick("grpc:search.v1.Search", "")));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || answered(&server) == 1);
    serving.send(2).expect("somebody listens");
    eventually("it is out", || answered(&server) == 0);
    assert_eq!(reason(&home), "gRPC health says NOT_SERVING, 2 times");
    serving.send(0).expect("somebody listens");
    eventually("the service is not known", || detail(&home).contains("does not know the service \"search.v1.Search\""));
    serving.send(1).expect("somebody listens");
    eventually("it is back", || answered(&server) == 1);
}

/// A program that ends with the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// etcd, which has the health service of gRPC itself; with a certificate it speaks TLS.
fn etcd(home: &Home, port: u16, tls: Option<&(PathBuf, PathBuf)>) -> Peer {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let (clients, peers) = (format!("{scheme}://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(home.path(&format!("etcd-{scheme}"))).args(["--logger=zap", "--name=n"]);
    command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("n={peers}")]);
    if let Some((certificate, key)) = tls {
        command.arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Peer(command.spawn().expect("etcd is missing; run `make setup`"))
}

#[test]
fn grpc_asks_a_real_server_with_tls_and_without() {
    let (server, home) = (Server::start(), Home::new());
    let (plain, secure, keys) = (free_port(), free_port(), certificate(&home));
    let peers = [etcd(&home, plain, None), etcd(&home, secure, Some(&keys))];
    let probe = |text: &str, more: &str| quick(text, more).replace("timeout = \"500ms\"", "timeout = \"2s\"");
    home.write("a.toml", &service(plain, &probe("grpc", "")));
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || answered(&server) == 1);
    home.write("a.toml", &service(secure, &probe("grpcs", "")));
    eventually("it passes over TLS", || home.instance("a1")["checks"][0]["check"] == "grpcs");
    eventually("it passes over TLS", || home.instance("a1")["checks"][0]["state"] == "passing");
    let ca = |name: &str| probe("grpcs", &format!("ca = \"{}\"\nserver_name = \"{name}\"", keys.0.display()));
    home.write("a.toml", &service(secure, &ca("other.example.org")));
    eventually("the name is wrong", || reason(&home).starts_with("TLS failed"));
    home.write("a.toml", &service(secure, &ca("localhost")));
    eventually("it is back", || answered(&server) == 1);
    home.write("a.toml", &service(secure, &probe("grpc", "")));
    eventually("it does not speak plain text", || answered(&server) == 0);
    home.write("a.toml", &service(secure, &probe("grpcs:search.v1.Search", "")));
    eventually("the service is not known", || detail(&home).contains("does not know the service \"search.v1.Search\""));
    home.write("a.toml", &service(secure, &probe("grpcs", "")));
    eventually("it is back", || answered(&server) == 1);
    drop(peers);
    eventually("it is out", || answered(&server) == 0);
    assert!(detail(&home).contains("connection refused"), "{}", detail(&home));
}
