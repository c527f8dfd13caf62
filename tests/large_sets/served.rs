//! A real server with a service of ten thousand instances: dig, AXFR, a secondary, HTTP.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::ZONE;
use crate::program::{Place, dig, free_port};
use crate::support::{Server, Setup, eventually};

const COUNT: usize = 10_000;
/// Instances of one session: what a body of 64 KiB holds.
const AT_ONCE: usize = 250;

/// A server with the service, registered by sessions.
fn server() -> Server {
    let config = format!("[[zone]]\nname = \"{ZONE}\"\nanswer_limit = 0\n");
    let server = Setup::bare().config(&config).start();
    for session in 0..COUNT / AT_ONCE {
        let instances: Vec<Value> = (session * AT_ONCE..(session + 1) * AT_ONCE).map(instance).collect();
        let body = json!({"epoch": "1", "lease_seconds": 3600, "instances": instances});
        let (status, reply) = server.http_json("PUT", &format!("/v1/sessions/host-{session}"), Some(body));
        assert!(matches!(status, 200 | 201), "{reply}");
    }
    server
}

fn instance(number: usize) -> Value {
    let addresses = [format!("2001:db8::{number:x}")];
    json!({"service": "big", "id": id(number), "registration": {"port": 8080, "addresses": addresses}})
}

fn id(number: usize) -> String {
    format!("i{number:05}")
}

/// The SRV records that a client with this address gets, and everything that dig printed.
fn srv(server: &Server, client: &str, options: &[&str]) -> (BTreeSet<String>, String) {
    let args = [&["-b", client, "_big._tcp.sd.example.org", "SRV"], options].concat();
    let text = server.dig(&args);
    let records = text.lines().filter(|line| !line.starts_with(';') && line.contains("\tSRV\t"));
    (records.filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect(), text)
}

#[test]
fn ten_thousand_instances_are_answered_in_parts_and_told_whole() {
    let server = server();
    let (part, text) = srv(&server, "127.0.1.1", &["+tcp"]);
    assert!((1300..1500).contains(&part.len()), "{text}");
    let number = format!("1,{:03} of 10,000, chosen by client prefix", part.len() - 1000);
    assert!(text.contains(&number) && text.contains("status: NOERROR"), "{number} in {text}");
    assert_eq!(srv(&server, "127.0.1.200", &["+tcp"]).0, part, "the same prefix");
    assert_ne!(srv(&server, "127.0.2.1", &["+tcp"]).0, part, "another prefix");
    let told = server.dig_short(&["_big._tcp.sd.example.org", "TXT"]);
    assert_eq!(told, [format!("\"answers={} of 10000\"", part.len())]);
    let (none, text) = srv(&server, "127.0.1.1", &["+notcp", "+ignore"]);
    assert!(none.is_empty() && text.contains("flags: qr aa tc"), "{text}");

    whole_by_http_and_transfer(&server);
    a_change_outside_leaves_the_part(&server, &part);
    let declared = server.call("PUT", "/v1/services/big", Some(r#"{"answer_limit":12}"#));
    assert_eq!(declared.status, 200, "{}", declared.text());
    let (few, text) = srv(&server, "127.0.1.1", &["+notcp", "+ignore"]);
    assert!(few.len() == 12 && few.is_subset(&part) && !text.contains(" tc"), "{text}");
    assert!(text.contains("12 of 9,999") && text.contains("ADDITIONAL: 13"), "{text}");
    let shown = String::from_utf8(server.client(&["show", "big"]).stdout).expect("text");
    assert!(shown.contains("answer limit   12 records"), "{}", &shown[..shown.len().min(500)]);

    let twin = self::server();
    assert_eq!(srv(&twin, "127.0.1.1", &["+tcp"]).0, part, "another server with the same instances");
    let server = server.restart();
    assert_eq!(srv(&server, "127.0.1.1", &["+notcp"]).0, few, "the same after a restart");
}

fn whole_by_http_and_transfer(server: &Server) {
    let (mut ids, mut path) = (BTreeSet::new(), "/v1/services/big/instances".to_owned());
    loop {
        let (status, page) = server.http_json("GET", &path, None);
        assert_eq!(status, 200, "{page}");
        let instances = page["instances"].as_array().expect("a list");
        ids.extend(instances.iter().map(|instance| instance["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/services/big/instances?after={next}");
    }
    assert_eq!(ids.len(), COUNT);
    let records = |server: SocketAddr| dig(server, &["+noall", "+answer", "+onesoa", ZONE, "AXFR"]);
    let ours = records(server.dns());
    let of = |owner: &str, rtype: &str| {
        let (owner, rtype) = (format!("{owner}.{ZONE}. "), format!(" IN {rtype} "));
        ours.iter().filter(|line| line.starts_with(&owner) && line.contains(&rtype)).count()
    };
    assert_eq!((of("_big._tcp", "SRV"), of("_big._tcp", "PTR"), of("big", "AAAA")), (COUNT, COUNT, COUNT));
    let port = free_port();
    let config = format!(
        "server:\n    listen: 127.0.0.1@{port}\n    rundir: {{dir}}\n    udp-workers: 1\n    tcp-workers: 1\n\
         database:\n    storage: {{dir}}\nlog:\n  - target: stderr\n    any: info\n\
         remote:\n  - id: primary\n    address: {}@{}\n\
         acl:\n  - id: all\n    address: 127.0.0.0/8\n    action: transfer\n\
         template:\n  - id: default\n    storage: {{dir}}\n\
         zone:\n  - domain: {ZONE}\n    master: primary\n    acl: all\n",
        server.dns().ip(),
        server.dns().port()
    );
    let _secondary = Place::new().start("knotd", &["-c", "{dir}/config"], &config);
    let secondary = SocketAddr::from(([127, 0, 0, 1], port));
    let ask = |server, name: &str, rtype| dig(server, &["+short", "+norecurse", &format!("{name}{ZONE}"), rtype]);
    eventually("Knot has our zone", || ask(secondary, "", "SOA") == ask(server.dns(), "", "SOA"));
    for (name, rtype) in [("i09999.big.", "AAAA"), ("i00042._big._tcp.", "SRV"), ("_big._tcp.", "TXT")] {
        assert_eq!(ask(secondary, name, rtype), ask(server.dns(), name, rtype), "{name} {rtype}");
    }
}

fn a_change_outside_leaves_the_part(server: &Server, part: &BTreeSet<String>) {
    let outside = (0..).map(id).find(|id| !part.contains(&format!("{id}.big.{ZONE}."))).expect("most are outside");
    let gone = server.call("DELETE", &format!("/v1/services/big/instances/{outside}"), None);
    assert!(matches!(gone.status, 200 | 204), "{}", gone.text());
    let (after, text) = srv(server, "127.0.1.1", &["+tcp"]);
    assert!(text.contains("of 9,999"), "{text}");
    assert_eq!(after, *part);
}
