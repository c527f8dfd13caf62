//! The folder of services, followed while everything runs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::support::{Server, Staying, eventually, pass};
use super::world::{Home, SRV, Web, answered, quick, service, transitions, transitions_of};

#[test]
fn files_come_change_and_go_without_a_flap() {
    let (server, home, web) = (Server::start(), Home::new(), Web::start());
    home.write("a.toml", &service(web.port, &quick("http:/", "")));
    let _agent = home.agent(&[&server.url()], &[]);
    home.await_in_sync();
    assert_eq!(answered(&server), 1);

    home.write("b.toml", "service = \"search\"\nid = \"b1\"\nport = 81\naddresses = [\"192.0.2.8\"]\n");
    eventually("the new file is answered", || answered(&server) == 2);
    home.write("b.toml", "service = \"search\"\nid = \"b1\"\nport = 82\naddresses = [\"192.0.2.8\"]\n");
    eventually("the change is answered", || {
        server.dig_short(&[SRV, "SRV"]).contains(&"10 100 82 b1.search.sd.example.org.".to_owned())
    });
    // Another check of the same instance: what is published stays until it has a verdict.
    home.write("a.toml", &service(web.port, &quick("tcp", "")));
    eventually("the check is another one", || home.instance("a1")["checks"][0]["check"] == "tcp");
    home.await_in_sync();
    home.remove("b.toml");
    eventually("the instance is gone", || answered(&server) == 1);
    pass(Duration::from_millis(300));
    assert_eq!(transitions(&server), ["register a1", "register b1", "update b1", "deregister b1"]);
}

#[test]
fn a_broken_file_keeps_what_it_said() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    let agent = home.agent(&[&server.url()], &[]);
    home.await_in_sync();
    home.write("a.toml", "port = 80\nid = \"a1\"\nsrvice = \"search\"\n");
    agent.await_log("a.toml:3:1: error: unknown key \\\"srvice\\\"; did you mean \\\"service\\\"?");
    eventually("the status says so", || home.status()["findings"].as_array().is_some_and(|list| list.len() == 1));
    assert_eq!(answered(&server), 1);
    let status = home.status();
    let differs = status["differs"][0].as_str().unwrap_or_default();
    assert!(status["in_sync"] == false && differs.ends_with("a.toml is not taken over as it is now"), "{status}");
    let (code, page) = home.status_page();
    let wrong = "a.toml:3:1: error: unknown key \"srvice\"; did you mean \"service\"?";
    assert!(code == Some(1) && page.contains("not in sync") && page.contains(wrong), "{page}");
    home.write("a.toml", &service(81, ""));
    eventually("it is read again", || home.status()["findings"].as_array().is_some_and(Vec::is_empty));
    home.await_in_sync();
    assert_eq!(transitions(&server), ["register a1", "update a1"]);
}

#[test]
fn what_the_server_refuses_keeps_nothing_else_out() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    home.write("b.toml", "service = \"localhost\"\nid = \"b1\"\nport = 80\naddresses = [\"192.0.2.8\"]\n");
    home.write("c.toml", "service = \"search\"\nid = \"c1\"\nport = 80\naddresses = [\"192.0.2.9\"]\n");
    let agent = home.agent(&[&server.url()], &[]);
    eventually("the others are answered", || answered(&server) == 2);
    agent.await_log("reserved-name");
    home.await_state("b1", "refused");
    assert_eq!(home.status()["in_sync"], false);
    home.remove("b.toml");
    home.await_in_sync();
    assert_eq!(transitions(&server).len(), 2, "{:?}", transitions(&server));
}

#[test]
fn what_somebody_else_changes_comes_back() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    home.write("b.toml", "service = \"index\"\nid = \"b1\"\nport = 81\naddresses = [\"192.0.2.8\"]\n");
    let agent = home.agent(&[&server.url()], &[]);
    home.await_in_sync();
    let (status, _) = server.http_json("DELETE", "/v1/services/search/instances/a1", None);
    assert_eq!(status, 200);
    eventually("the agent's set is the truth", || answered(&server) == 1);
    agent.await_log("somebody else had changed search/a1; it is as this host wants it again");
    // Somebody takes its name for another endpoint, without a session.
    let body = json!({ "port": 8081, "addresses": ["192.0.2.99"] });
    assert_eq!(server.http_json("PUT", "/v1/services/search/instances/a1", Some(body)).0, 200);
    assert_eq!(ports(&server), ["8081"]);
    eventually("the agent's set is the truth", || ports(&server) == ["80"]);
    home.await_in_sync();
    let (_, a1) = server.http_json("GET", "/v1/services/search/instances/a1", None);
    assert_eq!((&a1["session"], &a1["addresses"]), (&json!("host-17"), &json!(["192.0.2.7"])));
    assert_eq!(transitions_of(&server, "index"), ["register b1"], "nothing else has changed");
}

#[test]
fn two_hosts_with_one_instance_are_told() {
    let (server, home, other) = (Server::start(), Home::new(), Home::new());
    home.write("a.toml", &service(80, ""));
    home.write("b.toml", "service = \"index\"\nid = \"b1\"\nport = 81\naddresses = [\"192.0.2.8\"]\n");
    other.write("a.toml", &service(8081, "").replace("192.0.2.7", "192.0.2.99"));
    let _agent = home.agent(&[&server.url()], &[]);
    let _other = other.agent(&[&server.url()], &["--session", "host-18"]);
    eventually("it is no longer in sync, and says with what", || {
        let status = home.status();
        let trouble = status["trouble"].as_str().unwrap_or_default();
        status["in_sync"] == false
            && trouble.starts_with("somebody else keeps changing search/a1 of session \"host-17\"")
    });
}

