//! Many agents in one process: nothing of an agent is global.

use tokio::task::JoinSet;
use zonebeat::agent::Client;
use zonebeat::agent::servers::{Servers, parse_server};
use zonebeat::agent::services::parse;
use zonebeat::agent::session::Identity;
use zonebeat::agent::set::HttpSession;
use zonebeat::agent::supervise::{Agent, Controls, Source};

use super::support::{Server, eventually};

const AGENTS: usize = 40;

fn agent(server: &Server, number: usize) -> Agent<HttpSession> {
    let text = format!("id = \"i{number}\"\nport = 80\naddresses = [\"192.0.2.{number}\"]");
    let session = format!("host-{number}");
    let servers = Servers::new([parse_server(&server.url()).expect("a URL")]);
    Agent {
        carrier: HttpSession { client: Client::new(servers, None, 1).expect("a client"), session: session.clone() },
        identity: Identity { session, epoch: "e".to_owned(), lease_seconds: 5 },
        source: Source::Fixed(parse("search.toml", "search", "host", &text).expect("a service")),
        drain: std::time::Duration::ZERO,
        farewell: "the test ends".to_owned(),
        socket: None,
    }
}

#[test]
fn forty_agents_register_and_leave() {
    let server = Server::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let controls = Controls::default();
    let mut agents = JoinSet::new();
    for number in 1..=AGENTS {
        agents.spawn_on(agent(&server, number).run(controls.clone()), runtime.handle());
    }
    let serving = || {
        let (_, service) = server.http_json("GET", "/v1/services/search", None);
        service["serving"].as_u64().unwrap_or_default()
    };
    eventually("all are registered", || serving() == AGENTS as u64);
    controls.stop.cancel();
    runtime.block_on(async { while agents.join_next().await.is_some() {} });
    assert_eq!(serving(), 0);
}
