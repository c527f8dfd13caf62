//! What applications use to register themselves: the library with its example, and the programs of docs/clients.md,
//! each against a real server.

#![allow(clippy::disallowed_methods)] // real processes live in real time

mod support;

#[path = "../examples/register.rs"]
mod example;

use std::process::{Child, Command, Stdio};

use serde_json::json;
use support::{PATIENCE, Server, Setup, ZONE, eventually, signal};
use zonebeat::client::{Instance, Lost};

const PAGE: &str = include_str!("../docs/clients.md");

/// The only program of the page in a language.
fn snippet(language: &str) -> &'static str {
    let begin = format!("```{language}\n");
    let (_, rest) = PAGE.split_once(&begin).unwrap_or_else(|| panic!("docs/clients.md has no {language}"));
    assert!(!rest.contains(&begin), "docs/clients.md has two programs in {language}");
    rest.split_once("```").expect("it ends").0
}

/// Targets of the SRV records of a service.
fn targets(server: &Server, service: &str) -> Vec<String> {
    let records = server.dig_short(&[&format!("_{service}._tcp.{ZONE}"), "SRV"]);
    records.iter().filter_map(|record| record.split(' ').nth(3).map(str::to_owned)).collect()
}

/// A program of the page that runs.
struct Program(Child);

impl Program {
    fn start(mut command: Command, server: &Server, token: &str) -> Self {
        // Nothing listens at the first one: the programs go on to the next.
        let servers = format!("http://127.0.0.1:9,{}", server.url());
        command.env("ZONEBEAT_SERVER", servers).env("ZONEBEAT_TOKEN", token).stdin(Stdio::null());
        Self(command.spawn().expect("the program starts"))
    }

    fn stop(mut self) {
        signal(self.0.id(), "TERM");
        let mut ended = None;
        eventually("the program ends", || {
            ended = self.0.try_wait().expect("it can be waited for");
            ended.is_some()
        });
        assert!(ended.expect("it has ended").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn token(server: &Server) -> String {
    let created = server.client(&["token", "create", "squad-demo"]);
    String::from_utf8(created.stdout).expect("text").trim().to_owned()
}

/// Registers, stays for longer than its lease, registers again when it was taken out, and leaves when told to.
fn lives_and_leaves(server: &Server, program: Program, id: &str) {
    let target = format!("{id}.demo.{ZONE}.");
    eventually("it is registered", || targets(server, "demo") == [target.clone()]);
    std::thread::sleep(std::time::Duration::from_secs(4));
    let shown = server.http_json("GET", &format!("/v1/services/demo/instances/{id}"), None).1;
    assert_eq!((&shown["state"], &shown["port"]), (&json!("serving"), &json!(8080)), "{shown}");
    program.stop();
    assert!(targets(server, "demo").is_empty(), "it left");
}

#[test]
fn the_curl_script_registers_and_leaves() {
    let server = Server::start();
    let path = server.setup().file("register.sh", snippet("sh"));
    let mut command = Command::new("sh");
    command.arg(path).args(["c1", "8080"]).env("ZONEBEAT_SERVER", server.url());
    let program = Program(command.stdin(Stdio::null()).spawn().expect("sh is there"));
    lives_and_leaves(&server, program, "c1");
    let declared = server.http_json("GET", "/v1/services/demo", None).1;
    assert_eq!(declared["declaration"], json!({"owner": "squad-demo", "tier": 3}));
}

#[test]
fn the_python_program_registers_and_leaves() {
    let server = Server::start();
    let token = token(&server);
    let path = server.setup().file("register.py", snippet("python"));
    let mut command = Command::new("python3");
    command.arg(path).args(["p1", "8080"]);
    let program = Program::start(command, &server, &token);
    lives_and_leaves(&server, program, "p1");
}

#[test]
fn the_go_program_registers_and_leaves() {
    let server = Server::start();
    let token = token(&server);
    let path = server.setup().file("register.go", snippet("go"));
    let folder = path.parent().expect("the file has a folder");
    let binary = folder.join("register");
    let mut build = Command::new("go");
    build.arg("build").arg("-o").arg(&binary).arg(&path).env("GOCACHE", folder.join("cache"));
    build.env("GO111MODULE", "off").env("CGO_ENABLED", "0").env("GOFLAGS", "");
    let built = build.output().expect("go is installed (scripts/packages.sh test)");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut command = Command::new(binary);
    command.args(["g1", "8080"]);
    let program = Program::start(command, &server, &token);
    lives_and_leaves(&server, program, "g1");
}

#[test]
fn the_rust_lines_of_the_page_are_those_of_the_library() {
    let lines = snippet("rust");
    for part in ["zonebeat::client::Instance::new(\"demo\", \"a1\", 8080)", ".start()?", ".leave().await?"] {
        assert!(lines.contains(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_is_found_while_it_runs_and_no_longer() {
    let server = Setup::new().config("[policy]\nallow_addresses = [\"127.0.0.0/8\"]\n").start();
    let stop = tokio_util::sync::CancellationToken::new();
    let (url, stopped) = (server.url(), stop.clone());
    let task = tokio::spawn(async move {
        example::serve(&url, stopped.cancelled_owned()).await.map_err(|error| error.to_string())
    });
    eventually("it is registered", || targets(&server, "echo") == [format!("e1.echo.{ZONE}.")]);
    assert_eq!(server.dig_short(&[&format!("e1.echo.{ZONE}"), "A"]), ["127.0.0.1"]);
    stop.cancel();
    tokio::time::timeout(PATIENCE, task).await.expect("in time").expect("no panic").expect("it left");
    assert!(targets(&server, "echo").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_says_what_is_wrong() {
    let server = Server::start();
    let start = |id: &str, port: u16| {
        let address = "192.0.2.7".parse().expect("address");
        Instance::new("search", id, port).server("http://127.0.0.1:9").server(server.url()).address(address).start()
    };
    let beating = start("a1", 8080).expect("it starts");
    let registered = beating.registered().await.expect("registered");
    assert_eq!((registered.service.as_str(), registered.id.as_str()), ("search", "a1"));
    let refused = start("not a label", 8080).expect("it starts").registered().await.expect_err("refused");
    assert!(matches!(&refused, Lost::Refused { word, .. } if word == "bad-label"), "{refused}");
    let again = start("a1", 8081).expect("it starts");
    again.registered().await.expect("takes the id over");
    let lost = tokio::time::timeout(PATIENCE, beating.lost()).await.expect("its next beat says so");
    assert_eq!(lost, Lost::TakenOver);
    again.leave().await.expect("it left");
    assert!(targets(&server, "search").is_empty());
    drop(start("a2", 8080).expect("it starts"));
}
