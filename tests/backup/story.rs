//! A registry with everything in it, backed up while it changes, restored, and asked with dig.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Server, Setup, ZONE, eventually};
use crate::{done, names, rows, run, shown, text};

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn setup() -> Setup {
    let key = format!("[[tsig_key]]\nname = \"ops\"\nsecret = \"{SECRET}\"\nupdate = [\"{ZONE}.\"]\n");
    Setup::bare().config(&format!("[[zone]]\nname = \"{ZONE}\"\n{key}"))
}

/// An administrator's token.
fn admin(server: &Server) -> String {
    let body = json!({"name": "ops", "scope": {"admin": true}});
    let (status, created) = server.http_json("POST", "/v1/tokens", Some(body));
    assert_eq!(status, 201);
    created["secret"].as_str().unwrap().to_owned()
}

fn call(server: &Server, token: &str, method: &str, path: &str, body: Value) -> Value {
    let reply = server.call_as(token, method, path, Some(&body.to_string()));
    assert!(matches!(reply.status, 200 | 201), "{method} {path}: {}", reply.text());
    reply.json()
}

fn register(server: &Server, token: &str, service: &str, id: &str, lease: u32) -> u64 {
    let body = json!({"port": 8080, "addresses": ["192.0.2.7"], "lease_seconds": lease, "site": "lon"});
    let reply = call(server, token, "PUT", &format!("/v1/services/{service}/instances/{id}"), body);
    reply["incarnation"].as_u64().unwrap()
}

