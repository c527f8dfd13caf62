//! BIND, Knot and NSD take our zone by AXFR and serve the same, also after a change.

use std::net::SocketAddr;

use crate::program::{Place, Program, dig, free_port};
use crate::signed::{KEY, SECRET, closed_server};
use crate::support::{Server, ZONE, eventually};
use crate::{deregister, register, server};

/// Static records of many kinds beside the registrations.
const RECORDS: &str = r#"
www    300 A      192.0.2.80
mail   MX     10 www
alias  CNAME  www
*.wild TXT    "a wildcard"
sub    NS     ns.sub
ns.sub A      192.0.2.54
facts  TXT    "one" "two; three" "\"quoted\""
caa    CAA    0 issue "ca.example.net"
old    DNAME  new.example.org.
_sip._udp SRV 1 2 5060 www
odd    TYPE65280 \# 4 00ff10aa
"#;

#[test]
fn bind_serves_what_it_takes_by_axfr() {
    follows(server(RECORDS), |primary, port| bind(primary, port, None));
}

#[test]
fn knot_serves_what_it_takes_by_axfr() {
    follows(server(RECORDS), |primary, port| knot(primary, port, None));
}

#[test]
fn nsd_serves_what_it_takes_by_axfr() {
    follows(server(RECORDS), |primary, port| nsd(primary, port, None));
}

#[test]
fn bind_takes_the_zone_with_a_key() {
    follows(closed_server(RECORDS), |primary, port| bind(primary, port, Some(SECRET)));
}

#[test]
fn knot_takes_the_zone_with_a_key() {
    follows(closed_server(RECORDS), |primary, port| knot(primary, port, Some(SECRET)));
}

#[test]
fn nsd_takes_the_zone_with_a_key() {
    follows(closed_server(RECORDS), |primary, port| nsd(primary, port, Some(SECRET)));
}

fn bind(primary: SocketAddr, port: u16, secret: Option<&str>) -> Program {
    let key = secret.map(|secret| format!("key {KEY} {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n"));
    let config = format!(
        "{}options {{ directory \"{{dir}}\"; pid-file none; session-keyfile \"{{dir}}/key\"; recursion no;\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; allow-transfer {{ any; }};\n\
         dnssec-validation no; min-refresh-time 1; max-refresh-time 1; max-retry-time 1; }};\n\
         controls {{ }};\n\
         zone \"{ZONE}\" {{ type secondary; file \"zone\"; primaries {{ {} port {} {}; }}; }};\n",
        key.as_deref().unwrap_or_default(),
        primary.ip(),
        primary.port(),
        key.as_ref().map(|_| format!("key {KEY}")).unwrap_or_default(),
    );
    Place::new().start("named", &["-g", "-n", "1", "-c", "{dir}/config"], &config)
}

fn knot(primary: SocketAddr, port: u16, secret: Option<&str>) -> Program {
    let key = |secret| format!("key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {secret}\n");
    let config = format!(
        "server:\n    listen: 127.0.0.1@{port}\n    rundir: {{dir}}\n    udp-workers: 1\n    tcp-workers: 1\n\
         database:\n    storage: {{dir}}\nlog:\n  - target: stderr\n    any: info\n{}\
         remote:\n  - id: primary\n    address: {}@{}\n{}\
         acl:\n  - id: all\n    address: 127.0.0.0/8\n    action: transfer\n\
         template:\n  - id: default\n    storage: {{dir}}\n    refresh-min-interval: 2\n    refresh-max-interval: 2\n\
         zone:\n  - domain: {ZONE}\n    master: primary\n    acl: all\n",
        secret.map(key).unwrap_or_default(),
        primary.ip(),
        primary.port(),
        secret.map(|_| format!("    key: {KEY}\n")).unwrap_or_default(),
    );
    Place::new().start("knotd", &["-c", "{dir}/config"], &config)
}

fn nsd(primary: SocketAddr, port: u16, secret: Option<&str>) -> Program {
    let key = |secret| format!("key:\n  name: {KEY}\n  algorithm: hmac-sha256\n  secret: \"{secret}\"\n");
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  server-count: 1\n  zonesdir: {{dir}}\n\
         \x20 database: \"\"\n  pidfile: {{dir}}/pid\n  xfrdfile: {{dir}}/xfrd\n  zonelistfile: {{dir}}/zones\n\
         \x20 xfrdir: {{dir}}\n\
         remote-control:\n  control-enable: no\n{}\
         zone:\n  name: {ZONE}\n  zonefile: zone\n  request-xfr: {}@{} {}\n  provide-xfr: 127.0.0.0/8 NOKEY\n\
         \x20 min-refresh-time: 1\n  max-refresh-time: 1\n  max-retry-time: 1\n",
        secret.map(key).unwrap_or_default(),
        primary.ip(),
        primary.port(),
        secret.map_or("NOKEY", |_| KEY),
    );
    Place::new().start("nsd", &["-d", "-c", "{dir}/config"], &config)
}

/// Starts a secondary and compares the whole zone: as it is, with one instance more, and with one less.
fn follows(primary: Server, start: impl Fn(SocketAddr, u16) -> Program) {
    register(&primary, "a1", r#""192.0.2.1", "2001:db8::1""#, 8080);
    register(&primary, "a2", r#""192.0.2.2""#, 8081);
    let port = free_port();
    let _running = start(primary.dns(), port);
    let secondary = SocketAddr::from(([127, 0, 0, 1], port));
    becomes_equal(&primary, secondary);
    register(&primary, "a3", r#""192.0.2.3""#, 8082);
    becomes_equal(&primary, secondary);
    deregister(&primary, "a1");
    becomes_equal(&primary, secondary);
    let cases = [
        ("_web._tcp", "SRV", "+answer"),
        ("web", "A", "+answer"),
        ("x.wild", "TXT", "+answer"),
        ("www.old", "A", "+answer"),
        ("nobody", "A", "+authority"),
        ("www", "AAAA", "+authority"),
        ("a.sub", "A", "+authority"),
    ];
    for (name, rtype, section) in cases {
        let name = format!("{name}.{ZONE}");
        let ask = |server| dig(server, &["+noall", section, "+norecurse", &name, rtype]);
        let ours = ask(primary.dns());
        assert!(!ours.is_empty(), "{name} {rtype}");
        assert_eq!(ask(secondary), ours, "{name} {rtype}");
    }
}

fn becomes_equal(primary: &Server, secondary: SocketAddr) {
    let transfer = |server, key: &[&str]| {
        let mut lines = dig(server, &[&["+noall", "+answer", "+onesoa", ZONE, "AXFR"], key].concat());
        lines.retain(|line| !line.contains(" ANY TSIG "));
        lines
    };
    let ours = transfer(primary.dns(), &["-y", &format!("hmac-sha256:{KEY}:{SECRET}")]);
    assert!(ours.len() > 25, "{ours:#?}");
    eventually("the secondary has our zone", || transfer(secondary, &[]) == ours);
}
