//! Every kind of answer, validated by BIND's `delv` and by Unbound.

use std::net::SocketAddr;

use super::program::{Place, dig, free_port};
use super::signed_in;
use super::signing::{Signed, Style, run};
use super::support::{Server, eventually};

/// Name, type, rcode, and how far the answer can be validated: `expanded` is secure unless a span is opted out.
const CASES: &str = "
example.org           SOA      NOERROR  secure
example.org           NS       NOERROR  secure
example.org           MX       NOERROR  secure
example.org           DNSKEY   NOERROR  secure
example.org           TXT      NOERROR  secure
mail.example.org      A        NOERROR  secure
mail.example.org      AAAA     NOERROR  secure
www.example.org       A        NOERROR  secure
www.example.org       AAAA     NOERROR  secure
dangling.example.org  A        NXDOMAIN absent
nope.example.org      A        NXDOMAIN absent
a.b.c.nope.example.org A       NXDOMAIN absent
x.wild.example.org    A        NOERROR  expanded
y.x.wild.example.org  TXT      NOERROR  expanded
x.wild.example.org    AAAA     NOERROR  absent
sub.wild.example.org  A        NOERROR  secure
sub.wild.example.org  TXT      NOERROR  secure
x.sub.wild.example.org A       NXDOMAIN absent
wild.example.org      A        NOERROR  secure
*.wild.example.org    A        NOERROR  secure
z.alias.example.org   A        NOERROR  expanded
z.alias.example.org   AAAA     NOERROR  expanded
z.alias.example.org   CNAME    NOERROR  expanded
q.star.example.org    TXT      NOERROR  absent
x.*.star.example.org  TXT      NOERROR  secure
*.star.example.org    TXT      NOERROR  secure
star.example.org      TXT      NOERROR  secure
er.example.org        TXT      NOERROR  secure
only.example.org      TXT      NOERROR  absent
nope.only.example.org A        NXDOMAIN absent
*.only.example.org    A        NXDOMAIN absent
cut.only.example.org  DS       NOERROR  absent
a.old.example.org     A        NOERROR  secure
b.old.example.org     A        NXDOMAIN absent
old.example.org       DNAME    NOERROR  secure
lab.example.org       DS       NOERROR  absent
safe.example.org      DS       NOERROR  secure
sub.example.org       DS       NOERROR  secure
plain.example.org     DS       NOERROR  absent
sub.example.org       SOA      NOERROR  secure
sub.example.org       NS       NOERROR  secure
sub.example.org       DNSKEY   NOERROR  secure
www.sub.example.org   A        NOERROR  secure
x.wild.sub.example.org TXT     NOERROR  expanded
nope.sub.example.org  A        NXDOMAIN absent
www.plain.example.org A        NOERROR  insecure
nope.plain.example.org A       NXDOMAIN insecure
to-sub.example.org    A        NOERROR  secure
to-plain.example.org  A        NOERROR  partly
_sip._tcp.example.org SRV      NOERROR  secure
_tcp.example.org      A        NOERROR  absent
";

fn cases() -> impl Iterator<Item = [&'static str; 4]> {
    let fields = CASES.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter_map(|fields| fields.try_into().ok())
}

/// Asks `delv`, which validates each answer as it comes from this server.
fn believed_by_delv(signed: &Signed, server: &Server, style: Style) {
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    let anchor = format!("trust-anchors {{ \"example.org.\" static-key 257 3 13 \"{}\"; }};", signed.key);
    std::fs::write(folder.path().join("anchor"), anchor).expect("file can be written");
    let (ip, port) = (format!("@{}", server.dns().ip()), server.dns().port().to_string());
    let mut faults = Vec::new();
    for [name, rtype, _, expected] in cases() {
        let output = run(folder.path(), "delv", &[&ip, "-p", &port, "-a", "anchor", "+root=example.org", name, rtype]);
        let (secure, unsigned) = (output.contains("fully validated"), output.contains("unsigned answer"));
        let expected = match expected {
            "expanded" if style == Style::OptOut => unsigned,
            "insecure" => unsigned && !secure,
            "partly" => unsigned && secure,
            _ => secure && !unsigned,
        };
        if !expected {
            faults.push(format!("{name} {rtype}: {output}"));
        }
    }
    assert!(faults.is_empty(), "{} differ for {style:?}:\n{}", faults.len(), faults.join("\n"));
}

/// Asks Unbound, which asks this server and says AD for what it has validated; what is bogus is SERVFAIL.
fn believed_by_unbound(signed: &Signed, server: &Server, style: Style) {
    let port = free_port();
    let stubs = ["", "sub.", "plain."].map(|below| {
        let address = format!("{}@{}", server.dns().ip(), server.dns().port());
        format!("stub-zone:\n name: {below}example.org\n stub-addr: {address}\n")
    });
    let stubs = stubs.concat();
    let config = format!(
        "server:\n interface: 127.0.0.1@{port}\n do-ip6: no\n username: \"\"\n chroot: \"\"\n directory: \"{{dir}}\"\n\
         \x20pidfile: \"{{dir}}/pid\"\n use-syslog: no\n do-not-query-localhost: no\n module-config: \"validator iterator\"\n\
         \x20num-threads: 1\n aggressive-nsec: no\n qname-minimisation: no\n val-log-level: 2\n\
         \x20trust-anchor: \"example.org. DNSKEY 257 3 13 {}\"\n\
         remote-control:\n control-enable: no\n{stubs}",
        signed.key
    );
    let _running = Place::new().start("unbound", &["-d", "-c", "{dir}/config"], &config);
    let resolver = SocketAddr::from(([127, 0, 0, 1], port));
    let ask = |name: &str, rtype: &str| dig(resolver, &["+noall", "+comments", "+dnssec", name, rtype]);
    eventually("Unbound answers", || ask("example.org", "SOA").iter().any(|line| line.contains("NOERROR")));
    let mut faults = Vec::new();
    for [name, rtype, rcode, expected] in cases() {
        let comments = ask(name, rtype).join("\n");
        let flags = comments.lines().find_map(|line| line.strip_prefix(";; flags:")).unwrap_or_default();
        let ad = flags.split(';').next().is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "ad"));
        let validated = match expected {
            "expanded" | "absent" if style == Style::OptOut => true, // a span that is opted out proves less
            "insecure" | "partly" => !ad,
            _ => ad,
        };
        if !validated || !comments.contains(&format!("status: {rcode}")) {
            faults.push(format!("{name} {rtype}: {comments}"));
        }
    }
    assert!(faults.is_empty(), "{} differ for {style:?}:\n{}", faults.len(), faults.join("\n"));
}

fn believed(style: Style) {
    let (signed, server) = signed_in(style);
    believed_by_delv(&signed, &server, style);
    believed_by_unbound(&signed, &server, style);
}

#[test]
fn rfc4035_3_1_answers_with_nsec_are_validated() {
    believed(Style::Nsec);
}

#[test]
fn rfc5155_7_2_answers_with_nsec3_are_validated() {
    believed(Style::Nsec3);
}

#[test]
fn rfc5155_6_answers_with_opt_out_are_validated() {
    believed(Style::OptOut);
}

#[test]
fn rfc5155_7_2_answers_of_another_signer_are_validated() {
    believed(Style::LdnsNsec3);
}
