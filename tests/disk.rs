//! A real server on disks that fail: full, read-only, damaged, not a directory, taken by somebody else.
//!
//! Mounts are made in a mount namespace of the test's own; that needs root.

#![allow(clippy::disallowed_methods)] // real processes live in real time
#![allow(clippy::unwrap_used)] // a test helper may stop the test

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use serde_json::{Value, json};
use support::dns::rtype;
use support::faults::{ede, fill, mount, own_mounts, srv_in};
use support::{Reply, Server, Setup, ZONE, eventually};

const STALE: u16 = 3;
const NOT_READY: u16 = 14;

const STATIC_ZONE: &str = "$ORIGIN static.example.org.\n$TTL 60\n\
    @ SOA ns1 hostmaster 1 60 30 3600 5\n@ NS ns1\nns1 A 192.0.2.53\nwww A 192.0.2.80\n";

fn body(lease: u64) -> Value {
    json!({ "port": 8080, "addresses": ["192.0.2.7"], "lease_seconds": lease })
}

fn put(server: &Server, id: &str, lease: u64) -> Reply {
    server.call("PUT", &format!("/v1/services/search/instances/{id}"), Some(&body(lease).to_string()))
}

fn beat(server: &Server, id: &str) -> (u16, Value) {
    server.http_json("POST", &format!("/v1/services/search/instances/{id}/heartbeat"), None)
}

fn search(server: &Server) -> Message {
    server.ask(&format!("_search._tcp.{ZONE}."), rtype::SRV)
}

/// Whether the answer has exactly these instances, and whether it says that it may be stale.
fn assert_answered(server: &Server, ids: &[&str], stale: bool) {
    let answer = search(server);
    let expected = ids.iter().map(|id| format!("{id}.search.{ZONE}.:8080")).collect();
    assert_eq!(srv_in(&answer), expected, "{answer}");
    assert!(answer.metadata.authoritative, "{answer}");
    assert_eq!(ede(&answer).contains(&STALE), stale, "{answer}");
}

/// A problem that says that nothing was written and when to come back.
fn assert_refused(reply: &Reply, word: &str) {
    assert_eq!((reply.status, reply.word().as_str()), (503, word), "{}", reply.text());
    let seconds: u64 = reply.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=60).contains(&seconds));
}

fn lines_with(server: &Server, part: &str) -> usize {
    server.log().lines().filter(|line| line.contains(part)).count()
}

fn revision(server: &Server) -> u64 {
    server.readiness()["revision"].as_u64().expect("readiness tells the revision")
}

#[test]
fn a_full_disk_refuses_writes_and_answers_go_on() {
    if !own_mounts("a_full_disk_refuses_writes_and_answers_go_on") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=4m", "tmpfs"], place.path());
    let no_guard = "[guard]\nhold = \"0s\"\n"; // at the end everybody falls silent
    let server = Setup::new().config(no_guard).data_dir(&place.path().join("data")).start();
    assert_eq!(put(&server, "a1", 2).status, 201);
    assert_eq!(put(&server, "a2", 2).status, 201);
    let ballast = fill(place.path());

    let (accepted, refused) = write_until_refused(&server, place.path());
    assert_refused(&refused, "store-unavailable");
    let before = revision(&server);

    // For twice the lease: a1 beats, a2 is silent, and nothing lapses because the lapse could not be kept.
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert_refused(&put(&server, "a3", 2), "store-unavailable");
        assert_refused(&server.call("DELETE", "/v1/services/search/instances/a2", None), "store-unavailable");
        assert_eq!(beat(&server, "a1").0, 200, "beats need no disk");
        assert_eq!(put(&server, "a1", 2).status, 200, "a registration that is a beat needs no disk");
        assert_answered(&server, &["a1", "a2"], true);
        thread::sleep(Duration::from_millis(250));
    }
    let ready = server.readiness();
    assert_eq!((&ready["writable"], &ready["loaded"]), (&json!(false), &json!(true)), "{ready}");
    assert!(ready["trouble"].as_str().unwrap().contains("registry.redb"), "{ready}");
    assert_eq!(revision(&server), before, "nothing is half applied");
    assert_eq!(server.http_json("GET", &format!("/v1/services/filler{accepted}"), None).0, 404);
    let text = server.dig(&["+edns", &format!("_search._tcp.{ZONE}"), "SRV"]);
    assert!(text.contains("EDE: 3"), "{text}");
    assert_eq!(lines_with(&server, "takes no writes"), 1, "{}", server.log());

    fs::remove_file(ballast).unwrap();
    eventually("writes are taken again", || put(&server, "a3", 2).status == 201);
    assert_answered(&server, &["a1", "a2", "a3"], false);
    assert_eq!(lines_with(&server, "takes writes again"), 1, "{}", server.log());
    let back = Instant::now();
    eventually("a2, which is silent, lapses at last", || srv_in(&search(&server)).is_empty());
    assert!(back.elapsed() > Duration::from_millis(1500), "leases started full: {:?}", back.elapsed());

    let before = server.http_json("GET", "/v1/services?limit=1000", None).1;
    let server = server.restart();
    let after = server.http_json("GET", "/v1/services?limit=1000", None).1;
    let names = |list: &Value| -> Vec<String> {
        list["services"].as_array().unwrap().iter().map(|row| row["service"].to_string()).collect()
    };
    assert_eq!(names(&before), names(&after), "what was refused is not in the file either");
}

