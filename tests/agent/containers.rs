//! Containers, registered by their labels: Podman's real service, an image of this binary, a server that dig asks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::podman::{Podman, health, serve};
use super::support::{PATIENCE, Server, Setup, Staying, eventually, pass, signal};
use super::world::{Home, SRV, answered, free_port, transitions};

/// Labels of an instance of `search`.
fn labels(id: &str) -> Value {
    json!({"zonebeat.service": "search", "zonebeat.id": id, "zonebeat.port": "8080", "zonebeat.addresses": "192.0.2.7",
        "zonebeat.metadata.version": "2.4.1"})
}

fn agent(home: &Home, server: &Server, podman: &Podman) -> Staying {
    home.agent(&[&server.url()], &["--docker", &podman.socket()])
}

/// The reasons of the last change of an instance in history.
fn last_reason(server: &Server, id: &str) -> String {
    let (_, changes) = server.http_json("GET", "/v1/changes?limit=1000", None);
    let changes = changes["changes"].as_array().cloned().unwrap_or_default();
    let last = changes.into_iter().rfind(|change| change["instance"] == id).unwrap_or_default();
    last["reason"].as_str().unwrap_or_default().to_owned()
}

/// Waits until history says why an instance has left.
fn await_reason(server: &Server, id: &str, reason: &str) {
    let mut last = String::new();
    let deadline = Instant::now() + PATIENCE;
    while last != reason {
        assert!(Instant::now() < deadline, "{last:?} is not {reason:?}");
        pass(Duration::from_millis(20));
        last = last_reason(server, id);
    }
}

fn await_answered(server: &Server, count: usize) {
    eventually(&format!("{count} are answered"), || answered(server) == count);
}

