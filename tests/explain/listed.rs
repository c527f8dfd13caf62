//! What listed clients are told.

use serde_json::json;

use super::support::dns::{Packet, rtype, udp};
use super::support::{Server, Setup, eventually};
use super::{CONFIG, line, lines, put, start};

#[test]
fn each_instance_has_a_line_with_reason_change_and_what_to_do() {
    let server = start();
    put(&server, "search", "a1", json!({}));
    put(&server, "search", "a2", json!({"out": "GET /health answered 503, 3 times"}));
    put(&server, "search", "a3", json!({}));
    put(&server, "search", "a4", json!({"lease_seconds": 2}));
    let drained = server.client(&["drain", "search", "a3", "--reason", "kernel", "--force"]);
    assert!(drained.status.success(), "{drained:?}");
    eventually("it lapses", || lines(&server, "search._explain.sd.example.org").iter().any(|l| l.contains("lapsed")));
    let told = lines(&server, "search._explain.sd.example.org");
    assert_eq!(told.len(), 5, "{told:#?}");
    let head = "1 of 4 instances of search is in the answers of search.sd.example.org; DNS answers A: NOERROR, \
                1 record";
    assert_eq!(told[0], head);
    assert!(line(&told, "a1 ").starts_with("a1 in serving for "), "{told:#?}");
    let failing = line(&told, "a2 out ");
    assert!(failing.starts_with("a2 out by its own word for "), "{failing}");
    assert!(failing.contains(": GET /health answered 503, 3 times (revision "), "{failing}");
    let drained = line(&told, "a3 out drained by anonymous ");
    assert!(
        drained.contains(" ago \"kernel\" (revision ") && drained.ends_with("; zonebeat undrain search a3"),
        "{drained}"
    );
    let lapsed = line(&told, "a4 out lapsed ");
    assert!(lapsed.contains("no beat for its lease of 2 s (revision "), "{lapsed}");
    assert!(lapsed.ends_with("if it is gone for good: zonebeat deregister search a4"), "{lapsed}");
    let service = lines(&server, "_search._tcp._explain.sd.example.org");
    assert!(
        service[0].contains("_search._tcp.sd.example.org;") && service[0].contains("DNS answers SRV"),
        "{service:#?}"
    );
    assert_eq!(lines(&server, "a3.search._explain.sd.example.org").len(), 2);
}

#[test]
fn the_last_instance_is_held_and_the_lines_say_by_whom() {
    let server = start();
    put(&server, "search", "a1", json!({"lease_seconds": 2}));
    let name = "_search._tcp._explain.sd.example.org";
    eventually("it is held", || lines(&server, name).iter().any(|line| line.contains("held by the guard")));
    let told = lines(&server, name);
    assert!(told[0].contains("DNS answers SRV: NOERROR, 1 record (a1 is silent and held"), "{told:#?}");
    let held = line(&told, "a1 in held by the guard for ");
    assert!(held.ends_with("to let it lapse now: zonebeat release search a1"), "{held}");
}

#[test]
fn names_that_do_not_exist_are_explained_with_near_ones() {
    let server = start();
    put(&server, "search", "a1", json!({"site": "lon", "tags": ["canary"]}));
    put(&server, "billing", "b1", json!({}));
    for (name, near) in [
        ("serach", "search.sd.example.org."),
        ("_seach._tcp", "_search._tcp.sd.example.org."),
        ("search.lom", "search.lon.sd.example.org."),
        ("a2._search._tcp", "a1._search._tcp.sd.example.org."),
        ("_canarry._sub._search._tcp", "_canary._sub._search._tcp.sd.example.org."),
    ] {
        let told = lines(&server, &format!("{name}._explain.sd.example.org"));
        let there = line(&told, "there are: ");
        assert!(there.split(' ').any(|word| word == near), "{name}: {told:#?}");
    }
    let told = lines(&server, "serach._explain.sd.example.org");
    assert!(told[0].starts_with("there is no service serach"), "{told:#?}");
    assert!(told[0].ends_with("DNS answers A: NXDOMAIN, 0 records"), "{told:#?}");
}

#[test]
fn static_records_and_the_apex_are_explained_by_file_and_line() {
    let zone = "$ORIGIN sd.example.org.\n@ 60 SOA ns1 hostmaster 1 60 60 60 5\n@ 60 NS ns1\nns1 60 A 192.0.2.53\n\
                www 60 CNAME search\n";
    let server = Setup::new().config(CONFIG).zone_file("sd.example.org", zone).start();
    let told = lines(&server, "www._explain.sd.example.org");
    assert!(told[0].contains("www.sd.example.org is a static record: ") && told[0].contains(".zone:5"), "{told:#?}");
    let told = lines(&server, "_explain.sd.example.org");
    assert!(told[0].starts_with("sd.example.org is a zone that services are registered in, 0 now; "), "{told:#?}");
    assert!(told[0].contains(".zone:2"), "{told:#?}");
}