/// Writes until the store's file has no room inside either; says how many writes were taken, and how the last was not.
fn write_until_refused(server: &Server, disk: &Path) -> (usize, Reply) {
    for accepted in 0..2000 {
        let metadata: Value = (0..15).map(|n| (format!("key{n}"), json!("x".repeat(200)))).collect();
        let filler = json!({ "port": 1, "addresses": ["192.0.2.9"], "metadata": metadata, "lease_seconds": 600 });
        let path = format!("/v1/services/filler{accepted}/instances/f1");
        let reply = server.call("PUT", &path, Some(&filler.to_string()));
        fill(disk);
        if reply.status != 201 {
            return (accepted, reply);
        }
        assert_eq!(beat(server, "a1").0, 200);
        assert_eq!(beat(server, "a2").0, 200);
    }
    panic!("the disk is never full");
}

/// A data directory whose store has some registrations, of a server that was stopped cleanly.
fn used_store(setup: &Setup) -> PathBuf {
    let mut server = setup.clone().start();
    for number in 0..20 {
        assert_eq!(put(&server, &format!("a{number}"), 300).status, 201);
    }
    let files = || fs::read_dir(setup.data_path()).unwrap().count();
    assert_eq!(files(), 3, "the store and its journal");
    assert!(server.stop().success());
    assert_eq!(files(), 1, "a server that was stopped leaves the store alone");
    setup.data_path().join("registry.redb")
}

#[test]
fn a_damaged_store_is_no_empty_registry() {
    let damages: [Damage; 4] = [
        ("truncated", |file| truncate(file, 3)),
        ("noise", |file| fs::write(file, noise(100_000)).unwrap()),
        ("text", |file| fs::write(file, "this is not a store\n").unwrap()),
        ("empty", |file| fs::write(file, "").unwrap()),
    ];
    for (kind, damage) in damages {
        let setup = Setup::new().zone_file("static.example.org", STATIC_ZONE);
        let file = used_store(&setup);
        damage(&file);
        assert_damage_is_told(setup, &file, kind);
    }
}

/// What is done to a store file.
type Damage = (&'static str, fn(&Path));

fn truncate(file: &Path, divisor: u64) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(file.metadata().unwrap().len() / divisor).unwrap();
}

