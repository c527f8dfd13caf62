//! `zonebeat agent`: the agent of a host, and what one asks of it.

mod status;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::connection::{ServerList, parse_list};
use super::output::print;
use super::{Failure, client, examples, values};
use crate::agent::config::{AgentConfig, DEFAULT_SOCKET, is_config};
use crate::agent::containers::{Engine, Follower};
use crate::agent::folder::{Folder, read_file};
use crate::agent::servers::Servers;
use crate::agent::session::Identity;
use crate::agent::set::HttpSession;
use crate::agent::socket::{Socket, await_listener, call};
use crate::agent::supervise::{Agent, Controls, Source};
use crate::agent::{Client, identity, services};
use crate::config::LogFormat;
use crate::model::Finding;
use crate::model::finding::render_all;
use crate::server::log;

/// Register the services of this host, check them, and beat for all of them
///
/// Reads one service from each file of services.d and, with --docker, the labels of containers; follows changes of
/// both, runs the checks of each instance and beats once for all of them. A failing check takes an instance out of the
/// answers and keeps its lease. Without any server it tries for ever, and the services run on. SIGTERM takes everything
/// out of the answers, waits until caches have forgotten it, and deregisters; a second one deregisters at once. SIGHUP
/// reads the folder again. SIGUSR2 begins again with the program that has been installed since, and leaves everything
/// in the answers meanwhile.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = examples![
    "zonebeat agent --config /etc/zonebeat/agent.toml",
    "zonebeat agent --services-dir services.d --socket agent.sock --server http://192.0.2.1:8053",
    "zonebeat agent --docker /run/podman/podman.sock",
    "zonebeat agent status",
    "zonebeat agent check /etc/zonebeat/services.d/search.toml",
])]
pub struct AgentArgs {
    #[command(subcommand)]
    command: Option<Command>,

    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Folder of *.toml files, one service each, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    services_dir: Option<PathBuf>,

    /// Register containers by their labels; without SOCKET those of DOCKER_HOST, Docker or Podman on this machine;
    /// repeat it to follow several engines
    #[arg(long, value_name = "SOCKET", num_args = 0..=1, default_missing_value = "", action = ArgAction::Append)]
    docker: Vec<String>,

    /// Local socket for status and reports, in place of the configuration's
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Name of the session, in place of the configuration's and the host name
    #[arg(long, value_name = "NAME")]
    session: Option<String>,

    /// The most that a stop waits until caches have forgotten the instances, in place of the configuration's
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    drain: Option<Duration>,

    /// Server to register at, in place of the configuration's; repeat it to name more, which are tried in order
    #[arg(long, value_name = "URL", env = "ZONEBEAT_SERVER", value_parser = parse_list)]
    server: Vec<ServerList>,

    /// Token to write with, in place of the configuration's
    #[arg(long, value_name = "SECRET", env = "ZONEBEAT_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(StatusArgs),
    Report(ReportArgs),
    Check(CheckArgs),
    Schema(SchemaArgs),
}

/// Show whether the server has what this host wants, and where each check stands
///
/// Asks the agent of this host over its local socket. Fails when the agent is not in sync.
#[derive(Debug, Args)]
#[command(after_help = examples!["zonebeat agent status", "zonebeat agent status --json --socket agent.sock"])]
pub struct StatusArgs {
    /// Local socket of the agent
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,

    /// Print the agent's own JSON
    #[arg(long)]
    json: bool,
}

/// Report an instance well or not well, for its ttl check
///
/// Waits up to 2 s for an agent that is starting again.
#[derive(Debug, Args)]
#[command(after_help = examples![
    "zonebeat agent report search a1 pass",
    "zonebeat agent report search a1 fail --note 'the index is being rebuilt'",
])]
pub struct ReportArgs {
    /// Service of the instance
    #[arg(value_parser = values::service)]
    service: String,

    /// Instance that is reported
    #[arg(value_parser = values::instance)]
    id: String,

    /// Whether it is well
    verdict: Word,

    /// What is the matter, in words
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,

    /// Local socket of the agent
    #[arg(long, value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Word {
    Pass,
    Fail,
}