#[test]
fn the_question_comes_back_as_it_was_sent_and_other_types_are_not_there() {
    let server = start();
    put(&server, "search", "a1", json!({}));
    let mixed = "SeArCh._ExPlAiN.sD.eXaMpLe.OrG";
    let answer = server.dig(&[mixed, "TXT", "+tcp"]);
    assert!(answer.contains("flags: qr aa rd; QUERY: 1, ANSWER: 2, AUTHORITY: 0"), "{answer}");
    assert!(
        answer.contains(&format!(";{mixed}.")) && answer.contains(&format!("{mixed}.\t0 IN\tTXT\t\"1 of 1")),
        "{answer}"
    );
    for rtype in ["A", "SRV", "SOA", "NS"] {
        for transport in ["+notcp", "+tcp"] {
            let answer = server.dig(&[mixed, rtype, transport]);
            assert!(answer.contains("status: NOERROR") && answer.contains("ANSWER: 0, AUTHORITY: 1"), "{answer}");
            assert!(answer.contains("SOA"), "{answer}");
        }
    }
    let any = server.dig(&[mixed, "ANY", "+tcp"]);
    assert!(any.contains("status: NOERROR") && any.contains("ANSWER: 0"), "{any}");
}

#[test]
fn over_udp_the_client_is_sent_to_tcp_whatever_there_is_to_say() {
    let server = start();
    put(&server, "search", "a1", json!({}));
    let name = "search._explain.sd.example.org";
    let query = Packet::query(7, name, rtype::TXT).edns(4096, 0, &[]);
    let reply = udp(server.dns(), &query.0);
    assert!(reply.truncated() && reply.authoritative(), "{reply:?}");
    assert_eq!((reply.rcode(), reply.count(1)), (0, 0));
    assert!(reply.0.len() <= query.0.len(), "nothing for those who forge addresses");
}

#[test]
fn of_many_instances_fifty_are_shown_and_the_others_counted() {
    let server = start();
    for id in 0..60 {
        put(&server, "search", &format!("a{id:02}"), json!({"addresses": [format!("192.0.2.{id}")]}));
    }
    let reason = "x".repeat(180);
    let drained = server.client(&["drain", "search", "a59", "--reason", &reason]);
    assert!(drained.status.success(), "{drained:?}");
    let told = lines(&server, "search._explain.sd.example.org");
    assert_eq!(told.len(), 52);
    assert!(told[0].starts_with("59 of 60 instances"), "{told:#?}");
    assert!(
        told[1].starts_with("a59 out drained") && told[1].contains(&reason),
        "what is out comes first: {}",
        told[1]
    );
    assert_eq!(told[51], "and 10 more; GET /v1/explain?name=search.sd.example.org.&limit=1000");
}

#[test]
fn lists_sites_whole_names_and_reverse_names_are_explained_too() {
    let server = Setup::new().config(&format!("reverse = [\"192.0.2.0/24\"]\n{CONFIG}")).start();
    put(&server, "search", "a1", json!({"site": "lon", "addresses": ["192.0.2.7"]}));
    put(&server, "index", "b1", json!({"addresses": ["192.0.2.7"], "out": "stopping"}));
    let all = lines(&server, "_search._tcp.all._explain.sd.example.org");
    assert!(all[0].contains("_search._tcp.all.sd.example.org") && line(&all, "a1 in ").contains("serving"), "{all:#?}");
    let types = lines(&server, "_services._dns-sd._udp._explain.sd.example.org");
    assert!(types[0].contains("lists the service types of all 2 services; DNS answers PTR"), "{types:#?}");
    let browse = lines(&server, "b._dns-sd._udp._explain.sd.example.org");
    assert!(browse[0].contains("which domain to browse"), "{browse:#?}");
    let site = lines(&server, "lon._explain.sd.example.org");
    assert!(site[0].starts_with("there is no service lon, only names below lon.sd.example.org"), "{site:#?}");
    let reverse = lines(&server, "7._explain.2.0.192.in-addr.arpa");
    assert!(reverse[0].starts_with("1 of 2 instances with the address 192.0.2.7 is in the answers of"), "{reverse:#?}");
    assert!(line(&reverse, "index/b1 out ").contains("stopping"), "{reverse:#?}");
    line(&reverse, "search/a1 in ");
    let none = lines(&server, "8._explain.2.0.192.in-addr.arpa");
    assert!(none[0].starts_with("no registered instance has the address 192.0.2.8"), "{none:#?}");
}

