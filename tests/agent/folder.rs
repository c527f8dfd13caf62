//! The folder of services, followed while everything runs.

use std::time::Duration;

use super::support::{Server, Staying, eventually, pass};
use super::world::{Home, SRV, Web, answered, quick, service, transitions};

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
    let _agent = home.agent(&[&server.url()], &[]);
    home.await_in_sync();
    let (status, _) = server.http_json("DELETE", "/v1/services/search/instances/a1", None);
    assert_eq!(status, 200);
    eventually("the agent's set is the truth", || answered(&server) == 1);
}

#[test]
fn a_folder_that_comes_later_is_found_and_sighup_reads_again() {
    let (server, home) = (Server::start(), Home::new());
    let folder = home.path("later").display().to_string();
    let socket = home.path("sock").display().to_string();
    let args = ["agent", "--services-dir", &folder, "--socket", &socket, "--session", "host-17"];
    let agent = Staying::start(&[&server.url()], &args);
    agent.await_log("cannot be read");
    std::fs::create_dir(&folder).expect("a folder can be made");
    std::fs::write(home.path("later/a.toml"), service(80, "")).expect("a file can be written");
    agent.signal("HUP");
    eventually("it is answered", || answered(&server) == 1);
}
