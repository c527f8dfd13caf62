//! What everybody else sees: nothing.

use std::net::{SocketAddr, UdpSocket};

use serde_json::json;

use super::support::dns::{Packet, rtype};
use super::support::{PATIENCE, Server, Setup, ZONE};
use super::{CONFIG, lines, put, start};

/// What a client at another address gets, without what differs from query to query.
fn told(server: &Server, args: &[&str]) -> String {
    let varies =
        |line: &&str| !["Query time", "WHEN", "COOKIE", "; <<>>", "SERVER"].iter().any(|word| line.contains(word));
    let shown = server.dig(&[args, &["+nocookie"]].concat());
    shown.lines().filter(varies).map(|line| line.split(", id: ").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The answer over UDP to a client at this address.
fn ask_from(address: &str, server: SocketAddr, packet: &Packet) -> Vec<u8> {
    let socket = UdpSocket::bind((address, 0)).expect("every address of 127.0.0.0/8 is ours");
    socket.set_read_timeout(Some(PATIENCE)).expect("the timeout is not zero");
    socket.send_to(&packet.0, server).expect("it is sent");
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).expect("the server answers");
    answer.truncate(length);
    answer
}

#[test]
fn a_client_that_is_not_listed_gets_what_every_unknown_name_gets() {
    let (listing, without) = (start(), Server::start());
    for server in [&listing, &without] {
        put(server, "search", "a1", json!({}));
    }
    for name in ["search._explain.sd.example.org", "_explain.sd.example.org", "no._explain.sd.example.org"] {
        for rtype in ["TXT", "A", "ANY"] {
            for more in [&["+notcp"][..], &["+tcp"], &["+dnssec"]] {
                let asked = [&[name, rtype, "-b", "127.0.0.2"], more].concat();
                let shown = told(&listing, &asked);
                assert!(shown.contains("status: NXDOMAIN"), "{asked:?}: {shown}");
                assert_eq!(shown, told(&without, &asked), "as if it were not configured: {asked:?}");
            }
        }
    }
    let nobody = told(&without, &["search._explain.sd.example.org", "TXT"]);
    assert!(nobody.contains("status: NXDOMAIN"), "by default nobody is listed: {nobody}");
    let packet = |name: &str| Packet::query(9, name, rtype::TXT);
    let (explain, unknown) = (packet("search._explain.sd.example.org"), packet("search._exqlain.sd.example.org"));
    let differ = |from| {
        let [mut one, other] = [&explain, &unknown].map(|packet| ask_from(from, listing.dns(), packet));
        let at = one.windows(8).position(|octets| octets == b"_explain").expect("the question is echoed");
        one[at + 3] = b'q';
        one != other
    };
    assert!(!differ("127.0.0.2"), "not an octet tells that there is something");
    assert!(differ("127.0.0.1"));
}

#[test]
fn a_transfer_has_nothing_of_it() {
    let server = start();
    put(&server, "search", "a1", json!({}));
    assert!(!lines(&server, "search._explain.sd.example.org").is_empty());
    let transfer = server.dig(&[ZONE, "AXFR"]);
    assert!(transfer.contains("a1.search.sd.example.org.") && !transfer.contains("_explain"), "{transfer}");
}

#[test]
fn a_zone_with_records_there_keeps_them_and_one_with_a_wildcard_explains_over_tcp() {
    let zone = "$ORIGIN sd.example.org.\n@ 60 SOA ns1 hostmaster 1 60 60 60 5\n@ 60 NS ns1\nns1 60 A 192.0.2.53\n";
    let own = format!("{zone}search._explain 60 TXT \"its own\"\n");
    let server = Setup::new().config(CONFIG).zone_file(ZONE, &own).start();
    assert_eq!(lines(&server, "search._explain.sd.example.org"), ["its own"]);
    assert!(server.dig(&["index._explain.sd.example.org", "TXT"]).contains("status: NXDOMAIN"));
    let wild = format!("{zone}* 60 TXT \"anything\"\n");
    let server = Setup::new().config(CONFIG).zone_file(ZONE, &wild).start();
    put(&server, "search", "a1", json!({}));
    let asked = ["search._explain.sd.example.org", "TXT"];
    assert!(server.dig_short(&[&asked[..], &["+tcp"]].concat())[0].starts_with("\"1 of 1 instance of"));
    for more in [&["+notcp"][..], &["-b", "127.0.0.2", "+tcp"]] {
        assert_eq!(server.dig_short(&[&asked[..], more].concat()), ["\"anything\""]);
    }
}

#[test]
fn a_service_cannot_have_the_label() {
    let server = start();
    let body = json!({"port": 80, "addresses": ["192.0.2.7"]});
    let (status, reply) = server.http_json("PUT", "/v1/services/_explain/instances/a1", Some(body));
    assert_eq!(status, 400, "{reply}");
    assert!(reply["type"].as_str().is_some_and(|word| word.ends_with("bad-label")), "{reply}");
}

#[test]
fn a_zone_that_does_not_answer_a_client_does_not_explain_itself_to_it() {
    let zone = format!("[[zone]]\nname = \"{ZONE}\"\nallow_query = [\"192.0.2.0/24\"]\n");
    let server = Setup::bare().config(&format!("{CONFIG}{zone}")).start();
    for transport in ["+notcp", "+tcp"] {
        let shown = server.dig(&["search._explain.sd.example.org", "TXT", transport]);
        assert!(shown.contains("status: REFUSED") && shown.contains("EDE: 18"), "{shown}");
    }
}