#[test]
fn what_policy_refused_is_told_until_it_is_accepted() {
    let zone = "$ORIGIN sd.example.org.\n@ 60 SOA ns1 hostmaster 1 60 60 60 5\n@ 60 NS ns1\nns1 60 A 192.0.2.53\n\
                mail 60 A 192.0.2.25\n";
    let server = Setup::new().config(CONFIG).zone_file("sd.example.org", zone).start();
    let refused = |service: &str, id: &str, body: serde_json::Value| {
        let (status, reply) = server.http_json("PUT", &format!("/v1/services/{service}/instances/{id}"), Some(body));
        assert!((400..500).contains(&status), "{reply}");
    };
    put(&server, "search", "a1", json!({}));
    refused("search", "a9", json!({"port": 80, "addresses": ["127.0.0.9"]}));
    refused("mail", "m1", json!({"port": 25, "addresses": ["192.0.2.9"]}));
    refused("my_service", "a1", json!({"port": 25, "addresses": ["192.0.2.9"]}));
    for (name, begins, word) in [
        ("search", "a9 refused ", "(address-refused): "),
        ("_search._tcp", "a9 refused ", "127.0.0.9"),
        ("a9.search", "a9 refused ", "to anonymous"),
        ("mail", "m1 refused ", "(static-name): "),
        ("my_service", "a1 refused ", "(bad-label): "),
    ] {
        let told = lines(&server, &format!("{name}._explain.sd.example.org"));
        let refusal = line(&told, begins);
        assert!(refusal.contains(" s ago ") && refusal.contains(word), "{name}: {refusal}");
    }
    let other = lines(&server, "a1.search._explain.sd.example.org");
    assert!(!other.iter().any(|line| line.contains("refused")), "of another instance: {other:#?}");
    let shown = server.client(&["explain", "search.sd.example.org"]);
    let page = String::from_utf8(shown.stdout).expect("text");
    assert!(page.contains("search/a9") && page.contains("address-refused"), "{page}");
    put(&server, "search", "a9", json!({}));
    let told = lines(&server, "search._explain.sd.example.org");
    assert!(!told.iter().any(|line| line.contains("refused")), "{told:#?}");
    refused("search", "a9", json!({"port": 0}));
    let told = lines(&server, "search._explain.sd.example.org");
    assert!(line(&told, "a9 refused ").contains("(bad-port)"), "an update was refused: {told:#?}");
    let session = json!({"epoch": "1", "instances": [{"service": "search", "id": "a8", "registration": {"port": 80, "addresses": ["127.0.0.1"]}}]});
    let (status, reply) = server.http_json("PUT", "/v1/sessions/host-7", Some(session));
    assert!((400..500).contains(&status), "{reply}");
    let told = lines(&server, "search._explain.sd.example.org");
    assert!(line(&told, "a8 refused ").contains("(address-refused)"), "of a session's set: {told:#?}");
}

/// The page of `zonebeat explain`.
fn page(server: &Server, args: &[&str]) -> String {
    let shown = server.client(&[&["explain"], args].concat());
    assert!(shown.status.success(), "{shown:?}");
    String::from_utf8(shown.stdout).expect("text")
}

#[test]
fn a_name_that_explains_is_explained_as_what_it_is() {
    let server = start();
    put(&server, "search", "a1", json!({"site": "lon"}));
    put(&server, "search", "a2", json!({"out": "stopping"}));
    for (name, target) in [("search._explain", "search."), ("_explain", ""), ("_search._tcp._explain", "_search._tcp.")]
    {
        let name = format!("{name}.sd.example.org");
        let records = lines(&server, &name).len();
        let expected = format!(
            "{name} explains {target}sd.example.org, as TXT over TCP, to clients of dns.explain_to (127.0.0.1/32); others \
             hear NXDOMAIN\nDNS answers {name}. TXT: NOERROR, {records} record"
        );
        for args in [&[&*name][..], &[&name, "TXT"]] {
            let page = page(&server, args);
            assert!(page.starts_with(&expected) && !page.contains("there are:"), "{page}\n{expected}");
        }
        assert!(page(&server, &[&name, "A"]).contains("A: NOERROR, 0 records"));
        assert_eq!(lines(&server, &name).len(), records);
    }
    let nobody = Server::start();
    put(&nobody, "search", "a1", json!({"site": "lon"}));
    let page = page(&nobody, &["search._explain.sd.example.org"]);
    assert!(page.starts_with("search._explain.sd.example.org would explain search.sd.example.org, but"), "{page}");
    assert!(page.contains("dns.explain_to lists nobody") && page.contains("TXT: NXDOMAIN, 0 records"), "{page}");
    assert!(!page.contains("there are:"), "{page}");
}

