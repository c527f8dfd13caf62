//! kdig, curl and openssl against a real server; and what the server says about certificates that it cannot use.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use zonebeat::config::Config;
use zonebeat::model::Timestamp;

use super::identity::{HOST, Identity, make};
use super::support::dns::{Packet, rtype};
use super::support::{Server, Setup, ZONE, zonebeat};
use super::wire::parse;

/// A table of the configuration with all transports on ports of the server's choice.
pub(super) fn table(identity: &Identity) -> String {
    let mut text = "[dns.encrypted]\n".to_owned();
    for (key, path) in [("certificate", identity.certificate()), ("key", identity.key())] {
        writeln!(text, "{key} = \"{}\"", path.display()).unwrap();
    }
    for transport in ["tls", "https", "quic"] {
        writeln!(text, "{transport} = [\"127.0.0.1:0\"]").unwrap();
    }
    text
}

/// Where a server answers over TLS, HTTPS and QUIC.
pub(super) fn addresses(server: &Server) -> [SocketAddr; 3] {
    let line = server.await_log("encrypted transports");
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    ["tls", "https", "quic"].map(|transport| event[transport].as_str().unwrap().parse().unwrap())
}

fn start(identity: &Identity) -> Server {
    let server = Setup::new().config(&table(identity)).start();
    for (id, last) in [("a1", 7), ("a2", 8)] {
        server.register("search", id, &json!({ "port": 8000 + last, "addresses": [format!("192.0.2.{last}")] }));
    }
    server
}

fn text(output: Output) -> String {
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

pub(super) fn kdig(address: SocketAddr, args: &[&str]) -> String {
    let mut command = Command::new("kdig");
    command.arg(format!("@{}", address.ip())).args(["-p", &address.port().to_string(), "+retry=0", "+time=5"]);
    text(command.args(args).stdin(Stdio::null()).output().expect("kdig is missing; run `make setup`"))
}

#[test]
fn kdig_gets_the_same_answers_over_every_transport() {
    let identity = Identity::new();
    let server = start(&identity);
    let [tls, https, quic] = addresses(&server);
    let certificate = identity.certificate().display().to_string();
    let trusted = [&*format!("+tls-ca={certificate}"), &format!("+tls-hostname={HOST}")].map(str::to_owned);
    let [ca, hostname] = &trusted;
    let owner = format!("_search._tcp.{ZONE}");
    for (address, args, session) in [
        (tls, vec!["+tls", ca, hostname], "TLS session (TLS1.3)"),
        (https, vec![ca, hostname, "+https"], "HTTP/2-POST"),
        (https, vec![ca, hostname, "+https", "+https-get"], "HTTP/2-GET"),
        (quic, vec![ca, hostname, "+quic"], "QUIC session (QUICv1)"),
    ] {
        let said = kdig(address, &[&args[..], &[&owner, "SRV"]].concat());
        for part in [session, "status: NOERROR", " 8007 a1.search.", " 8008 a2.search."] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
        let said = kdig(address, &[&args[..], &["no.such.name.sd.example.org", "A"]].concat());
        assert!(said.contains("status: NXDOMAIN"), "{said}");
    }
    let wrong = kdig(tls, &["+tls", ca, "+tls-hostname=other.example.org", &owner, "SRV"]);
    assert!(!wrong.contains("NOERROR"), "the certificate is for one name alone:\n{wrong}");
    for (address, arg) in [(tls, "+tls"), (quic, "+quic")] {
        let said = kdig(address, &[arg, ZONE, "AXFR"]);
        assert!(said.contains("a1.search.sd.example.org."), "{said}");
    }
    let metrics = server.call("GET", "/metrics", None).text().to_owned();
    for transport in ["tls", "https", "quic"] {
        let series = format!("zonebeat_dns_queries_total{{rcode=\"NOERROR\",transport=\"{transport}\",type=\"SRV\"}}");
        assert!(metrics.contains(&series), "{series} is not in\n{metrics}");
    }
    assert!(metrics.contains("zonebeat_tls_certificate_expiry_seconds "), "{metrics}");
}

#[test]
fn curl_asks_by_get_and_post() {
    let identity = Identity::new();
    let server = start(&identity);
    let [_, https, _] = addresses(&server);
    let packet = Packet::query(0, &format!("_search._tcp.{ZONE}"), rtype::SRV).0;
    let base = format!("https://{HOST}:{}/dns-query", https.port());
    let curl = |args: &[&str], body: &[u8]| {
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--fail",
            "--max-time",
            "10",
            "-w",
            "%{stderr}%{http_version} %{content_type}",
            "--cacert",
        ]);
        command.arg(identity.certificate()).args(["--resolve", &format!("{HOST}:{}:127.0.0.1", https.port())]);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("curl is missing; run `make setup`");
        child.stdin.take().unwrap().write_all(body).unwrap();
        child.wait_with_output().unwrap()
    };
    let posting = ["-H", "content-type: application/dns-message", "--data-binary", "@-", &*base];
    let getting = format!("{base}?dns={}", BASE64URL_NOPAD.encode(&packet));
    for (version, args, body) in [
        ("2", [&["--http2"], &posting[..]].concat(), &packet[..]),
        ("2", vec!["--http2", &*getting], &[]),
        ("1.1", [&["--http1.1"], &posting[..]].concat(), &packet),
        ("1.1", vec!["--http1.1", &*getting], &[]),
    ] {
        let output = curl(&args, body);
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("{version} application/dns-message"));
        assert_eq!(parse(&output.stdout).answers.len(), 2);
    }
    let long = vec![0; 65_536];
    for (status, args, body) in [
        (405, [&["-X", "PUT"], &posting[..]].concat(), &packet[..]),
        (415, vec!["--data-binary", "@-", &*base], &packet),
        (413, posting.to_vec(), &long),
    ] {
        for _ in 0..8 {
            let said = text(curl(&args, body));
            assert!(said.contains(&format!("error: {status}")), "curl sees the status, not a reset: {said}");
        }
    }
}