#[test]
fn a_folder_that_comes_later_is_found_and_sighup_reads_again() {
    let (server, home) = (Server::start(), Home::new());
    let folder = home.path("later").display().to_string();
    let socket = home.path("sock").display().to_string();
    let args = ["agent", "--services-dir", &folder, "--socket", &socket, "--session", "host-17"];
    let agent = Staying::start(&[&server.url()], &args);
    agent.await_log("cannot be read");
    pass(Duration::from_secs(1));
    assert_eq!(home.status()["in_sync"], false, "what the session has is not replaced by nothing");
    assert_eq!(server.http_json("GET", "/v1/services", None).1["services"], json!([]));
    std::fs::create_dir(&folder).expect("a folder can be made");
    std::fs::write(home.path("later/a.toml"), service(80, "")).expect("a file can be written");
    agent.signal("HUP");
    eventually("it is answered", || answered(&server) == 1);
}

/// Makes `link` point to `target`, at once, as everybody does who swaps a link.
fn point(link: &Path, target: &str) {
    let draft = link.with_file_name(".draft");
    symlink(target, &draft).expect("a link can be made");
    std::fs::rename(&draft, link).expect("a link can be moved");
}

fn ports(server: &Server) -> Vec<String> {
    server.dig_short(&[SRV, "SRV"]).iter().map(|line| line.split(' ').nth(2).unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_swapped_config_map_is_seen() {
    let (server, home) = (Server::start(), Home::new());
    let write = |folder: &str, port: u16| {
        std::fs::create_dir_all(home.path(folder)).expect("a folder can be made");
        std::fs::write(home.path(folder).join("search.toml"), service(port, "")).expect("a file can be written");
    };
    // As Kubernetes mounts it: the names are links into `..data`, which is a link to a folder of the time. The map is
    // mounted somewhere else, and the agent's folder has a link to its file.
    write("map/..1", 81);
    point(&home.path("map/..data"), "..1");
    symlink("..data/search.toml", home.path("map/search.toml")).expect("a link can be made");
    symlink("../map/search.toml", home.path("services.d/search.toml")).expect("a link can be made");
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || ports(&server) == ["81"]);
    for (folder, port) in [("..2", 82), ("..3", 83)] {
        write(&format!("map/{folder}"), port);
        point(&home.path("map/..data"), folder);
        eventually("the other file is answered", || ports(&server) == [port.to_string()]);
    }
    assert_eq!(transitions(&server), ["register a1", "update a1", "update a1"]);
}

#[test]
fn an_edited_target_and_a_swapped_folder_are_seen() {
    let (server, home) = (Server::start(), Home::new());
    let write = |path: &str, port: u16| {
        // As editors do: a draft beside it, moved over it.
        let draft = home.path(path).with_extension("toml~");
        std::fs::write(&draft, service(port, "")).expect("a file can be written");
        std::fs::rename(&draft, home.path(path)).expect("a file can be moved");
    };
    for folder in ["releases/1", "releases/2", "shared"] {
        std::fs::create_dir_all(home.path(folder)).expect("a folder can be made");
    }
    write("shared/search.toml", 81);
    write("releases/2/search.toml", 84);
    symlink("../../shared/search.toml", home.path("releases/1/search.toml")).expect("a link can be made");
    std::fs::remove_dir(home.path("services.d")).expect("it is empty");
    symlink("releases/1", home.path("services.d")).expect("a link can be made");
    let _agent = home.agent(&[&server.url()], &[]);
    eventually("it is answered", || ports(&server) == ["81"]);
    write("shared/search.toml", 82);
    eventually("the edited target is answered", || ports(&server) == ["82"]);
    std::fs::write(home.path("shared/search.toml"), service(83, "")).expect("a file can be written");
    eventually("so is one that was written in its place", || ports(&server) == ["83"]);
    point(&home.path("services.d"), "releases/2");
    eventually("the other folder is answered", || ports(&server) == ["84"]);
    write("releases/2/search.toml", 85);
    eventually("and followed", || ports(&server) == ["85"]);
}

#[test]
fn what_operators_ordered_at_the_server_is_in_the_status() {
    let (server, home) = (Server::start(), Home::new());
    home.write("a.toml", &service(80, "weight = 100\n"));
    home.write("b.toml", "service = \"index\"\nid = \"b1\"\nport = 81\naddresses = [\"192.0.2.8\"]\n");
    let _agent = home.agent(&[&server.url()], &[]);
    home.await_in_sync();
    home.await_state("a1", "serving");
    for args in [
        &["weight", "search", "a1", "7", "--reason", "cold cache"][..],
        &["drain", "index", "b1", "--force", "--reason", "kernel"],
    ] {
        assert!(server.client(args).status.success(), "{args:?}");
    }
    home.await_state("b1", "drained");
    let (a1, b1) = (home.instance("a1"), home.instance("b1"));
    assert_eq!((&a1["state"], &a1["set_weight"]["weight"]), (&json!("serving"), &json!(7)), "{a1}");
    assert_eq!(a1["reason"], "weight 7 instead of 100 by anonymous: cold cache");
    assert_eq!(b1["reason"], "drained by anonymous: kernel");
    let (code, page) = home.status_page();
    assert!(code == Some(0) && page.contains("drained by anonymous: kernel"), "{page}");
    assert!(server.client(&["undrain", "index", "b1"]).status.success());
    home.await_state("b1", "serving");
}