#[test]
fn a_weight_that_was_set_is_told_with_the_longest_reason_and_the_way_back() {
    let server = start();
    put(&server, "search", "a1", json!({"weight": 100}));
    put(&server, "search", "a2", json!({"weight": 100}));
    let reason = format!("\u{e4}{}", "x".repeat(498));
    for args in
        [&["weight", "search", "a1", "7", "--for", "20m", "--reason", &reason][..], &["weight", "search", "a2", "0"]]
    {
        assert!(server.client(args).status.success(), "{args:?}");
    }
    let page = page(&server, &["search.sd.example.org"]);
    let (_, http) = server.http_json("GET", "/v1/explain?name=search.sd.example.org", None);
    let told = lines(&server, "search._explain.sd.example.org");
    let long = told.iter().find(|line| line.starts_with("a1 in ")).expect("a line of a1");
    let dns = long.replace("\\195\\164", "\u{e4}");
    for said in [&page, &dns, http["instances"][0]["why"].as_str().expect("why")] {
        assert!(said.contains(", weight 7 instead of 100 for 19 min more by anonymous \""), "{said}");
        assert!(said.contains(&format!("\"{reason}\" (revision ")), "{said}");
        assert!(said.contains("; zonebeat weight search a1 registered"), "{said}");
    }
    let short = line(&told, "a2 in ");
    assert!(short.contains(", weight 0 instead of 100 by anonymous (revision "), "{short}");
    assert!(server.client(&["drain", "search", "a1"]).status.success());
    let drained = line(&lines(&server, "search._explain.sd.example.org"), "a1 out ");
    assert!(!drained.contains("weight"), "nobody is answered with it: {drained}");
    assert!(server.client(&["undrain", "search", "a1"]).status.success());
    assert!(server.client(&["weight", "search", "a1", "registered"]).status.success());
    let back = line(&lines(&server, "search._explain.sd.example.org"), "a1 in ");
    assert!(!back.contains("weight"), "{back}");
}

#[test]
fn the_longest_reason_fits_an_extended_error_or_leaves_the_answer_whole() {
    let server = start();
    put(&server, "search", "a1", json!({}));
    let reason = "x".repeat(500);
    let drained = server.client(&["drain", "search", "a1", "--force", "--reason", &reason]);
    assert!(drained.status.success(), "{drained:?}");
    for more in [&["+notcp"][..], &["+notcp", "+bufsize=512"], &["+tcp"]] {
        let answer = server.dig(&[&["search.sd.example.org", "A"], more].concat());
        assert!(answer.contains("status: NOERROR") && answer.contains("SOA"), "{more:?}: {answer}");
        assert!(!answer.contains("flags: qr aa tc"), "{more:?}: {answer}");
        assert!(more.contains(&"+bufsize=512") || answer.contains(&reason[..90]), "{more:?}: {answer}");
    }
}

#[test]
fn near_names_exist() {
    let server = start();
    put(&server, "long", "a1", json!({"site": "lon", "proto": "tcp"}));
    put(&server, "lon2", "b1", json!({"proto": "udp"}));
    for asked in ["_lon._tcp", "_lon._udp", "_logn._tcp", "lonn", "long.sto"] {
        let told = lines(&server, &format!("{asked}._explain.sd.example.org"));
        for near in told.iter().filter_map(|line| line.strip_prefix("there are: ")).flat_map(|list| list.split(' ')) {
            let answer = server.dig(&[near, "A"]);
            assert!(answer.contains("status: NOERROR"), "{asked}: {near}: {answer}");
        }
    }
    let told = lines(&server, "_lon._udp._explain.sd.example.org");
    assert_eq!(line(&told, "there are: "), "there are: _lon2._udp.sd.example.org.", "{told:#?}");
    let site = lines(&server, "_logn._udp._explain.sd.example.org");
    assert!(!site.iter().any(|line| line.contains("_long._udp")), "that service has no udp: {site:#?}");
}

#[test]
fn a_name_of_nobody_is_refused_once() {
    let server = start();
    let page = page(&server, &["nothing.example.net"]);
    let expected = "nothing.example.net is no name that a registration can have here\nDNS answers nothing.example.net. A: \
                    REFUSED, 0 records (the name is in none of this server's zones)\n";
    assert_eq!(page, expected);
}

#[test]
fn what_is_no_name_or_type_is_wrong_usage() {
    let server = start();
    for args in [["explain", "search.sd.example.org", "FOO"], ["explain", "bad..name", "A"]] {
        let refused = server.client(&args);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {told}");
        assert!(told.contains(args[1]) || told.contains("FOO"), "{told}");
    }
}
