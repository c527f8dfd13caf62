//! `zonebeat register`: registers, beats in the foreground until it is told to stop, then deregisters.

mod log;

use std::net::SocketAddr;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::log::Log;
use super::connection::ConnectionArgs;
use super::instance::InstanceArgs;
use super::{Failure, examples, values};
use crate::agent::beat::{self, Enrolled, Event, LoneInstance};
use crate::agent::{identity, lookup};
use crate::model::api::Registration;

/// Register an instance and beat for it until stopped
///
/// Runs in the foreground: registers, beats when the server asks for it, registers again when the server does not know
/// the instance any more, and deregisters on SIGINT or SIGTERM. While no server answers it keeps trying all of them. It
/// ends by itself only when a server refuses it, or when another process registers the same id.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat register search --port 8080",
    "zonebeat register search --port 8080 --id a1 --address 192.0.2.7 --site lon --tag canary --wait",
    "zonebeat register search --port 8080 --target host7.example.org --meta version=2.4.1",
    "zonebeat register dns --port 53 --proto udp --lease 30s --server http://192.0.2.1:8053",
])]
pub struct RegisterArgs {
    /// Service it is an instance of
    #[arg(value_parser = values::service)]
    service: String,

    #[command(flatten)]
    instance: InstanceArgs,

    /// Say when DNS answers with it, too
    #[arg(long)]
    wait: bool,

    /// DNS server that --wait asks, instead of the one that the HTTP server names
    #[arg(long, value_name = "IP:PORT", requires = "wait")]
    dns: Option<SocketAddr>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs until a signal or a refusal.
pub async fn run(args: &RegisterArgs) -> Result<(), Failure> {
    let id = args.instance.id()?;
    let log = Log { service: args.service.clone(), id: id.clone(), json: args.connection.json };
    let registration = Registration {
        lease_seconds: Some(args.instance.lease),
        epoch: Some(identity::epoch()),
        ..args.instance.registration()
    };
    // The loop has its own waits between attempts, so that each attempt asks every server once.
    let client = args.connection.client_with_rounds(1)?;
    let transport = LoneInstance { client, service: args.service.clone(), id, registration };
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(cancel_on_signal(stop.clone())?);

    let mut failure = None;
    beat::run(&transport, &stop, |event| {
        log.event(&event);
        if let Event::Registered { enrolled, again: false } = event
            && args.wait
        {
            match waiting(args, &log, &enrolled) {
                Ok(task) => drop(tasks.spawn(task)),
                Err(error) => {
                    failure = Some(error);
                    stop.cancel();
                }
            }
        }
    })
    .await?;
    failure.map_or(Ok(()), Err)
}

/// A task that cancels `stop` on SIGINT or SIGTERM. The signals are caught from here on.
fn cancel_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>, Failure> {
    let caught = |kind| signal(kind).map_err(|error| Failure::Failed(format!("cannot catch signals: {error}")));
    let (mut interrupt, mut terminate) = (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    })
}

/// A task that says when DNS answers with the instance.
fn waiting(args: &RegisterArgs, log: &Log, enrolled: &Enrolled) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let servers = args.dns.map_or_else(|| enrolled.dns.clone(), |dns| vec![dns]);
    if servers.is_empty() {
        let text = format!("{} does not say where it answers DNS; say it with --dns IP:PORT", enrolled.server);
        return Err(Failure::Failed(text));
    }
    let names = &enrolled.registered.names;
    let InstanceArgs { port, proto, target, .. } = &args.instance;
    let (sets, wanted) = lookup::plan(names, &enrolled.registered.id, *port, proto, target.as_ref());
    if sets.is_empty() {
        return Err(Failure::Failed(format!("none of its names is a _service._proto name: {}", names.join(" "))));
    }
    let log = log.clone();
    Ok(async move {
        let name = lookup::until_answered(&servers, &sets, &wanted, |last| log.waiting(&last)).await;
        log.answered(&name);
    })
}