fn noise(len: usize) -> Vec<u8> {
    let mut state: u32 = 1;
    let step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// The server runs, says what is wrong, never says an authoritative no, and gets ready when the file is moved away.
fn assert_damage_is_told(setup: Setup, file: &Path, kind: &str) {
    let content = fs::read(file).unwrap();
    let server = setup.start();
    let path = file.display().to_string();
    let www = server.ask("www.static.example.org.", rtype::A);
    assert_eq!((www.metadata.response_code, www.answers.len()), (ResponseCode::NoError, 1), "{kind}: {www}");
    let answer = search(&server);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{kind}: {answer}");
    assert!(!answer.metadata.authoritative && ede(&answer) == [NOT_READY], "{kind}: {answer}");

    assert_eq!(server.http_json("GET", "/healthz", None).0, 200);
    let (status, ready) = server.http_json("GET", "/readyz", None);
    assert_eq!(status, 503, "{kind}");
    assert!(ready["reasons"][0].as_str().unwrap().contains(&path), "{kind}: {ready}");
    assert_refused(&put(&server, "b1", 300), "not-ready");
    assert_refused(&server.call("GET", "/v1/services", None), "not-ready");

    thread::sleep(Duration::from_millis(2500));
    let errors: Vec<String> = server.log().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    assert_eq!(errors.len(), 1, "{kind}: one clear error:\n{}", server.log());
    assert!(errors[0].contains(&path) && errors[0].contains("move the file away"), "{kind}: {}", errors[0]);
    assert_eq!(fs::read(file).unwrap(), content, "{kind}: the damaged file is left as it was");

    fs::rename(file, file.with_extension("damaged")).unwrap();
    eventually("it is ready without a restart", || server.http_json("GET", "/readyz", None).0 == 200);
    assert_eq!(put(&server, "b1", 300).status, 201, "{kind}");
    assert_answered(&server, &["b1"], false);
    server.await_log("again");
}

#[test]
fn a_read_only_disk_is_answered_from() {
    if !own_mounts("a_read_only_disk_is_answered_from") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=16m", "tmpfs"], place.path());
    let setup = Setup::new().data_dir(&place.path().join("data"));
    let first = setup.start();
    assert_eq!(put(&first, "a1", 2).status, 201);
    let setup = first.kill(); // so that there is something to repair
    mount(&["-o", "remount,ro"], place.path());

    let server = setup.start();
    assert_answered(&server, &["a1"], true);
    let ready = server.readiness();
    assert_eq!((&ready["loaded"], &ready["writable"]), (&json!(true), &json!(false)), "{ready}");
    assert!(ready["trouble"].as_str().unwrap().contains("registry.redb"), "{ready}");
    assert_refused(&put(&server, "a2", 2), "store-unavailable");
    assert_eq!(server.http_json("GET", "/v1/changes", None).0, 200, "history can be read");
    thread::sleep(Duration::from_secs(3));
    assert_answered(&server, &["a1"], true);
    assert_eq!(beat(&server, "a1").0, 200);
    assert!(server.call("GET", "/metrics", None).text().contains("zonebeat_store_writable 0"));
    assert_eq!(lines_with(&server, "takes no writes"), 1, "{}", server.log());

    mount(&["-o", "remount,rw"], place.path());
    eventually("writes are taken again", || put(&server, "a2", 2).status == 201);
    assert_answered(&server, &["a1", "a2"], false);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_told_and_tried_again() {
    let setup = Setup::new();
    let data = setup.file("data", "a file where the directory should be");
    let server = setup.data_dir(&data).start();
    let (status, ready) = server.http_json("GET", "/readyz", None);
    assert_eq!(status, 503);
    let reason = ready["reasons"][0].as_str().unwrap();
    assert!(reason.contains(&data.display().to_string()) && reason.contains("not a directory"), "{reason}");
    assert_eq!(search(&server).metadata.response_code, ResponseCode::ServFail);
    assert_refused(&put(&server, "a1", 300), "not-ready");
    fs::remove_file(&data).unwrap();
    eventually("it is ready without a restart", || server.http_json("GET", "/readyz", None).0 == 200);
    assert_eq!(put(&server, "a1", 300).status, 201);
}

#[test]
fn a_second_server_on_the_same_directory_ends_and_does_no_harm() {
    let first = Server::start();
    assert_eq!(put(&first, "a1", 300).status, 201);
    let mut second = Setup::new().data_dir(&first.setup().data_path()).spawn();
    let status = second.wait();
    assert_eq!(status.code(), Some(1), "{}", second.log());
    second.await_log("is in use by another process");
    assert_eq!(put(&first, "a2", 300).status, 201);
    assert_answered(&first, &["a1", "a2"], false);
    let first = first.restart();
    assert_answered(&first, &["a1", "a2"], false);
}

#[test]
fn a_disk_without_room_for_a_store_is_told_and_tried_again() {
    if !own_mounts("a_disk_without_room_for_a_store_is_told_and_tried_again") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], place.path());
    fill(place.path());
    let server = Setup::new().data_dir(&place.path().join("data")).start();
    assert_eq!(search(&server).metadata.response_code, ResponseCode::ServFail);
    assert_refused(&put(&server, "a1", 300), "not-ready");
    let reason = server.readiness()["reasons"][0].to_string();
    assert!(reason.contains("registry.redb") && reason.contains("No space left"), "{reason}");
    mount(&["-o", "remount,size=16m"], place.path());
    eventually("it is ready without a restart", || server.http_json("GET", "/readyz", None).0 == 200);
    assert_eq!(put(&server, "a1", 300).status, 201);
    assert_answered(&server, &["a1"], false);
}