/// Check files of services, and the agent's configuration
///
/// Says what is wrong with file, line and column, and fails (1) then, whatever it is. A file with the keys of the
/// agent's configuration is that, and so is one named agent.toml whose keys do not tell; of a folder, every *.toml file
/// is one service.
#[derive(Debug, Args)]
#[command(after_help = examples![
    "zonebeat agent check /etc/zonebeat/services.d",
    "zonebeat agent check agent.toml services.d/search.toml",
])]
pub struct CheckArgs {
    /// Files or folders
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Print the JSON Schema of a file of services
#[derive(Debug, Args)]
#[command(after_help = examples!["zonebeat agent schema > service.schema.json"])]
pub struct SchemaArgs {}

/// Runs the agent, or asks it something.
pub fn run(args: AgentArgs) -> Result<(), Failure> {
    match args.command {
        None => start(&args),
        Some(Command::Status(args)) => client(show_status(&args)),
        Some(Command::Report(args)) => client(report(&args)),
        Some(Command::Check(args)) => check(&args.files),
        Some(Command::Schema(_)) => Ok(print(&format!("{:#}", services::schema()))?),
    }
}

/// The configuration with the flags over it.
fn configure(args: &AgentArgs) -> Result<AgentConfig, Failure> {
    let config = args.config.as_deref().map_or_else(|| Ok(AgentConfig::default()), AgentConfig::load);
    let mut config = config.map_err(|findings| wrong(&findings))?;
    config.services_dir = args.services_dir.clone().unwrap_or(config.services_dir);
    config.socket = args.socket.clone().unwrap_or(config.socket);
    config.session = args.session.clone().or(config.session);
    config.drain = args.drain.unwrap_or(config.drain);
    config.docker.enabled |= !args.docker.is_empty();
    if args.docker.iter().any(|socket| !socket.is_empty()) {
        config.docker.sockets = args.docker.iter().filter(|socket| !socket.is_empty()).cloned().collect();
    }
    if !args.server.is_empty() {
        config.servers = args.server.iter().flat_map(|list| &list.0).map(ToString::to_string).collect();
    }
    if args.token.is_some() {
        config.token = args.token.clone();
        config.token_file = None;
    }
    Ok(config)
}

fn wrong(findings: &[Finding]) -> Failure {
    Failure::Usage(format!("the configuration cannot work\n{}", render_all(findings, false).trim_end()))
}

fn start(args: &AgentArgs) -> Result<(), Failure> {
    let config = configure(args)?;
    let host = identity::host_name();
    let session = config.session.clone().or_else(|| identity::session_name(&host));
    let session = session.ok_or_else(|| Failure::Usage("this machine has no name; give one with --session".into()))?;
    let engines = config.docker.engines(|name| std::env::var(name).ok());
    let engines = engines.map_err(|error| Failure::Usage(format!("--docker: {error}")))?;
    let token = config.secret().map_err(Failure::Usage)?;
    let servers = Servers::new(config.server_urls());
    let client_of = Client::new(servers, token.as_deref(), 1).map_err(Failure::Usage)?;
    let lease_seconds = i64::try_from(config.lease.as_secs()).unwrap_or(i64::MAX);
    log::start(config.log_level.as_str(), LogFormat::Auto);
    client(async move {
        let socket = Socket::bind(&config.socket).await;
        let socket = socket.map_err(|error| {
            Failure::Failed(format!("cannot listen at {}: {error}; choose another --socket", config.socket.display()))
        })?;
        let controls = Controls::default();
        let signals = obey_signals(controls.clone())?;
        let agent = Agent {
            carrier: HttpSession { client: client_of, session: session.clone() },
            identity: Identity { session, epoch: identity::epoch(), lease_seconds },
            source: source(config.services_dir, host, engines),
            drain: config.drain,
            farewell: "the agent stops".to_owned(),
            socket: Some(socket),
        };
        tokio::select! {
            () = agent.run(controls.clone()) => {}
            () = signals => {}
        }
        match controls.hand_over.is_cancelled() && !controls.stop.is_cancelled() {
            true => Err(begin_again()),
            false => Ok(()),
        }
    })
}

/// The folder, which need not be there for an agent that follows containers, and the engines.
fn source(services_dir: PathBuf, host: String, engines: Vec<Engine>) -> Source {
    let folder = Folder::new(services_dir, host.clone());
    if engines.is_empty() {
        return Source::Folder(folder);
    }
    Source::Host(folder.optional(), engines.into_iter().map(|engine| Follower::new(engine, host.clone())).collect())
}

/// Becomes the program that lies now where this one was started from, with the same arguments; returns why it cannot.
fn begin_again() -> Failure {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    tracing::info!(program = %program.display(), "begins again; the session stays as it is");
    let error = std::process::Command::new(&program).args(arguments).exec();
    Failure::Failed(format!("cannot start {} again: {error}; leases run out", program.display()))
}

/// SIGTERM and SIGINT stop, the second of them at once; SIGHUP reads again, SIGUSR2 hands over. The signals are caught
/// from here on.
fn obey_signals(controls: Controls) -> Result<impl Future<Output = ()>, Failure> {
    let caught = |kind| signal(kind).map_err(|error| Failure::Failed(format!("cannot catch signals: {error}")));
    let (mut interrupt, mut terminate) = (caught(SignalKind::interrupt())?, caught(SignalKind::terminate())?);
    let (mut hangup, mut upgrade) = (caught(SignalKind::hangup())?, caught(SignalKind::user_defined2())?);
    let mut slip = caught(SignalKind::user_defined1())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    controls.reload.notify_one();
                    continue;
                }
                _ = slip.recv() => {
                    tracing::warn!("SIGUSR1 means nothing to an agent; SIGUSR2 hands over to a new one");
                    continue;
                }
                _ = upgrade.recv() => {
                    if !controls.stop.is_cancelled() {
                        controls.hand_over.cancel();
                    }
                    continue;
                }
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if controls.stop.is_cancelled() {
                controls.leave.cancel();
            }
            controls.stop.cancel();
        }
    })
}

