//! `zonebeat register`: registers, beats in the foreground until it is told to stop, then deregisters.

mod identity;
mod log;

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::log::Log;
use super::connection::ConnectionArgs;
use super::{Failure, examples, values};
use crate::agent::beat::{self, Enrolled, Event, LoneInstance};
use crate::agent::lookup;
use crate::model::Name;
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

    /// Port it listens on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Protocol label
    #[arg(long, value_name = "PROTO", default_value = "tcp", value_parser = values::proto)]
    proto: String,

    /// Instance label; the machine's host label, a hyphen and the port if missing
    #[arg(long, value_parser = values::instance)]
    id: Option<String>,

    /// Address it is reached at; repeat it for more; the one that the server sees if missing
    #[arg(long = "address", value_name = "IP")]
    addresses: Vec<IpAddr>,

    /// Existing host to point to, instead of addresses
    #[arg(long, value_name = "HOST", conflicts_with = "addresses", value_parser = values::target)]
    target: Option<Name>,

    /// Data centre or region it runs in
    #[arg(long, value_parser = values::site)]
    site: Option<String>,

    /// Label that selects a subset; repeat it for more
    #[arg(long = "tag", value_name = "TAG", value_parser = values::tag)]
    tags: Vec<String>,

    /// Fact for the TXT record; repeat it for more
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = values::fact)]
    metadata: Vec<(String, String)>,

    /// SRV priority, lower is preferred; the server's default if missing
    #[arg(long, value_name = "N")]
    priority: Option<u16>,

    /// SRV weight among equal priorities; the server's default if missing
    #[arg(long, value_name = "N")]
    weight: Option<u16>,

    /// How long it may be silent before it leaves the answers
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = values::lease)]
    lease: i64,

    /// Say when DNS answers with it, too
    #[arg(long)]
    wait: bool,

    /// DNS server that --wait asks, instead of the one that the HTTP server names
    #[arg(long, value_name = "IP:PORT", requires = "wait")]
    dns: Option<SocketAddr>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

impl RegisterArgs {
    fn registration(&self) -> Registration {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        Registration {
            port: self.port.into(),
            proto: Some(self.proto.clone()),
            addresses: (!addresses.is_empty()).then_some(addresses),
            target: self.target.as_ref().map(ToString::to_string),
            site: self.site.clone(),
            priority: self.priority.map(i64::from),
            weight: self.weight.map(i64::from),
            tags: self.tags.clone(),
            metadata: self.metadata.iter().cloned().collect(),
            lease_seconds: Some(self.lease),
            epoch: Some(epoch()),
            out: None,
            incarnation: None,
        }
    }
}

/// This process among all that ever registered the same facts under the same id.
fn epoch() -> String {
    let random = getrandom::u64().unwrap_or_default();
    format!("{}-{random:016x}", std::process::id())
}

/// Runs until a signal or a refusal.
pub async fn run(args: &RegisterArgs) -> Result<(), Failure> {
    let id = args.id.clone().map_or_else(|| identity::default_id(args.port), Ok)?;
    let log = Log { service: args.service.clone(), id: id.clone(), json: args.connection.json };
    // The loop has its own waits between attempts, so that each attempt asks every server once.
    let client = args.connection.client_with_rounds(1)?;
    let transport = LoneInstance { client, service: args.service.clone(), id, registration: args.registration() };
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
    let (sets, wanted) = lookup::plan(names, &enrolled.registered.id, args.port, &args.proto, args.target.as_ref());
    if sets.is_empty() {
        return Err(Failure::Failed(format!("none of its names is a _service._proto name: {}", names.join(" "))));
    }
    let log = log.clone();
    Ok(async move {
        let name = lookup::until_answered(&servers, &sets, &wanted, |last| log.waiting(&last)).await;
        log.answered(&name);
    })
}
