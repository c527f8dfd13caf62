//! `zonebeat run`: a command with its registration.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;

use super::connection::ConnectionArgs;
use super::instance::InstanceArgs;
use super::{Failure, client, examples, values};
use crate::agent::check::Spec;
use crate::agent::services::{CheckTable, Key, Planned};
use crate::agent::session::Identity;
use crate::agent::set::HttpSession;
use crate::agent::supervise::{Agent, Source};
use crate::agent::{identity, run};
use crate::config::LogFormat;
use crate::server::log;

/// Run a command and register it while it works
///
/// Starts the command, registers it when its checks pass, and passes signals on. A failing check takes it out of the
/// answers and keeps its lease. On SIGTERM or SIGINT it leaves the answers first; when every cache has forgotten it,
/// which takes the longest TTL that the server gave out, the command gets the signal; a second one reaches it at once.
/// A command that ends is deregistered at once. Without any server the command runs on. Exits with the code of the
/// command, or with 128 and the number of the signal that killed it. What happens is logged to standard error: lines
/// for people, or with --json an object each. The command does not get ZONEBEAT_TOKEN.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat run --service search --port 8080 --check http:/health -- ./search --listen :8080",
    "zonebeat run --service index --port 9090 --check grpc --drain 10s -- ./index",
    "zonebeat run --service mail --port 25 --check tcp --check 'exec:test -e /run/mail.ok' -- mail";
    "Once the command has started: its own, or 128 and the number of the signal that killed it.\n\
     126 the command cannot be run, 127 there is no such command."
])]
pub struct RunArgs {
    /// Service it is an instance of
    #[arg(long, value_parser = values::service)]
    service: String,

    #[command(flatten)]
    instance: InstanceArgs,

    /// Check that has to pass; repeat it for more; none is: in the answers while the command runs
    ///
    /// One of tcp, http:/path, https:/path, grpc, grpcs, exec:COMMAND, process:/PIDFILE. The network ones go to
    /// 127.0.0.1 and the instance's port unless they name a host, as in http://HOST:PORT/path.
    #[arg(long = "check", value_name = "CHECK", value_parser = check)]
    checks: Vec<String>,

    /// Time between two probes of a check
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::duration)]
    interval: Duration,

    /// How long a probe may take
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = values::duration)]
    timeout: Duration,

    /// Passes in a row that end a failure
    #[arg(long, value_name = "N", default_value_t = 1)]
    rise: u32,

    /// Failures in a row that take it out of the answers
    #[arg(long, value_name = "N", default_value_t = 3)]
    fall: u32,

    /// The most that a stop waits until caches have forgotten it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
    drain: Duration,

    /// Command to run, with its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A check that can be made by `run`.
fn check(text: &str) -> Result<String, String> {
    if text == "ttl" {
        return Err("a ttl check is reported over the agent's socket, which run does not have".to_owned());
    }
    Spec::of(&CheckTable::new(text), 1).map(|spec| spec.text).map_err(|(_, why)| why)
}

/// Runs until the command has ended.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    let agent = agent(args)?;
    let format = if args.connection.json { LogFormat::Json } else { LogFormat::Human };
    log::start("info", format);
    match client(async { Ok(run::run(agent, &args.command).await) })? {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Ended(code)),
        Err(error) => {
            tracing::error!("{error}");
            Err(Failure::Ended(error.exit_code()))
        }
    }
}

/// The agent of this one instance.
fn agent(args: &RunArgs) -> Result<Agent<HttpSession>, Failure> {
    let id = args.instance.id()?;
    let session = format!("{}@{id}", args.service);
    let tables = args.checks.iter().map(|text| CheckTable {
        interval: args.interval,
        timeout: args.timeout,
        rise: args.rise,
        fall: Some(args.fall),
        ..CheckTable::new(text)
    });
    let checks: Result<Vec<_>, _> = tables.map(|table| Spec::of(&table, args.instance.port)).collect();
    let checks = checks.map_err(|(key, why)| Failure::Usage(format!("--{key}: {why}")))?;
    let key = Key { service: args.service.clone(), id };
    let registration = args.instance.registration();
    let planned = Planned { key, registration, checks, file: "zonebeat run".into() };
    Ok(Agent {
        carrier: HttpSession { client: args.connection.client_with_rounds(1)?, session: session.clone() },
        identity: Identity { session, epoch: identity::epoch(), lease_seconds: args.instance.lease },
        source: Source::WhenPassing(planned),
        drain: args.drain,
        farewell: "zonebeat run stops".to_owned(),
        socket: None,
    })
}