#[test]
fn tls_1_2_is_taken_and_older_is_not() {
    let identity = Identity::new();
    let server = start(&identity);
    let [tls, ..] = addresses(&server);
    let hello = |version: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &tls.to_string(), "-alpn", "dot", version]).stdin(Stdio::null());
        text(command.output().expect("openssl is missing; run `make setup`"))
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let said = hello(version);
        assert!(said.contains("ALPN protocol: dot"), "{said}");
    }
    assert!(!hello("-tls1_1").contains("ALPN protocol: dot"));
}

/// Exit code and output of `zonebeat check` and of `zonebeat serve` with this configuration.
fn refused(toml: &str) -> String {
    let setup = Setup::new();
    let path = setup.file("wrong.toml", toml);
    let checked = zonebeat().arg("check").arg(&path).output().unwrap();
    let check = (checked.status.code(), text(checked));
    let mut server = setup.arg("--config").arg(path.display().to_string()).spawn();
    let status = server.wait();
    assert_eq!((check.0, status.code()), (Some(1), Some(2)), "{}\n{}", check.1, server.log());
    let message = check.1.lines().find(|line| line.starts_with("error: ")).unwrap().to_owned();
    server.await_log(&message); // check and serve say the same
    check.1
}

#[test]
fn a_certificate_that_cannot_be_used_is_known_before_anything_listens() {
    let (identity, other) = (Identity::new(), Identity::new());
    let good = table(&identity);
    let said = refused(&good.replace("certificate.pem", "nowhere.pem"));
    assert!(said.contains("wrong.toml:2:15") && said.contains("nowhere.pem\" cannot be read: No such file"), "{said}");
    let key = |path: &std::path::Path| good.replace(&identity.key().display().to_string(), &path.display().to_string());
    let said = refused(&key(&other.key()));
    assert!(said.contains("wrong.toml:3:7") && said.contains("is not the key of"), "{said}");
    let said = refused(&key(&identity.certificate()));
    assert!(said.contains("has no private key"), "{said}");
    let said = refused(&good.replace("certificate.pem", "key.pem"));
    assert!(said.contains("has no certificate"), "{said}");
    let said = refused("[dns.encrypted]\nquic = [\"127.0.0.1:0\"]\n");
    assert!(said.contains("dns.encrypted.certificate: is missing") && said.contains("dns.encrypted.key"), "{said}");
    let said = refused(&good.replace("quic =", "https_path = \"dns query\"\nquic ="));
    assert!(said.contains("is not a path such as"), "{said}");
    std::fs::write(identity.certificate(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let said = refused(&good);
    assert!(said.contains("is not a usable certificate") || said.contains("is not an X.509"), "{said}");
}

#[test]
fn addresses_may_stand_in_one_list_only() {
    let twice = |text: &str| {
        let config = Config::parse("test.toml", text).unwrap();
        config.validate().err().map(|error| error.to_string()).unwrap_or_default()
    };
    let files = "certificate = \"c\"\nkey = \"k\"\n";
    let said = twice(&format!("[dns.encrypted]\n{files}tls = [\"127.0.0.1:5300\"]"));
    assert!(said.contains("127.0.0.1:5300 stands in dns.listen[0] already"), "{said}");
    let said = twice(&format!("[dns.encrypted]\n{files}quic = [\"127.0.0.1:5300\"]"));
    assert!(said.contains("127.0.0.1:5300 stands in dns.listen[0] already"), "{said}");
    let said = twice(&format!("[dns.encrypted]\n{files}https = [\"127.0.0.1:8053\"]"));
    assert!(said.contains("127.0.0.1:8053 stands in http.listen[0] already"), "{said}");
    let both = "tls = [\"127.0.0.1:853\"]\nquic = [\"127.0.0.1:853\", \"127.0.0.1:8053\"]";
    assert_eq!(twice(&format!("[dns.encrypted]\n{files}{both}")), "", "TCP and UDP do not meet");
}

#[test]
fn a_certificate_near_its_end_is_warned_about() {
    let identity = Identity::new();
    let pair = identity.files().read().unwrap();
    let before = |days: u64| Timestamp(pair.expires.0 - days * 86_400_000);
    assert_eq!(pair.warning(before(20)), None);
    assert!(pair.warning(before(3)).unwrap().contains("expires at"));
    assert!(pair.warning(Timestamp(pair.expires.0 + 1)).unwrap().contains("expired at"));
    make(&identity.certificate(), &identity.key(), 1);
    let server = start(&identity);
    server.await_log("expires at");
    let path = server.setup().file("check.toml", &table(&identity));
    let checked = zonebeat().arg("check").arg(path).output().unwrap();
    assert_eq!(checked.status.code(), Some(0));
    let said = text(checked);
    assert!(
        said.contains("warning") && said.contains("dns.encrypted.certificate") && said.contains("expires at"),
        "{said}"
    );
}

#[test]
fn names_are_explained_over_every_transport_to_those_who_are_listed() {
    let identity = Identity::new();
    let config = |listed: &str| format!("[dns]\nexplain_to = [\"{listed}\"]\n{}", table(&identity));
    for (listed, is_told) in [("127.0.0.0/8", true), ("192.0.2.0/24", false)] {
        let server = Setup::new().config(&config(listed)).start();
        server.register("search", "a1", &json!({ "port": 8007, "addresses": ["192.0.2.7"] }));
        let [tls, https, quic] = addresses(&server);
        for (address, args) in
            [(tls, vec!["+tls"]), (https, vec!["+https"]), (https, vec!["+https", "+https-get"]), (quic, vec!["+quic"])]
        {
            let said = kdig(address, &[&args[..], &["search._explain.sd.example.org", "TXT"]].concat());
            assert_eq!(said.contains("1 of 1 instance of search"), is_told, "{args:?}: {said}");
            assert_eq!(said.contains("status: NXDOMAIN"), !is_told, "{args:?}: {said}");
        }
    }
}
