//! `zonebeat run`: a command and its registration.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{Server, Staying, eventually, pass, signal, zonebeat};
use super::world::{Home, Web, answered, free_port};

const ARGS: [&str; 7] = ["run", "--service", "search", "--id", "a1", "--address", "192.0.2.7"];

fn run(servers: &[&str], port: u16, more: &[&str], command: &[&str]) -> Staying {
    let port = port.to_string();
    let own = ["--port", &port, "--timeout=500ms", "--fall=2"];
    let is_given = |flag: &&&str| more.iter().any(|given| given.split('=').next() == flag.split('=').next());
    let usual = ["--lease=2s", "--drain=1s", "--interval=100ms"];
    let usual: Vec<&str> = usual.iter().filter(|flag| !is_given(flag)).copied().collect();
    Staying::start(servers, &[&ARGS[..], &own, &usual, more, &["--"], command].concat())
}

fn is_registered(server: &Server) -> bool {
    server.call("GET", "/v1/services/search/instances/a1", None).status == 200
}

#[test]
fn it_is_registered_when_the_check_passes_and_ends_with_the_code_of_the_command() {
    let (server, web) = (Server::start(), Web::start());
    web.answer_with(503);
    let mut running = run(&[&server.url()], web.port, &["--check", "http:/health"], &["sh", "-c", "read x; exit 7"]);
    // Standard input is empty: the command ends at once, before anything was registered.
    assert_eq!(running.wait().code(), Some(7));
    assert!(!is_registered(&server));

    let mut running = run(&[&server.url()], web.port, &["--check", "http:/health"], &["sleep", "1000"]);
    pass(Duration::from_millis(500));
    assert_eq!(answered(&server), 0, "the check does not pass yet");
    web.answer_with(200);
    eventually("it is answered", || answered(&server) == 1);
    web.answer_with(500);
    eventually("a failing check takes it out", || answered(&server) == 0);
    web.answer_with(200);
    eventually("and a passing one back", || answered(&server) == 1);
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(128 + 15));
    assert!(!is_registered(&server));
}

#[test]
fn a_command_that_needs_a_moment_is_not_asked_at_its_interval() {
    let (server, home) = (Server::start(), Home::new());
    let ready = home.path("ready");
    let check = format!("exec:test -e {}", ready.display());
    let command = format!("sleep 0.4; touch {}; exec sleep 1000", ready.display());
    let mut running = run(&[&server.url()], 80, &["--interval=1h", "--check", &check], &["sh", "-c", &command]);
    eventually("it is answered", || answered(&server) == 1);
    running.signal("INT");
    running.signal("INT");
    assert_eq!(running.wait().code(), Some(128 + 2));
}