async fn show_status(args: &StatusArgs) -> Result<(), Failure> {
    let text = call(&args.socket, "GET", "/v1/status", "").await.map_err(Failure::Failed)?;
    let found = serde_json::from_str(&text);
    let found = found.map_err(|error| Failure::Failed(format!("the agent's reply is not understood: {error}")))?;
    print(&if args.json { text } else { status::text(&found) })?;
    if found.in_sync { Ok(()) } else { Err(Failure::Reported) }
}

async fn report(args: &ReportArgs) -> Result<(), Failure> {
    let verdict = match args.verdict {
        Word::Pass => "pass",
        Word::Fail => "fail",
    };
    let path = format!("/v1/checks/{}/{}/{verdict}", args.service, args.id);
    await_listener(&args.socket).await;
    call(&args.socket, "PUT", &path, &args.note).await.map_err(Failure::Failed)?;
    Ok(())
}

/// Reads files as the agent would.
fn check(files: &[PathBuf]) -> Result<(), Failure> {
    let host = identity::host_name();
    let mut findings = Vec::new();
    for file in files {
        match (file.is_dir(), is_configuration(file)) {
            (true, _) => {
                let mut folder = Folder::new(file.clone(), host.clone());
                folder.read();
                for (path, instances) in folder.files() {
                    said(path, instances, &folder.findings())?;
                }
                if folder.files().next().is_none() && folder.findings().is_empty() {
                    print(&format!("{}: ok, no *.toml file here", file.display()))?;
                }
                findings.extend(folder.findings());
            }
            (false, true) => match AgentConfig::load(file) {
                Ok(_) => print(&format!("{}: ok, configuration of the agent", file.display()))?,
                Err(wrong) => findings.extend(wrong),
            },
            (false, false) => match read_file(file, &host) {
                Ok(planned) => said(file, planned.len(), &[])?,
                Err(wrong) => findings.extend(wrong),
            },
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    super::output::eprint(render_all(&findings, false).trim_end());
    Err(Failure::Reported)
}

/// Whether a file is the agent's configuration and not one of services: by its keys, and where these do not tell by its
/// name.
fn is_configuration(file: &Path) -> bool {
    let by_keys = std::fs::read_to_string(file).ok().and_then(|text| is_config(&text));
    by_keys.unwrap_or_else(|| file.file_name().is_some_and(|name| name == "agent.toml"))
}

/// A line for a file that is right.
fn said(path: &Path, instances: usize, findings: &[Finding]) -> Result<(), Failure> {
    let name = path.to_string_lossy();
    if findings.iter().all(|finding| *finding.place.file != *name) {
        let plural = if instances == 1 { "" } else { "s" };
        print(&format!("{name}: ok, {instances} instance{plural}"))?;
    }
    Ok(())
}
