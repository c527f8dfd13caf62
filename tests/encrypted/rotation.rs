//! The certificate changes while the server runs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, StreamOwned};

use super::identity::{HOST, Identity, make};
use super::programs::{addresses, table};
use super::support::dns::{Packet, rtype};
use super::support::{PATIENCE, Server, Setup, ZONE, eventually};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A connection that trusts the identity as it is now; `None` if the server shows another certificate.
fn connect(identity: &Identity, address: SocketAddr) -> Option<Stream> {
    let config = Arc::new(identity.client(&[b"dot"]));
    let client = ClientConnection::new(config, ServerName::try_from(HOST).unwrap()).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).ok()?;
    }
    Some(stream)
}

fn shown(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn is_answered(stream: &mut Stream) -> bool {
    let packet = Packet::query(7, ZONE, rtype::SOA).0;
    let mut head = [0; 4];
    stream.write_all(&[&(packet.len() as u16).to_be_bytes(), &packet[..]].concat()).is_ok()
        && stream.flush().is_ok()
        && stream.read_exact(&mut head).is_ok()
        && {
            let mut rest = vec![0; usize::from(u16::from_be_bytes([head[0], head[1]])) - 2];
            stream.read_exact(&mut rest).is_ok() && head[2..] == [0, 7]
        }
}

fn start(identity: &Identity) -> (Server, SocketAddr) {
    let server = Setup::new().config(&table(identity)).start();
    let [tls, ..] = addresses(&server);
    (server, tls)
}

fn metric(server: &Server, series: &str) -> Option<String> {
    let text = server.call("GET", "/metrics", None).text().to_owned();
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::to_owned)
}

#[test]
fn a_new_certificate_is_shown_without_a_signal_and_connections_go_on() {
    let identity = Identity::new();
    let (server, tls) = start(&identity);
    let mut old = connect(&identity, tls).unwrap();
    let (before, expiry) = (shown(&old), metric(&server, "zonebeat_tls_certificate_expiry_seconds"));
    assert!(is_answered(&mut old));
    make(&identity.certificate(), &identity.key(), 60);
    eventually("the new certificate is shown", || {
        connect(&identity, tls).is_some_and(|stream| shown(&stream) != before)
    });
    assert!(is_answered(&mut old), "the old connection goes on");
    assert_ne!(metric(&server, "zonebeat_tls_certificate_expiry_seconds"), expiry);
    assert_eq!(metric(&server, "zonebeat_tls_certificate_reloads_total{result=\"loaded\"}").as_deref(), Some("1"));
}

/// As certbot does it: links that are turned to the files of another generation.
#[test]
fn turned_links_are_followed_at_once_on_sighup() {
    let identity = Identity::new();
    let turn = |generation: &str| {
        let folder = identity.folder().join(generation);
        std::fs::create_dir(&folder).unwrap();
        make(&folder.join("certificate.pem"), &folder.join("key.pem"), 30);
        let fresh = identity.folder().join("fresh");
        for (name, link) in [("certificate.pem", identity.certificate()), ("key.pem", identity.key())] {
            symlink(Path::new(generation).join(name), &fresh).unwrap();
            std::fs::rename(&fresh, link).unwrap();
        }
    };
    turn("1");
    let (server, tls) = start(&identity);
    let before = shown(&connect(&identity, tls).unwrap());
    turn("2");
    server.signal("HUP");
    server.await_log("certificate replaced");
    let stream = connect(&identity, tls).expect("the new one is shown");
    assert_ne!(shown(&stream), before);
}

#[test]
fn a_broken_pair_is_complained_about_once_and_the_one_before_stays() {
    let identity = Identity::new();
    let (server, tls) = start(&identity);
    let good = std::fs::read(identity.certificate()).unwrap();
    let other = Identity::new();
    std::fs::copy(other.key(), identity.key()).unwrap();
    server.await_log("the new certificate cannot be used, the one before stays");
    assert!(server.log().contains("is not the key of"), "{}", server.log());
    assert!(connect(&identity, tls).is_some_and(|mut stream| is_answered(&mut stream)));
    let refused = "zonebeat_tls_certificate_reloads_total{result=\"refused\"}";
    assert_eq!(metric(&server, refused).as_deref(), Some("1"));
    super::support::pass(std::time::Duration::from_secs(8));
    assert_eq!(server.log().matches("cannot be used").count(), 1, "{}", server.log());
    assert_eq!(std::fs::read(identity.certificate()).unwrap(), good);
    std::fs::copy(other.certificate(), identity.certificate()).unwrap();
    eventually("the whole new pair is shown", || connect(&other, tls).is_some());
}