fn nsupdate(server: &Server, line: &str) {
    let mut command = Command::new("nsupdate");
    command.args(["-y", &format!("hmac-sha256:ops:{SECRET}")]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (ip, port) = (server.dns().ip(), server.dns().port());
    let script = format!("server {ip} {port}\nzone {ZONE}.\n{line}\nsend\n");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{line}");
}

/// Every kind of row, in every state that an instance can be in.
fn fill(server: &Server, token: &str) {
    for id in ["a1", "a2", "a3"] {
        register(server, token, "search", id, 3600);
    }
    call(server, token, "POST", "/v1/services/search/instances/a2/drain", json!({"reason": "kernel"}));
    call(server, token, "POST", "/v1/services/search/instances/a3/weight", json!({"weight": 7, "reason": "cold"}));
    let declared = json!({"owner": "squad-search", "ttl": 20, "dependencies": ["db"]});
    call(server, token, "PATCH", "/v1/services/search", declared);
    call(server, token, "PUT", "/v1/services/short", json!({"hold": 0}));
    let instance = json!({"service": "web", "id": "w1", "registration": {"port": 80, "addresses": ["192.0.2.9"]}});
    let set = json!({"epoch": "7c2f", "lease_seconds": 3600, "instances": [instance]});
    call(server, token, "PUT", "/v1/sessions/host-17", set);
    call(server, token, "POST", "/v1/tokens", json!({"name": "squad", "scope": {"services": ["search*"]}}));
    nsupdate(server, &format!("update add www.{ZONE} 60 A 192.0.2.80"));
    register(server, token, "short", "s1", 2);
    register(server, token, "lonely", "l1", 2);
    eventually("one lapses, and one is held", || {
        let (_, status) = server.http_json("GET", "/v1/status", None);
        status["instances"]["lapsed"] == 1 && status["instances"]["held"] == 1
    });
}

/// What dig says of the whole zone, sorted; `serials` keeps those of the SOA.
fn transferred(server: &Server, serials: bool) -> Vec<String> {
    let text = server.dig(&[ZONE, "AXFR", "+noall", "+answer"]);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut lines: Vec<String> = text
        .lines()
        .map(words)
        .filter(|w| w.len() > 3 && !w[0].starts_with(';'))
        .map(|mut words| {
            if words[3] == "SOA" && !serials {
                words[6] = "SERIAL".into();
            }
            words.join(" ")
        })
        .collect();
    lines.sort();
    assert!(lines.len() > 10, "{text}");
    lines
}

fn serial(server: &Server) -> u64 {
    server.dig_short(&[ZONE, "SOA"])[0].split(' ').nth(2).unwrap().parse().unwrap()
}

/// What HTTP says of services and instances, without ages.
fn listed(server: &Server) -> String {
    let mut listed = String::new();
    for service in ["search", "web", "short", "lonely"] {
        let (_, mut one) = server.http_json("GET", &format!("/v1/services/{service}"), None);
        one["last_change"] = Value::Null;
        let (_, all) = server.http_json("GET", &format!("/v1/services/{service}/instances"), None);
        listed += &one.to_string();
        for mut instance in all["instances"].as_array().unwrap().clone() {
            instance.as_object_mut().unwrap().retain(|key, _| !key.contains("age") && !key.contains("beat"));
            listed += &instance.to_string();
        }
    }
    listed
}

fn backed_up(server: &Server, token: &str, name: &str) -> std::path::PathBuf {
    let path = server.setup().file("backups/keep", "").with_file_name(name);
    let output = server.client(&["backup", shown(&path), "--token", token]);
    let said = text(output, 0);
    assert!(said.contains("revision"), "{said}");
    path
}

#[test]
fn what_is_restored_answers_as_it_did() {
    let server = setup().start();
    let token = admin(&server);
    fill(&server, &token);
    let backup = backed_up(&server, &token, "quiet");
    let (before, page, old) = (transferred(&server, true), listed(&server), serial(&server));
    let (_, status) = server.http_json("GET", "/v1/status", None);
    assert_eq!(status["backup"]["revision"], status["revision"], "the server knows of its backup");
    let checked = done(&["restore", shown(&backup), "--check"]);
    assert!(
        checked.contains("is whole: revision") && checked.contains("2 tokens, 1 zone, 1 updated name"),
        "{checked}"
    );

    let exact = server.setup().data_path().with_file_name("exact");
    done(&["restore", shown(&backup), "--data-dir", shown(&exact), "--ahead", "0"]);
    let again = backup.with_file_name("again");
    done(&["backup", shown(&again), "--data-dir", shown(&exact)]);
    assert_eq!(rows(&again), rows(&backup), "the store has exactly what the backup has");

    let ahead = server.setup().data_path().with_file_name("ahead");
    let said = done(&["restore", shown(&backup), "--to", &format!("embedded:{}", shown(&ahead))]);
    assert!(said.contains("start the server now"), "{said}");
    let setup = server.kill();
    let restored = setup.clone().data_dir(&exact).start();
    assert_eq!(transferred(&restored, true), before);
    assert_eq!(listed(&restored), page);
    assert_eq!(restored.dig_short(&[&format!("www.{ZONE}"), "A"]), ["192.0.2.80"]);
    assert_eq!(restored.call_as(&token, "GET", "/v1/tokens", None).status, 200, "tokens are there");
    drop(restored);

    let restored = setup.data_dir(&ahead).start();
    assert_eq!(transferred(&restored, false), {
        let mut lines = before.clone();
        lines.iter_mut().for_each(|line| *line = line.replace(&format!(" {old} "), " SERIAL "));
        lines.sort();
        lines
    });
    assert_eq!(serial(&restored), status["revision"].as_u64().unwrap() + 100_000_000);
    let (_, changes) = restored.http_json("GET", &format!("/v1/changes?since={}", status["revision"]), None);
    let first = &changes["changes"][0];
    assert_eq!((&first["transition"], &first["author"]), (&json!("restore"), &json!("operator")));
    let reason = first["reason"].as_str().unwrap();
    assert!(reason.contains(status["store"]["identity"].as_str().unwrap()), "{reason}");
}

#[test]
fn a_backup_of_a_server_that_changes_is_one_revision_of_it() {
    let server = setup().start();
    let token = admin(&server);
    let stop = AtomicBool::new(false);
    let backups: Vec<_> = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (server, token, stop) = (&server, &token, &stop);
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    register(server, token, "churn", &format!("c{thread}-{number}"), 3600);
                    number += 1;
                }
            });
        }
        eventually("something is registered", || server.http_json("GET", "/v1/status", None).1["sessions"] != 0);
        let backups = (0..5).map(|number| backed_up(&server, &token, &format!("b{number}"))).collect();
        stop.store(true, Ordering::Relaxed);
        backups
    });
    let mut counts = Vec::new();
    for backup in &backups {
        let rows = rows(backup);
        let of = |kind: &str| rows.iter().filter(|row| row.starts_with(kind)).count();
        let registered = rows.iter().filter(|row| row.contains("\"transition\":\"register\"")).count();
        assert_eq!(of("{\"instance\""), registered, "rows and history are of one revision");
        counts.push(registered);
        done(&["restore", shown(backup), "--check"]);
    }
    assert!(counts.is_sorted() && counts[0] < counts[4], "{counts:?}");
}

