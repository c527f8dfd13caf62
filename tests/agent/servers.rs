//! Servers that die, freeze and come back.

use std::time::{Duration, Instant};

use super::support::{Server, Setup, eventually, pass};
use super::world::{Home, answered, free_port, service, transitions};

#[test]
fn a_server_that_is_killed_and_back_has_everything_again() {
    let home = Home::new();
    let http = format!("127.0.0.1:{}", free_port());
    let setup = || Setup::new().arg("--http").arg(&http);
    let server = setup().start();
    let url = format!("http://{http}");
    home.write("a.toml", &service(80, ""));
    let agent = home.agent(&[&url], &[]);
    home.await_in_sync();
    let setup = server.kill();
    agent.await_log("no server answered");
    assert_eq!(home.status()["in_sync"], false);
    pass(Duration::from_millis(500));
    let server = setup.start();
    home.await_in_sync();
    assert_eq!(answered(&server), 1);
    assert_eq!(transitions(&server), ["register a1"], "it was known all the time");
}

#[test]
fn a_frozen_server_is_left_for_the_next_one() {
    let (first, second, home) = (Server::start(), Server::start(), Home::new());
    home.write("a.toml", &service(80, ""));
    let _agent = home.agent(&[&first.url(), &second.url()], &[]);
    home.await_in_sync();
    assert_eq!((answered(&first), answered(&second)), (1, 0));
    first.signal("STOP");
    let began = Instant::now();
    eventually("the second server has it", || answered(&second) == 1);
    // A beat within 1 s (a third of the lease of 2 s, and its jitter), 1 s without reply, and slack.
    let took = began.elapsed();
    first.signal("CONT");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn without_any_server_it_tries_for_ever() {
    let home = Home::new();
    let http = format!("127.0.0.1:{}", free_port());
    home.write("a.toml", &service(80, ""));
    let agent = home.agent(&[&format!("http://{http}")], &[]);
    agent.await_log("no server answered");
    eventually("the status tells it", || {
        home.status()["trouble"].as_str().is_some_and(|text| text.contains("connection refused"))
    });
    let server = Setup::new().arg("--http").arg(&http).start();
    eventually("it is registered", || answered(&server) == 1);
}