#[test]
fn it_waits_for_the_longest_ttl_that_was_given_out() {
    let (server, home) = (Server::start(), Home::new());
    assert_eq!(server.http_json("PUT", "/v1/services/search", Some(json!({ "ttl": 2 }))).0, 200);
    let mut running = run(&[&server.url()], 80, &["--drain=1h"], &["sh", "-c", &careful(&home)]);
    number(&home.path("number"));
    eventually("it is answered", || answered(&server) == 1);
    running.signal("TERM");
    running.await_log("out of the answers; caches forget it within 3 s");
    let began = Instant::now();
    assert_eq!(running.wait().code(), Some(3));
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

/// A command that writes into a file when it gets SIGTERM, and ends with 3; its number stands in another file.
fn careful(home: &Home) -> String {
    let (told, number) = (home.path("told"), home.path("number"));
    let (told, number) = (told.display(), number.display());
    format!("trap 'date +%s.%N > {told}; exit 3' TERM; echo $$ > {number}; while :; do sleep 0.05; done")
}

fn number(file: &Path) -> u32 {
    eventually("the command has started", || std::fs::read_to_string(file).is_ok_and(|text| text.ends_with('\n')));
    std::fs::read_to_string(file).expect("a file").trim().parse().expect("a number")
}

#[test]
fn sigterm_takes_it_out_first_and_stops_it_when_caches_have_forgotten_it() {
    let (server, home) = (Server::start(), Home::new());
    let mut running = run(&[&server.url()], 80, &[], &["sh", "-c", &careful(&home)]);
    number(&home.path("number"));
    eventually("it is answered", || answered(&server) == 1);
    let began = Instant::now();
    running.signal("TERM");
    eventually("it is out of the answers", || answered(&server) == 0);
    assert!(!home.path("told").exists(), "the command works on while caches send it clients");
    assert_eq!(running.wait().code(), Some(3));
    assert!(began.elapsed() >= Duration::from_millis(900), "it waits for --drain: {:?}", began.elapsed());
    assert!(home.path("told").exists());
    assert!(!is_registered(&server));
}

#[test]
fn a_command_that_is_killed_is_deregistered_at_once() {
    let (server, home) = (Server::start(), Home::new());
    // A dead process is no instance, whatever the service's min says.
    assert_eq!(server.http_json("PUT", "/v1/services/search", Some(json!({ "min": 1 }))).0, 200);
    let mut running = run(&[&server.url()], 80, &["--lease=1h"], &["sh", "-c", &careful(&home)]);
    let pid = number(&home.path("number"));
    eventually("it is answered", || answered(&server) == 1);
    let began = Instant::now();
    signal(pid, "KILL");
    eventually("it is gone", || answered(&server) == 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(running.wait().code(), Some(128 + 9));
    assert!(!is_registered(&server));
}

#[test]
fn without_a_server_the_command_runs_on() {
    let home = Home::new();
    let dead = format!("http://127.0.0.1:{}", free_port());
    let mut running = run(&[&dead], 80, &[], &["sh", "-c", &careful(&home)]);
    let pid = number(&home.path("number"));
    running.await_log("no server answered");
    pass(Duration::from_millis(300));
    signal(pid, "0");
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(3));
}

#[test]
fn signals_are_passed_on_and_a_second_sigterm_does_not_wait() {
    let (server, home) = (Server::start(), Home::new());
    let (usr, number_file) = (home.path("usr"), home.path("number"));
    let (usr_text, number_text) = (usr.display(), number_file.display());
    let script = format!("trap 'touch {usr_text}' USR1; echo $$ > {number_text}; while :; do sleep 0.05; done");
    let mut running = run(&[&server.url()], 80, &["--drain=1h"], &["sh", "-c", &script]);
    number(&number_file);
    eventually("it is answered", || answered(&server) == 1);
    running.signal("USR1");
    eventually("the command has got it", || usr.exists());
    running.signal("TERM");
    running.await_log("out of the answers");
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(128 + 15));
}

#[test]
fn neither_the_command_nor_its_checks_get_our_token() {
    let home = Home::new();
    let (own, check) = (home.path("own"), home.path("check"));
    let probe = format!("exec:env > {}", check.display());
    let command = format!("env > {}; while ! test -s {}; do sleep 0.05; done", own.display(), check.display());
    let mut zonebeat = zonebeat();
    zonebeat.env("ZONEBEAT_TOKEN", "zb_secret").env("OTHER", "stays");
    let args = ["--port=80", "--interval=100ms", "--check", &probe, "--", "sh", "-c", &command];
    let mut running = Staying::start_by(zonebeat, &["http://127.0.0.1:1"], &[&ARGS[..], &args].concat());
    assert_eq!(running.wait().code(), Some(0));
    for file in [own, check] {
        let text = std::fs::read_to_string(&file).expect("a file");
        assert!(!text.contains("ZONEBEAT_TOKEN") && !text.contains("zb_secret"), "{text}");
        assert!(text.contains("ZONEBEAT_SERVER=") && text.contains("OTHER=stays"), "{text}");
    }
}

#[test]
fn what_happens_is_text_for_people_or_json() {
    for (more, is_json) in [(&[][..], false), (&["--json"], true)] {
        for command in ["true", "/nowhere/search"] {
            let mut running = run(&["http://127.0.0.1:1"], 80, more, &[command]);
            assert_eq!(running.wait().code(), Some(if command == "true" { 0 } else { 127 }));
            let line = running.await_log(if command == "true" { "the command has ended" } else { "cannot start" });
            assert_eq!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), is_json, "{line}");
        }
    }
}

#[test]
fn a_command_that_is_not_there_is_said_so() {
    let mut running = run(&["http://127.0.0.1:1"], 80, &[], &["/nowhere/search"]);
    assert_eq!(running.wait().code(), Some(127));
    running.await_log("cannot start /nowhere/search");
    let mut denied = run(&["http://127.0.0.1:1"], 80, &[], &["/"]);
    assert_eq!(denied.wait().code(), Some(126));
    let mut wrong = run(&["http://127.0.0.1:1"], 80, &["--check", "htp:/x"], &["true"]);
    assert_eq!(wrong.wait().code(), Some(2));
}