#[test]
fn only_administrators_take_backups() {
    let server = setup().start();
    let file = server.setup().file("backups/keep", "").with_file_name("backup");
    text(server.client(&["backup", shown(&file)]), 0); // local, while there is no token
    let token = admin(&server);
    let squad =
        call(&server, &token, "POST", "/v1/tokens", json!({"name": "squad", "scope": {"services": ["search"]}}));
    let other = file.with_file_name("other");
    let refused = text(server.client(&["backup", shown(&other)]), 3);
    assert!(refused.contains("unauthorized"), "{refused}");
    let refused = text(server.client(&["backup", shown(&other), "--token", squad["secret"].as_str().unwrap()]), 3);
    assert!(refused.contains("forbidden") && refused.contains("administrators"), "{refused}");
    let refused = text(server.client(&["backup", shown(&file), "--token", &token]), 1);
    assert!(refused.contains("is there already"), "{refused}");
    assert_eq!(names(file.parent().unwrap()), ["backup", "keep"], "nothing unfinished is left");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_move_to_another_store_keeps_incarnations_and_the_revision() {
    let server = setup().start();
    let token = admin(&server);
    let incarnation = register(&server, &token, "search", "a1", 3600);
    let (before, old) = (listed_search(&server), server.setup().data_path());
    let new = old.with_file_name("new");
    let (from, to) = (format!("embedded:{}", shown(&old)), format!("embedded:{}", shown(&new)));
    let busy = text(run(&["store", "migrate", "--from", &from, "--to", &to]), 1);
    assert!(busy.contains("in use by another process"), "{busy}");
    let setup = server.kill();
    let said = done(&["store", "migrate", "--from", &from, "--to", &to]);
    assert!(said.contains("start the servers on it now"), "{said}");
    assert_eq!((names(&old), names(&new)), (vec!["registry.redb".to_owned()], vec!["registry.redb".to_owned()]));
    let moved = setup.clone().data_dir(&new).start();
    assert_eq!(listed_search(&moved), before);
    let beat = json!({"incarnation": incarnation});
    call(&moved, &token, "POST", "/v1/services/search/instances/a1/heartbeat", beat);
    let again = text(run(&["store", "migrate", "--from", &from, "--to", &to]), 1);
    assert!(again.contains("in use"), "{again}");
    drop(moved);
    let again = text(run(&["store", "migrate", "--from", &from, "--to", &to]), 1);
    assert!(again.contains("has a store already: revision"), "{again}");
    let nowhere = format!("embedded:{}", shown(&old.with_file_name("nowhere")));
    let missing = text(run(&["store", "migrate", "--from", &nowhere, "--to", &to]), 1);
    assert!(missing.contains("has no store"), "{missing}");
    assert!(!old.with_file_name("nowhere").exists(), "it makes none either");
}

fn listed_search(server: &Server) -> (Value, Value, Value) {
    let (_, status) = server.http_json("GET", "/v1/status", None);
    let (_, service) = server.http_json("GET", "/v1/services/search", None);
    (status["revision"].clone(), status["zones"].clone(), service["revision"].clone())
}
