//! UPDATE (RFC 2136) as operators do it: nsupdate and knsupdate against a real server, dig after each message, restarts,
//! zone files and services that have names already.

#![allow(clippy::unwrap_used)] // a test may panic

mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use support::faults::{fill, mount, own_mounts};
use support::{Server, Setup, eventually};

const ZONE: &str = "sd.example.org";
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER: &str = "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=";

fn setup() -> Setup {
    let key = |name: &str, zones: &str| {
        format!("[[tsig_key]]\nname = \"{name}\"\nsecret = \"{SECRET}\"\ntransfer = [{zones}]\nupdate = [{zones}]\n")
    };
    let keys = key("ops", "\"sd.example.org.\"") + &key("elsewhere", "\"other.example.org.\"");
    Setup::bare().config(&format!("[[zone]]\nname = \"{ZONE}\"\n{keys}"))
}

fn with_file(records: &str) -> Setup {
    setup().zone_file(ZONE, &zone(1, records))
}

fn zone(serial: u32, records: &str) -> String {
    format!("$TTL 300\n@ SOA ns1 hostmaster {serial} 1h 10m 1w 5\n  NS ns1\nns1 A 192.0.2.53\n{records}\n")
}

/// Sends what a tool reads from its standard input; `key` is name and secret. Says what the server answered: nothing, if
/// all went well.
fn send(tool: &str, server: &Server, key: Option<(&str, &str)>, lines: &str) -> String {
    let mut command = Command::new(tool);
    if let Some((name, secret)) = key {
        command.args(["-y", &format!("hmac-sha256:{name}:{secret}")]);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (ip, port) = (server.dns().ip(), server.dns().port());
    let script = format!("server {ip} {port}\nzone {ZONE}.\n{lines}\nsend\n");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    assert_eq!(output.status.success(), text.is_empty(), "{text}");
    text
}

fn update(server: &Server, lines: &str) -> String {
    send("nsupdate", server, Some(("ops", SECRET)), lines)
}

/// The same, which has to be done.
fn done(server: &Server, lines: &str) {
    assert_eq!(update(server, lines), "", "{lines}");
}

/// The same, which has to be refused with a reason in the log.
fn refused(server: &Server, lines: &str, rcode: &str, why: &str) {
    let answer = update(server, lines);
    assert!(answer.contains(rcode), "{lines}: {answer}");
    server.await_log(why);
}

fn serial(server: &Server) -> u32 {
    server.dig_short(&[ZONE, "SOA"])[0].split(' ').nth(2).unwrap().parse().unwrap()
}

fn status(server: &Server, name: &str, rtype: &str) -> String {
    let text = server.dig(&[name, rtype]);
    let at = text.find("status: ").unwrap() + 8;
    text[at..].split(',').next().unwrap().to_owned()
}

fn register(server: &Server, service: &str, id: &str) -> (u16, serde_json::Value) {
    let body = json!({"port": 8080, "addresses": ["192.0.2.7"], "lease_seconds": 600});
    server.http_json("PUT", &format!("/v1/services/{service}/instances/{id}"), Some(body))
}

#[test]
fn rfc2136_2_5_records_come_and_go() {
    for tool in ["nsupdate", "knsupdate"] {
        let server = setup().start();
        let send = |lines: &str| assert_eq!(send(tool, &server, Some(("ops", SECRET)), lines), "", "{lines}");
        send("update add www.sd.example.org. 30 A 192.0.2.1\nupdate add www.sd.example.org. 30 A 192.0.2.2");
        let mut addresses = server.dig_short(&["www.sd.example.org", "A"]);
        addresses.sort();
        assert_eq!(addresses, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(status(&server, "www.sd.example.org", "AAAA"), "NOERROR");
        let before = serial(&server);
        send("update add www.sd.example.org. 30 A 192.0.2.1\nupdate delete none.sd.example.org.");
        assert_eq!(serial(&server), before, "nothing has changed");
        send("update add www.sd.example.org. 60 A 192.0.2.1");
        assert!(server.dig(&["www.sd.example.org", "A"]).contains("60\tIN\tA\t192.0.2.2"), "one TTL for the set");
        assert_eq!(serial(&server), before + 1);
        send("update add www.sd.example.org. 60 TXT \"a b\"\nupdate delete www.sd.example.org. A 192.0.2.1");
        assert_eq!(server.dig_short(&["www.sd.example.org", "A"]), ["192.0.2.2"]);
        send("update delete www.sd.example.org. A");
        assert_eq!(server.dig_short(&["www.sd.example.org", "TXT"]), ["\"a b\""]);
        assert!(server.dig_short(&["www.sd.example.org", "A"]).is_empty());
        send("update delete www.sd.example.org.");
        assert_eq!(status(&server, "www.sd.example.org", "TXT"), "NXDOMAIN");
    }
}

#[test]
fn every_common_type_is_answered_and_transferred_as_it_was_written() {
    let server = setup().start();
    let records = [
        "a.b.sd.example.org. 30 IN A 192.0.2.1",
        "a.b.sd.example.org. 30 IN AAAA 2001:db8::1",
        "a.b.sd.example.org. 30 IN MX 10 Mail.Example.ORG.",
        "a.b.sd.example.org. 30 IN CAA 0 issue \"ca.example.org\"",
        "a.b.sd.example.org. 30 IN SSHFP 4 2 123456789ABCDEF67890123456789ABCDEF67890123456789ABCDEF123456789",
        "a.b.sd.example.org. 30 IN NAPTR 1 2 \"s\" \"x\" \"\" a.b.sd.example.org.",
        "a.b.sd.example.org. 30 IN URI 1 2 \"https://www.example.org/\"",
        "a.b.sd.example.org. 30 IN HTTPS 1 . alpn=\"h2\"",
        "a.b.sd.example.org. 30 IN TYPE65400 \\# 3 010203",
        "_25._tcp.sd.example.org. 30 IN TLSA 3 1 1 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF",
        "_acme-challenge.www.sd.example.org. 30 IN TXT \"token\"",
        "_x._tcp.sd.example.org. 30 IN SRV 1 2 3 a.b.sd.example.org.",
        "ptr.sd.example.org. 30 IN PTR My\\032Printer.sd.example.org.",
        "alias.sd.example.org. 30 IN CNAME a.b.sd.example.org.",
    ];
    let lines: Vec<String> = records.iter().map(|record| format!("update add {record}")).collect();
    done(&server, &lines.join("\n"));
    let text = server.dig(&[ZONE, "AXFR", "-y", &format!("hmac-sha256:ops:{SECRET}"), "+nosplit"]);
    let zone: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for record in records {
        assert!(zone.iter().any(|line| line == record), "{record} is not in {zone:#?}");
    }
    assert_eq!(status(&server, "b.sd.example.org", "A"), "NOERROR", "an empty non-terminal");
    assert_eq!(server.dig_short(&["alias.sd.example.org", "A"]), ["a.b.sd.example.org.", "192.0.2.1"]);
    let answer = server.dig(&["_x._tcp.sd.example.org", "SRV"]);
    assert!(answer.contains("a.b.sd.example.org.\t30\tIN\tA\t192.0.2.1"), "its target's address: {answer}");
}

#[test]
fn rfc2136_2_4_prerequisites_decide() {
    let server = with_file("mail A 192.0.2.25").start();
    register(&server, "search", "a1");
    let add = "update add www.sd.example.org. 30 A 192.0.2.1";
    done(&server, &format!("prereq nxdomain www.sd.example.org.\n{add}"));
    for (prerequisite, rcode) in [
        ("nxdomain www.sd.example.org.", "YXDOMAIN"),
        ("yxdomain none.sd.example.org.", "NXDOMAIN"),
        ("nxrrset www.sd.example.org. A", "YXRRSET"),
        ("yxrrset www.sd.example.org. AAAA", "NXRRSET"),
        ("yxrrset www.sd.example.org. A 192.0.2.2", "NXRRSET"),
        ("nxdomain mail.sd.example.org.", "YXDOMAIN"),
        ("nxdomain search.sd.example.org.", "YXDOMAIN"),
        ("nxrrset _search._tcp.sd.example.org. SRV", "YXRRSET"),
    ] {
        let answer = update(&server, &format!("prereq {prerequisite}\nupdate add x.sd.example.org. 30 A 192.0.2.9"));
        assert!(answer.contains(rcode), "{prerequisite}: {answer}");
        assert_eq!(status(&server, "x.sd.example.org", "A"), "NXDOMAIN", "{prerequisite}");
    }
    for prerequisite in [
        "yxdomain www.sd.example.org.",
        "yxrrset www.sd.example.org. A",
        "yxrrset www.sd.example.org. A 192.0.2.1",
        "yxrrset mail.sd.example.org. A 192.0.2.25",
        "yxrrset a1.search.sd.example.org. A 192.0.2.7",
        "yxrrset sd.example.org. SOA",
        "nxrrset www.sd.example.org. AAAA",
        "nxdomain none.sd.example.org.",
    ] {
        done(&server, &format!("prereq {prerequisite}"));
    }
}

#[test]
fn without_the_right_key_nothing_happens() {
    let server = setup().start();
    let add = "update add www.sd.example.org. 30 A 192.0.2.1";
    let why = |key| send("nsupdate", &server, key, add);
    assert!(why(None).contains("REFUSED"));
    assert!(why(Some(("elsewhere", SECRET))).contains("REFUSED"));
    assert!(why(Some(("ops", OTHER))).contains("BADSIG") || why(Some(("ops", OTHER))).contains("NOTAUTH"));
    assert!(why(Some(("nobody", SECRET))).contains("BADKEY") || why(Some(("nobody", SECRET))).contains("NOTAUTH"));
    assert_eq!(status(&server, "www.sd.example.org", "A"), "NXDOMAIN");
    server.await_log("key elsewhere. may not update zone sd.example.org.");
}

#[test]
fn zone_files_and_services_keep_their_names() {
    let server = with_file("mail A 192.0.2.25\nsub NS ns1.example.org.").start();
    register(&server, "search", "a1");
    let add = |name: &str, data: &str| format!("update add {name} 30 {data}");
    for (name, why) in [
        ("mail.sd.example.org.", "mail.sd.example.org. cannot be updated"),
        ("www.sub.sd.example.org.", "www.sub.sd.example.org. cannot be updated"),
        ("search.sd.example.org.", "it is a name of service search"),
        ("a1.search.sd.example.org.", "a1.search.sd.example.org. cannot be updated"),
        ("sd.example.org.", "is the apex of the zone"),
        ("*.sd.example.org.", "has a wildcard label"),
        ("x._dns-sd._udp.sd.example.org.", "lists the services of the zone"),
    ] {
        refused(&server, &add(name, "TXT x"), "REFUSED", why);
    }
    refused(&server, "update delete mail.sd.example.org. A", "REFUSED", "sd.example.org.zone:5");
    refused(&server, &add("www.sd.example.org.", "A 127.0.0.1"), "REFUSED", "policy.allow_addresses");
    refused(&server, &add("deep.sd.example.org.", "NS ns1.example.org."), "REFUSED", "they shape the zone");
    refused(&server, "update add www.sd.example.org. 999999999 A 192.0.2.1", "REFUSED", "a week");
    assert!(update(&server, &add("www.example.org.", "A 192.0.2.1")).contains("NOTZONE"));
    let both = format!("{}\n{}", add("www.sd.example.org.", "A 192.0.2.1"), add("mail.sd.example.org.", "A 192.0.2.1"));
    assert!(update(&server, &both).contains("REFUSED"), "all or nothing");
    assert_eq!(status(&server, "www.sd.example.org", "A"), "NXDOMAIN");
    done(&server, &add("_acme-challenge.search.sd.example.org.", "TXT x"));
    done(&server, &add("web.sd.example.org.", "A 192.0.2.1"));
    let (code, problem) = register(&server, "web", "a1");
    assert_eq!(code, 409, "{problem}");
    assert!(problem["type"].as_str().unwrap().ends_with("static-name"), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("an UPDATE"), "{problem}");
    done(&server, "update delete web.sd.example.org.");
    assert_eq!(register(&server, "web", "a1").0, 201);
}

#[test]
fn rfc2136_3_4_2_2_an_alias_and_other_records_do_not_meet() {
    let server = setup().start();
    done(&server, "update add www.sd.example.org. 30 CNAME a.example.org.");
    done(&server, "update add www.sd.example.org. 30 A 192.0.2.1");
    assert!(server.dig(&["www.sd.example.org", "CNAME"]).contains("a.example.org."), "the address is ignored");
    done(&server, "update add www.sd.example.org. 30 CNAME b.example.org.");
    assert_eq!(server.dig_short(&["www.sd.example.org", "CNAME"]), ["b.example.org."], "an alias is replaced");
    done(&server, "update add ftp.sd.example.org. 30 A 192.0.2.1");
    done(&server, "update add ftp.sd.example.org. 30 CNAME a.example.org.");
    assert_eq!(server.dig_short(&["ftp.sd.example.org", "A"]), ["192.0.2.1"], "the alias is ignored");
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_restarts() {
    let mut server = setup().start();
    for round in 0..5 {
        done(&server, &format!("update add n{round}.sd.example.org. 30 A 192.0.2.1"));
        server = server.kill().start();
        for before in 0..=round {
            assert_eq!(server.dig_short(&[&format!("n{before}.sd.example.org"), "A"]), ["192.0.2.1"]);
        }
    }
    let before = serial(&server);
    let server = server.restart();
    assert_eq!((serial(&server), server.dig_short(&["n4.sd.example.org", "A"]).len()), (before, 1));
    let (_, explained) = server.http_json("GET", "/v1/explain?name=n0.sd.example.org", None);
    assert!(explained["summary"].as_str().unwrap().contains("an UPDATE (revision"), "{explained}");
    let (_, changes) = server.http_json("GET", "/v1/changes?since=0", None);
    let found = changes["changes"].as_array().unwrap().iter().find(|change| change["transition"] == "records").unwrap();
    assert_eq!((&found["author"], &found["source"]), (&json!("key ops"), &json!("127.0.0.1")), "{found}");
    assert_eq!(found["after"]["records"]["records"], json!(["n0.sd.example.org. 30 IN A 192.0.2.1"]), "{found}");
}

/// What the store cannot keep is SERVFAIL with a reason in the log, and nothing of the message is to be seen, neither by
/// queries nor in the serial. What was there is answered all the while.
fn fails_whole(server: &Server, why: &str) {
    let before = (serial(server), server.readiness()["revision"].clone());
    let logged = server.log().matches("UPDATE not applied").count();
    let lines = "update add new.sd.example.org. 30 A 192.0.2.1\nupdate delete kept.sd.example.org.\n\
                 update add kept.sd.example.org. 30 A 192.0.2.2";
    for round in 1..=2 {
        let answer = update(server, lines);
        assert!(answer.contains("SERVFAIL"), "{answer}");
        eventually("it is logged", || server.log().matches("UPDATE not applied").count() == logged + round);
    }
    let log = server.log();
    let line = log.lines().rfind(|line| line.contains("UPDATE not applied")).unwrap();
    assert!(line.contains(why) && line.contains("ops"), "{line}");
    assert_eq!(server.dig_short(&["kept.sd.example.org", "A"]), ["192.0.2.1"]);
    assert_eq!(status(server, "new.sd.example.org", "A"), "NXDOMAIN");
    assert_eq!((serial(server), server.readiness()["revision"].clone()), before);
    let unmet = update(server, &format!("prereq nxdomain kept.sd.example.org.\n{lines}"));
    assert!(unmet.contains("YXDOMAIN"), "what needs no store is judged as ever: {unmet}");
}

/// The store takes writes again: an UPDATE is done, and is there after a restart; those that failed are not.
fn works_again(server: Server) {
    eventually("updates are done", || update(&server, "update add after.sd.example.org. 30 A 192.0.2.3").is_empty());
    let server = server.restart();
    assert_eq!(server.dig_short(&["after.sd.example.org", "A"]), ["192.0.2.3"]);
    assert_eq!(server.dig_short(&["kept.sd.example.org", "A"]), ["192.0.2.1"]);
    assert_eq!(status(&server, "new.sd.example.org", "A"), "NXDOMAIN");
}

#[test]
fn a_store_that_is_away_fails_an_update_and_keeps_nothing_of_it() {
    let server = setup().start();
    done(&server, "update add kept.sd.example.org. 30 A 192.0.2.1");
    let file = server.setup().data_path().join("registry.redb");
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    fails_whole(&server, "registry.redb");
    fs::rename(&aside, &file).unwrap();
    works_again(server);
}

#[test]
fn a_full_disk_fails_an_update_and_keeps_nothing_of_it() {
    if !own_mounts("a_full_disk_fails_an_update_and_keeps_nothing_of_it") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"], place.path());
    let server = setup().data_dir(&place.path().join("data")).start();
    done(&server, "update add kept.sd.example.org. 30 A 192.0.2.1");
    let text = format!("\"{}\"", "x".repeat(250));
    let taken = |n: usize| {
        fill(place.path());
        update(&server, &format!("update add filler{n}.sd.example.org. 30 TXT {}", [text.as_str(); 10].join(" ")))
            .is_empty()
    };
    assert!((0..2000).any(|n| !taken(n)), "the disk is never full");
    fails_whole(&server, "registry.redb");
    fs::remove_file(place.path().join("ballast")).unwrap();
    works_again(server);
}

#[test]
fn before_the_store_is_there_an_update_fails() {
    let setup = setup();
    let data = setup.file("data", "a file where the directory should be");
    let server = setup.data_dir(&data).start();
    let answer = update(&server, "update add www.sd.example.org. 30 A 192.0.2.1");
    assert!(answer.contains("SERVFAIL"), "{answer}");
    server.await_log("UPDATE not applied");
    fs::remove_file(&data).unwrap();
    let add = "update add www.sd.example.org. 30 A 192.0.2.1";
    eventually("it is ready without a restart", || update(&server, add).is_empty());
    assert_eq!(server.dig_short(&["www.sd.example.org", "A"]), ["192.0.2.1"]);
}

#[test]
fn a_zone_file_that_takes_a_name_wins_and_gives_it_back() {
    let server = with_file("").start();
    done(&server, "update add www.sd.example.org. 30 A 192.0.2.1");
    let reload = |serial: u32, records: &str, times: usize| {
        server.setup().file(&format!("zones/{ZONE}.zone"), &zone(serial, records));
        server.signal("HUP");
        eventually("the files are loaded again", || server.log().matches("zone files loaded again").count() >= times);
    };
    reload(2, "www A 192.0.2.80", 1);
    assert_eq!(server.dig_short(&["www.sd.example.org", "A"]), ["192.0.2.80"]);
    refused(&server, "update add www.sd.example.org. 30 A 192.0.2.2", "REFUSED", "sd.example.org.zone:5");
    reload(3, "", 2);
    assert_eq!(server.dig_short(&["www.sd.example.org", "A"]), ["192.0.2.1"]);
    reload(4, "www A 192.0.2.80", 3);
    done(&server, "update delete www.sd.example.org.");
    reload(5, "", 4);
    assert_eq!(status(&server, "www.sd.example.org", "A"), "NXDOMAIN", "it was deleted while it was hidden");
}

#[test]
fn updates_come_over_tcp_too_and_many_at_once() {
    let server = setup().start();
    let lines: Vec<String> =
        (0..300).map(|n| format!("update add t{n}.sd.example.org. 30 TXT {}", "x".repeat(60))).collect();
    assert_eq!(update(&server, &lines.join("\n")), "", "too long for UDP");
    assert_eq!(server.dig_short(&["t299.sd.example.org", "TXT"]).len(), 1);
    std::thread::scope(|scope| {
        for n in 0..20 {
            let server = &server;
            scope.spawn(move || done(server, &format!("update add p{n}.sd.example.org. 30 A 192.0.2.1")));
        }
    });
    assert!((0..20).all(|n| server.dig_short(&[&format!("p{n}.sd.example.org"), "A"]).len() == 1));
}

#[test]
fn of_many_who_want_a_name_one_gets_it() {
    let server = setup().start();
    for round in 0..4 {
        let name = format!("lock{round}.sd.example.org.");
        let taken = std::thread::scope(|scope| {
            let ask = |n: usize| {
                let (server, name) = (&server, &name);
                let lines = format!("prereq nxdomain {name}\nupdate add {name} 30 TXT holder{n}");
                scope.spawn(move || update(server, &lines).is_empty())
            };
            let asked: Vec<_> = (0..8).map(ask).collect();
            asked.into_iter().map(|one| one.join().unwrap()).filter(|taken| *taken).count()
        });
        assert_eq!(taken, 1);
        assert_eq!(server.dig_short(&[&name, "TXT"]).len(), 1);
    }
}
