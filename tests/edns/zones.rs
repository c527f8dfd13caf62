//! What a server tells of the zone that answered: its version (RFC 9660), its expiry (RFC 7314).

use super::support::dns::{self, Packet, Response, rtype};
use super::support::{Server, Setup, Shared, eventually};
use super::{EXPIRE, FORMERR, REFUSED, ZONE_VERSION, ask, options};

const DS: u16 = 43;
const PARENT: &str = "$TTL 60\n@ SOA ns hostmaster 7 3600 600 86400 5\n@ NS ns\nns A 192.0.2.53\nalias CNAME www.example.net.\n\
                      away NS ns.away\nns.away A 192.0.2.54\nchild NS ns\nchild DS 1 13 2 00112233445566778899aabbccddeeff\
                      00112233445566778899aabbccddeeff\n*.wild TXT \"x\"\n";
const CHILD: &str = "$TTL 60\n@ SOA ns hostmaster 4000000000 3600 600 604800 5\n@ NS ns\nns A 192.0.2.55\n";

static SHARED: Shared = Shared::new(|| {
    let config = "[[zone]]\nname = \"sd.example.org\"\n";
    let zones = [("parent.example.org", PARENT), ("child.parent.example.org", CHILD)];
    let setup = zones.iter().fold(Setup::bare().config(config), |setup, (name, text)| setup.zone_file(name, text));
    setup.start()
});

/// LABELCOUNT, TYPE and VERSION of a response, if it has them.
fn version(response: &Response) -> Option<(u8, u8, u32)> {
    let data = options(response).1.remove(&ZONE_VERSION)?;
    let [labels, kind, serial @ ..] = data.as_slice() else { panic!("{data:02x?}") };
    Some((*labels, *kind, u32::from_be_bytes(serial.try_into().expect("four octets"))))
}

fn version_at(server: &Server, name: &str, rtype: u16) -> Option<(u8, u8, u32)> {
    version(&dns::udp(server.dns(), &ask(name, rtype, ZONE_VERSION, &[])))
}

/// The serial that is answered to who asks for the SOA.
fn serial(server: &Server, zone: &str) -> u32 {
    let soa = server.dig_short(&[zone, "SOA"]);
    soa.first().and_then(|soa| soa.split(' ').nth(2)?.parse().ok()).expect("there is a SOA")
}

#[test]
fn rfc9660_3_2_every_answer_of_a_zone_has_its_version() {
    let server = SHARED.get();
    for (name, rtype, what) in [
        ("parent.example.org", rtype::SOA, "an answer"),
        ("ns.parent.example.org", rtype::AAAA, "no such type"),
        ("nope.parent.example.org", rtype::A, "no such name"),
        ("x.wild.parent.example.org", rtype::TXT, "a wildcard"),
        ("alias.parent.example.org", rtype::A, "an alias that leads away"),
        ("www.away.parent.example.org", rtype::A, "a referral, although AA is clear"),
        ("ns.parent.example.org", rtype::ANY, "ANY"),
        ("child.parent.example.org", DS, "what the parent says of the child"),
    ] {
        let (labels, kind, version) = version_at(&server, name, rtype).unwrap_or_else(|| panic!("{what}: none"));
        assert_eq!((labels, kind, version), (3, 0, serial(&server, "parent.example.org")), "{what}");
    }
    let child = version_at(&server, "nope.child.parent.example.org", rtype::A);
    assert_eq!(child, Some((4, 0, serial(&server, "child.parent.example.org"))), "the closest zone");
    let over_tcp = dns::tcp(server.dns(), &ask("nope.child.parent.example.org", rtype::A, ZONE_VERSION, &[]));
    assert_eq!(version(&over_tcp), child);
    let kdig = server.kdig(&["parent.example.org", "SOA", "+ednsopt=19:"]);
    assert!(kdig.contains("NOERROR") && kdig.contains("19"), "{kdig}");
}

#[test]
fn rfc9660_3_2_what_is_no_zone_of_ours_has_no_version() {
    let server = SHARED.get();
    let refused = dns::udp(server.dns(), &ask("example.net", rtype::A, ZONE_VERSION, &[]));
    assert_eq!((u16::from(refused.rcode()), version(&refused)), (REFUSED, None));
    let mut identity = ask("version.bind", rtype::TXT, ZONE_VERSION, &[]);
    let class = 12 + "version.bind".len() + 2 + 3;
    assert_eq!(identity[class], 1);
    identity[class] = 3;
    assert_eq!(version(&dns::udp(server.dns(), &identity)), None, "CH");
    let unasked = Packet::query(1, "parent.example.org", rtype::SOA).edns(1232, 0, &[]).0;
    assert_eq!(version(&dns::udp(server.dns(), &unasked)), None);
    let full = dns::udp(server.dns(), &ask("parent.example.org", rtype::SOA, ZONE_VERSION, &[0, 0]));
    assert_eq!(u16::from(full.rcode()), FORMERR, "only answers say a version");
}

#[test]
fn rfc9660_the_version_is_the_one_of_the_view_that_answered() {
    let server = SHARED.get();
    let before = version_at(&server, "sd.example.org", rtype::SOA).expect("it is ours").2;
    let body = r#"{"port":8080,"addresses":["192.0.2.7"],"lease_seconds":600}"#;
    assert_eq!(server.call("PUT", "/v1/services/search/instances/a1", Some(body)).status, 201);
    let seen = || version_at(&server, "a1.search.sd.example.org", rtype::A);
    eventually("the change is published", || seen().is_some_and(|(_, _, version)| version > before));
    let soa = dns::udp(server.dns(), &ask("sd.example.org", rtype::SOA, ZONE_VERSION, &[]));
    let (_, _, version) = version(&soa).expect("it is ours");
    assert!(soa.0.windows(4).filter(|octets| *octets == version.to_be_bytes()).count() >= 2, "in SOA and OPT alike");
}

#[test]
fn rfc7314_3_1_the_expiry_of_a_zone_is_told_with_its_soa() {
    let server = SHARED.get();
    let expiry = |name: &str, rtype| options(&dns::udp(server.dns(), &ask(name, rtype, EXPIRE, &[]))).1.remove(&EXPIRE);
    assert_eq!(expiry("parent.example.org", rtype::SOA), Some(86_400_u32.to_be_bytes().to_vec()));
    assert_eq!(expiry("child.parent.example.org", rtype::SOA), Some(604_800_u32.to_be_bytes().to_vec()));
    assert_eq!(expiry("parent.example.org", rtype::NS), None);
    assert_eq!(expiry("ns.parent.example.org", rtype::SOA), None);
    let dig = server.dig(&["parent.example.org", "SOA", "+expire"]);
    assert!(dig.contains("EXPIRE: 86400"), "{dig}");
}
