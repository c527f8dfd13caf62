//! Beats per second, and processor time per 10,000 beats: `cargo bench --bench heartbeats -- [SECONDS]`.
//!
//! A real server has one core, the load has another one. Beats go over kept connections, one request at a time on each:
//! first beats of lone instances, then beats of sessions with many instances. No beat may fail, and none may be written
//! to the store: the revision afterwards is the revision before.
//!
//! `-- fleet [SESSIONS] [INSTANCES OF EACH] [BEATS PER SECOND] [SECONDS]` beats at a fixed rate (`fleet`), `-- idle`
//! keeps connections and says nothing (`idle`).

#![allow(missing_docs, clippy::print_stdout)] // a program that prints a table

#[path = "../../tests/support/mod.rs"]
mod support;

mod fleet;
mod measure;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use measure::{cpu_seconds, exchange, pin, request};
use serde_json::json;
use support::{Server, Setup};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CONNECTIONS: [usize; 2] = [64, 1000];
const INSTANCES: usize = 2000;
const SESSIONS: usize = 100;
const PER_SESSION: usize = 100;
const LEASE_SECONDS: u32 = 300;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let numbers: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    match words.first().map(String::as_str) {
        Some("fleet") => fleet::run(&numbers),
        Some("idle") => fleet::idle(),
        _ => rates(numbers.first().map_or(5, |seconds| *seconds as u64)),
    }
}

/// Beats as fast as they are answered.
fn rates(seconds: u64) {
    let server = Setup::new().start();
    let pinned = pin(server.pid(), 0) && pin(std::process::id(), 1);
    let lone = register_instances(&server);
    let sessions = register_sessions(&server);
    let before = revision(&server);
    println!("{INSTANCES} instances, {SESSIONS} sessions of {PER_SESSION}; pinned to cores: {pinned}");
    println!("{:<10}{:>12}{:>12}{:>12}{:>22}", "kind", "connections", "beats", "beats/s", "CPU s/10,000 beats");
    for (kind, requests) in [("instance", &lone), ("session", &sessions)] {
        for connections in CONNECTIONS {
            let used = cpu_seconds(server.pid());
            let start = Instant::now();
            let beats = load(server.http(), requests, connections, Duration::from_secs(seconds));
            let rate = beats as f64 / start.elapsed().as_secs_f64();
            let cost = (cpu_seconds(server.pid()) - used) / beats as f64 * 1e4;
            println!("{kind:<10}{connections:>12}{beats:>12}{rate:>12.0}{cost:>22.3}");
        }
    }
    assert_eq!(revision(&server), before, "a beat changed the registry");
}

/// Registers lone instances; returns a beat for each.
fn register_instances(server: &Server) -> Vec<Vec<u8>> {
    let beat = |number: usize| {
        let path = format!("/v1/services/load/instances/i{number}");
        let body = json!({"port": 80, "addresses": ["192.0.2.7"], "lease_seconds": LEASE_SECONDS});
        let (status, reply) = server.http_json("PUT", &path, Some(body));
        assert_eq!(status, 201, "{reply}");
        request(&format!("{path}/heartbeat"), &json!({"incarnation": reply["incarnation"]}).to_string())
    };
    (0..INSTANCES).map(beat).collect()
}

/// Registers sessions; returns a beat for each, with its epoch and hash as an agent sends them.
fn register_sessions(server: &Server) -> Vec<Vec<u8>> {
    let beat = |number: usize| {
        let instances: Vec<_> = (0..PER_SESSION)
            .map(|instance| {
                let registration = json!({"port": 80, "addresses": ["192.0.2.8"]});
                json!({"service": format!("s{instance}"), "id": format!("n{number}"), "registration": registration})
            })
            .collect();
        let path = format!("/v1/sessions/agent-{number}");
        let body = json!({"epoch": "1", "lease_seconds": LEASE_SECONDS, "instances": instances});
        let (status, reply) = server.http_json("PUT", &path, Some(body));
        assert!((200..300).contains(&status), "{reply}");
        request(&format!("{path}/heartbeat"), &json!({"epoch": "1", "hash": reply["hash"]}).to_string())
    };
    (0..SESSIONS).map(beat).collect()
}

fn revision(server: &Server) -> u64 {
    let (_, reply) = server.http_json("GET", "/v1/services", None);
    reply["revision"].as_u64().expect("the list names its revision")
}

/// Beats until the time is over; returns how many were answered.
fn load(server: SocketAddr, requests: &[Vec<u8>], connections: usize, time: Duration) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        let until = tokio::time::Instant::now() + time;
        for number in 0..connections {
            let own: Vec<_> = requests.iter().skip(number % requests.len()).step_by(connections).cloned().collect();
            tasks.spawn(beat_until(server, own, until));
        }
        let mut beats = 0;
        while let Some(done) = tasks.join_next().await {
            beats += done.expect("no connection panics").expect("every beat is answered");
        }
        beats
    })
}

async fn beat_until(server: SocketAddr, requests: Vec<Vec<u8>>, until: tokio::time::Instant) -> std::io::Result<usize> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    let mut beats = 0;
    for request in requests.iter().cycle() {
        if tokio::time::Instant::now() >= until {
            break;
        }
        exchange(&mut stream, request, &mut buffer).await?;
        beats += 1;
    }
    Ok(beats)
}