#[test]
fn containers_come_and_go_with_their_instances() {
    let (server, home, podman) = (Server::start(), Home::new(), Podman::start());
    home.write("a.toml", "service = \"search\"\nid = \"a1\"\nport = 80\naddresses = [\"192.0.2.8\"]\n");
    let _agent = agent(&home, &server, &podman);
    home.await_in_sync();
    assert_eq!(answered(&server), 1);

    // The container is a server as well, and is checked over HTTP.
    let (port, mut checked) = (free_port(), labels("w1"));
    checked["zonebeat.port"] = port.to_string().into();
    checked["zonebeat.check"] = "http:/healthz".into();
    checked["zonebeat.check.interval"] = "100ms".into();
    podman.run("web", &checked, &json!({"Cmd": serve(port)}));
    await_answered(&server, 2);
    let instance = home.instance("w1");
    assert_eq!((&instance["file"], &instance["checks"][0]["state"]), (&"container web".into(), &"passing".into()));
    let txt = server.dig_short(&["w1._search._tcp.sd.example.org", "TXT"]);
    assert_eq!(txt, ["\"version=2.4.1\""]);

    podman.act("web", "pause");
    await_answered(&server, 1);
    assert_eq!(home.instance("w1")["reason"], "container web is paused");
    podman.act("web", "unpause");
    await_answered(&server, 2);

    podman.act("web", "stop?t=2");
    await_answered(&server, 1);
    await_reason(&server, "w1", "container web has ended with exit code 0");
    podman.act("web", "start");
    await_answered(&server, 2);

    // A crash: gone within 2 s, and with the reason.
    let (pid, began) = (podman.pid("web"), Instant::now());
    signal(pid, "KILL");
    await_answered(&server, 1);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    await_reason(&server, "w1", "container web has ended with exit code 137");

    podman.act("web", "start");
    await_answered(&server, 2);
    podman.act("web", "kill");
    await_answered(&server, 1);
    await_reason(&server, "w1", "container web has ended after a signal with exit code 137");
    podman.remove("web");
    home.await_in_sync();
    assert_eq!(home.status()["instances"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_health_check_of_a_container_decides() {
    let (server, home, podman) = (Server::start(), Home::new(), Podman::start());
    let mut agent = agent(&home, &server, &podman);
    podman.run("web", &labels("w1"), &health());
    home.await_state("w1", "out");
    assert_eq!(home.instance("w1")["reason"], "container web is starting: its health check has not passed yet");
    assert_eq!(answered(&server), 0);

    podman.check_health("web", true);
    await_answered(&server, 1);
    podman.check_health("web", false);
    await_answered(&server, 0);
    // It keeps its lease and its record, and the reason is what its health check has printed.
    let (status, instance) = server.http_json("GET", "/v1/services/search/instances/w1", None);
    assert_eq!(status, 200);
    assert!(instance.to_string().contains("container web is unhealthy: "), "{instance}");
    let reason = home.instance("w1")["reason"].to_string();
    assert!(reason.contains("container web is unhealthy: "), "{reason}");
    podman.check_health("web", true);
    await_answered(&server, 1);

    // The agent stops as it does with files: out, then deregistered.
    agent.signal("TERM");
    agent.signal("TERM");
    assert!(agent.wait().success());
    assert_eq!(server.call("GET", "/v1/services/search/instances/w1", None).status, 404);
}

#[test]
fn labels_that_are_wrong_leave_one_container_out() {
    let (server, home, podman) = (Server::start(), Home::new(), Podman::start());
    podman.run("good", &labels("g1"), &Value::Null);
    let mut wrong = labels("b1");
    wrong["zonebeat.prot"] = "tcp".into();
    podman.run("bad", &wrong, &Value::Null);
    podman.run("twin", &labels("g1"), &Value::Null);
    podman.run("other", &json!({"com.example.role": "none of ours"}), &Value::Null);
    let agent = agent(&home, &server, &podman);
    await_answered(&server, 1);
    agent.await_log("unknown key \\\"prot\\\"; did you mean \\\"proto\\\"?");
    let findings = || home.status()["findings"].as_array().cloned().unwrap_or_default();
    eventually("the status says so", || findings().len() == 2);
    let text = Value::from(findings()).to_string();
    assert!(text.contains("container bad: error: label") && text.contains("search/g1 stands in container"), "{text}");
    home.await_in_sync();

    podman.remove("bad");
    podman.remove("twin");
    eventually("nothing is wrong any more", || findings().is_empty());
    assert_eq!(answered(&server), 1);
    assert_eq!(transitions(&server), ["register g1"]);
}

#[test]
fn while_the_engine_is_away_everything_stays_and_then_is_right() {
    let (server, home, mut podman) = (Server::start(), Home::new(), Podman::start());
    podman.run("one", &labels("c1"), &Value::Null);
    podman.run("two", &labels("c2"), &Value::Null);
    podman.create("three", &labels("c3"), &Value::Null);
    let agent = agent(&home, &server, &podman);
    await_answered(&server, 2);
    let pid = podman.pid("two");

    podman.end_service();
    agent.await_log("what is known stays");
    signal(pid, "KILL");
    let status = home.status();
    assert_eq!(status["in_sync"], false);
    assert!(status["engines"][0]["trouble"].is_string(), "{status}");
    pass(Duration::from_millis(500));
    assert_eq!(answered(&server), 2);

    podman.serve();
    await_answered(&server, 1);
    await_reason(&server, "c2", "container two has ended with exit code 137");
    podman.act("three", "start");
    await_answered(&server, 2);
    home.await_in_sync();
    let seen = transitions(&server);
    assert_eq!(seen.iter().filter(|text| text.ends_with(" c1")).count(), 1, "{seen:?}");
}

#[test]
fn an_agent_that_starts_again_takes_nothing_out() {
    let server = Setup::new().config("[policy]\nallow_addresses = [\"127.0.0.0/8\"]\n").start();
    let (home, mut podman) = (Home::new(), Podman::start());
    podman.run("web", &labels("w1"), &Value::Null);
    let own =
        json!({"zonebeat.service": "search", "zonebeat.id": "w2", "zonebeat.port": "8081", "zonebeat.check": "ttl"});
    podman.run("self", &own, &Value::Null);
    let first = agent(&home, &server, &podman);
    eventually("it is known", || home.instance("w2")["state"] == "waiting");
    home.report("w2", "pass", "");
    await_answered(&server, 2);
    // Without addresses it has the one that the server sees.
    assert_eq!(server.dig_short(&["w2.search.sd.example.org", "A"]), ["127.0.0.1"]);
    eventually("it is kept", || std::fs::read_to_string(home.path("sock.state")).is_ok_and(|text| text.contains("w2")));
    drop(first); // killed

    let second = agent(&home, &server, &podman);
    eventually("it is in sync", || {
        assert_eq!(answered(&server), 2, "nothing leaves meanwhile");
        home.status()["in_sync"] == true
    });
    drop(second);

    // Also while the engine is away, and longer than the lease of 2 s.
    podman.end_service();
    let _third = agent(&home, &server, &podman);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(answered(&server), 2, "nothing leaves meanwhile");
        pass(Duration::from_millis(50));
    }
    podman.serve();
    home.await_in_sync();
    assert_eq!(transitions(&server), ["register w1", "register w2"], "nothing has left or come back");
    podman.remove("self");
    await_answered(&server, 1);
}

#[test]
fn ports_and_addresses_are_those_that_the_engine_tells() {
    let server = Setup::new().config("[policy]\nallow_addresses = [\"127.0.0.0/8\"]\n").start();
    let (home, podman) = (Home::new(), Podman::start_apart());
    let published = |port: &str| json!({"ExposedPorts": {"8080/tcp": {}}, "HostConfig": {"PortBindings": {"8080/tcp": [{"HostPort": port}]}}});
    let named = |id: &str| json!({"zonebeat.service": "search", "zonebeat.id": id});
    podman.run("published", &named("p1"), &published("18080"));
    let mut own = named("o1");
    own["zonebeat.addresses"] = "container".into();
    podman.run("own", &own, &json!({"ExposedPorts": {"8081/tcp": {}}}));
    // One that shares the network of another has its ports, too.
    let beside = json!({"HostConfig": {"NetworkMode": "container:published"}});
    podman.run("beside", &named("b1"), &beside);
    podman.run("hidden", &named("h1"), &json!({"ExposedPorts": {"8080/tcp": {}}}));
    let agent = agent(&home, &server, &podman);
    agent.await_log("port 8080 is not published; publish it");
    await_answered(&server, 3);
    let mut answers = server.dig_short(&[SRV, "SRV"]);
    answers.sort();
    let target = |port, id| format!("10 100 {port} {id}.search.sd.example.org.");
    assert_eq!(answers, [target(18080, "b1"), target(18080, "p1"), target(8081, "o1")]);
    assert_eq!(
        server.dig_short(&["p1.search.sd.example.org", "A"]),
        ["127.0.0.1"],
        "the host's, as the server sees it"
    );
    assert_eq!(server.dig_short(&["o1.search.sd.example.org", "A"]), [podman.address("own")]);
}

#[test]
fn without_a_folder_and_an_engine_the_agent_waits_for_both() {
    let (server, home) = (Server::start(), Home::new());
    let path = |name| home.path(name).display().to_string();
    let (folder, socket, missing) = (path("later"), path("sock"), path("engine.sock"));
    let args = ["agent", "--services-dir", &folder, "--socket", &socket, "--session", "host-17", "--docker", &missing];
    let agent = Staying::start(&[&server.url()], &args);
    agent.await_log("what is known stays");
    let status = home.status();
    assert_eq!((status["in_sync"].clone(), status["findings"].clone()), (Value::from(false), json!([])), "{status}");
    assert!(status["differs"].to_string().contains("are not known yet"), "{status}");
}