#[test]
fn a_store_that_is_moved_away_takes_no_writes_that_would_be_lost() {
    let server = Server::start();
    assert_eq!(put(&server, "a1", 2).status, 201);
    let file = server.setup().data_path().join("registry.redb");
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        assert_refused(&put(&server, "a2", 300), "store-unavailable");
        assert_eq!(beat(&server, "a1").0, 200);
        assert_answered(&server, &["a1"], true);
        thread::sleep(Duration::from_millis(200));
    }
    assert!(!file.exists(), "no empty store takes its place");
    fs::rename(&aside, &file).unwrap();
    eventually("writes are taken again", || put(&server, "a2", 300).status == 201);
    assert_answered(&server, &["a1", "a2"], false);
    let server = server.restart();
    assert_answered(&server, &["a1", "a2"], false);
}

/// Nothing in an older copy says that it is one; those who were told a later incarnation can tell.
#[test]
fn an_older_copy_of_the_store_is_noticed_by_what_clients_know() {
    let server = Server::start();
    assert_eq!(put(&server, "a1", 300).status, 201);
    assert_eq!(server.metric(WENT_BACK), "0");
    let data = server.setup().data_path();
    let copy = tempfile::tempdir().unwrap();
    let setup = server.kill();
    copy_files(&data, copy.path());
    let server = setup.start();
    for _ in 0..3 {
        assert_eq!(put(&server, "a2", 300).status / 100, 2);
        assert_eq!(server.call("DELETE", "/v1/services/search/instances/a2", None).status, 200);
    }
    let incarnation = put(&server, "a2", 300).json()["incarnation"].as_u64().unwrap();
    let heartbeat = |server: &Server, id: &str, incarnation: u64| {
        let path = format!("/v1/services/search/instances/{id}/heartbeat");
        server.http_json("POST", &path, Some(json!({ "incarnation": incarnation }))).0
    };
    assert_eq!(heartbeat(&server, "a2", incarnation), 200);
    assert_eq!(heartbeat(&server, "a2", incarnation - 1), 409);
    assert_eq!(server.metric(WENT_BACK), "0", "what is merely old is no sign of it");
    let setup = server.kill();
    copy_files(copy.path(), &data);
    let server = setup.start();
    assert_eq!(server.metric(WENT_BACK), "0", "nothing is known yet");
    assert_eq!(heartbeat(&server, "a2", incarnation), 404, "the copy does not know it");
    assert_eq!(heartbeat(&server, "a2", incarnation), 404);
    let body = json!({ "port": 8080, "addresses": ["192.0.2.7"], "incarnation": incarnation });
    let reply = server.call("PUT", "/v1/services/search/instances/a2", Some(&body.to_string()));
    assert_eq!((reply.status, reply.word().as_str()), (409, "old-incarnation"));
    assert_eq!(server.metric(WENT_BACK), "3");
    assert_eq!(lines_with(&server, "an older copy of the store may be in its place"), 1, "it is said once");
}

const WENT_BACK: &str = "zonebeat_store_went_back_total";

/// Makes a directory's files those of another.
fn copy_files(from: &Path, to: &Path) {
    let files =
        |place: &Path| fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files(to).for_each(|file| fs::remove_file(file).unwrap());
    for file in files(from) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
