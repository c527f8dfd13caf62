//! A fleet: many sessions that beat at a fixed rate over 1,000 kept connections, as agents do.
//!
//! Prints the share of one core that the server takes, the time from the last octet of a request to the last one of its
//! reply, the server's resident memory before beats and after them, whole and per session, and how many beats were
//! lost. Then the same for a tenth of the rate with a connection of its own for each beat.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::measure::{cpu_seconds, exchange, pin, request, resident};
use crate::support::Setup;

const CONNECTIONS: usize = 1000;
/// More than ten periods of 5 s: in the second part, each session beats every 50 s.
const LEASE_SECONDS: u32 = 60;
/// Connections that say nothing; the server keeps 4,096 at most.
const IDLE: usize = 4000;

/// Sessions, instances of each, beats per second, seconds.
pub(crate) fn run(numbers: &[usize]) {
    let number = |at: usize, default: usize| numbers.get(at).copied().unwrap_or(default);
    let (sessions, each, rate, seconds) = (number(0, 100_000), number(1, 1), number(2, 20_000), number(3, 10));
    let server = Setup::new().start();
    let empty = resident(server.pid());
    let bodies: Vec<Vec<u8>> = (0..sessions).map(|at| registration(at, each)).collect();
    on_one_thread(send_all(server.http(), bodies));
    let registered = resident(server.pid());
    pin(server.pid(), 0);
    pin(std::process::id(), 1);
    let beats: Vec<Vec<u8>> = (0..sessions).map(beat).collect();
    println!(
        "{:<10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>8}",
        "fleet", "sessions", "beats/s", "CPU %", "p50 us", "p99 us", "lost"
    );
    for (kind, keep, rate) in [("kept", true, rate), ("closed", false, rate / 10)] {
        let used = cpu_seconds(server.pid());
        let started = std::time::Instant::now();
        let mut times = on_one_thread(pace(server.http(), beats.clone(), rate, seconds, keep));
        let elapsed = started.elapsed().as_secs_f64();
        let share = (cpu_seconds(server.pid()) - used) / elapsed * 100.0;
        let lost = (rate * seconds).saturating_sub(times.len());
        times.sort_unstable();
        let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default();
        let beats = times.len() as f64 / elapsed;
        println!("{kind:<10}{sessions:>10}{beats:>10.0}{share:>10.1}{:>10}{:>10}{lost:>8}", at(0.5), at(0.99));
    }
    let beaten = resident(server.pid());
    let [empty_mib, registered_mib, beaten_mib] = [empty, registered, beaten].map(|octets| octets / f64::from(1 << 20));
    println!("resident MiB: empty {empty_mib:.0}, registered {registered_mib:.0}, after beats {beaten_mib:.0}");
    let per_session = |octets: f64| (octets - empty) / sessions as f64;
    let (registered, beaten) = (per_session(registered), per_session(beaten));
    println!("octets per session of {each}: registered {registered:.0}, after beats {beaten:.0}");
}

/// Resident octets of a connection that has beaten once and is kept.
pub(crate) fn idle() {
    let server = Setup::new().start();
    on_one_thread(send_all(server.http(), vec![registration(0, 1)]));
    let before = resident(server.pid());
    let address = server.http();
    let kept = on_one_thread(async move {
        let mut kept = Vec::new();
        for _ in 0..IDLE {
            let mut stream = TcpStream::connect(address).await.expect("the server accepts");
            exchange(&mut stream, &beat(0), &mut Vec::new()).await.expect("the beat is answered");
            kept.push(stream);
        }
        kept
    });
    println!("octets per kept connection: {:.0}", (resident(server.pid()) - before) / kept.len() as f64);
}

/// The registration of a session with its instances.
fn registration(at: usize, each: usize) -> Vec<u8> {
    let instance = |id: usize| {
        let registration = json!({"port": 80, "addresses": ["192.0.2.8"]});
        json!({"service": format!("s{}", (at * each + id) / 10), "id": format!("i{}", (at * each + id) % 10),
            "registration": registration})
    };
    let instances: Vec<_> = (0..each).map(instance).collect();
    let body = json!({"epoch": "1", "lease_seconds": LEASE_SECONDS, "instances": instances}).to_string();
    let post = request(&format!("/v1/sessions/agent-{at}"), &body);
    [b"PUT", &post[b"POST".len()..]].concat()
}

fn beat(at: usize) -> Vec<u8> {
    request(&format!("/v1/sessions/agent-{at}/heartbeat"), r#"{"epoch":"1"}"#)
}

fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(work)
}

/// Sends requests as fast as they are answered.
async fn send_all(server: SocketAddr, requests: Vec<Vec<u8>>) {
    let shares = shares(requests, CONNECTIONS);
    let mut tasks = JoinSet::new();
    for share in shares {
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(server).await.expect("the server accepts");
            let mut buffer = Vec::new();
            for request in share {
                exchange(&mut stream, &request, &mut buffer).await.expect("a registration is answered");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no connection fails");
    }
}

/// Deals requests out.
fn shares(requests: Vec<Vec<u8>>, number: usize) -> Vec<Vec<Vec<u8>>> {
    let mut shares = vec![Vec::new(); number.min(requests.len())];
    let number = shares.len();
    requests.into_iter().enumerate().for_each(|(at, request)| shares[at % number].push(request));
    shares
}

/// Beats at a fixed rate; returns the microseconds of each beat that was answered.
async fn pace(server: SocketAddr, beats: Vec<Vec<u8>>, rate: usize, seconds: usize, keep: bool) -> Vec<u32> {
    let shares = shares(beats, CONNECTIONS);
    let begin = Instant::now() + Duration::from_millis(500);
    let step = Duration::from_secs_f64(shares.len() as f64 / rate as f64);
    let turns = rate * seconds / shares.len();
    let mut tasks = JoinSet::new();
    for (number, share) in shares.into_iter().enumerate() {
        let first = begin + step.mul_f64(number as f64 / CONNECTIONS as f64);
        tasks.spawn(async move {
            let (mut stream, mut times, mut buffer) = (None, Vec::new(), Vec::new());
            for (turn, beat) in share.iter().cycle().take(turns).enumerate() {
                sleep_until(first + step * turn as u32).await;
                match timed(server, &mut stream, beat, &mut buffer).await {
                    Ok(micros) => times.push(micros),
                    Err(error) => println!("lost: {error}"),
                }
                if !keep {
                    stream = None;
                }
            }
            times
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done.expect("no connection panics"));
    }
    times
}

/// One beat, over a new connection if there is none; its microseconds.
async fn timed(
    server: SocketAddr,
    stream: &mut Option<TcpStream>,
    beat: &[u8],
    buffer: &mut Vec<u8>,
) -> std::io::Result<u32> {
    let started = Instant::now();
    if stream.is_none() {
        let new = TcpStream::connect(server).await?;
        new.set_nodelay(true)?;
        *stream = Some(new);
    }
    exchange(stream.as_mut().expect("it has just been put there"), beat, buffer).await?;
    Ok(started.elapsed().as_micros() as u32)
}
