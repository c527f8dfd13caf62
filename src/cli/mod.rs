//! The command line: one file per group of subcommands.
//!
//! Only the terminal is handled here: arguments are parsed and checked, the work is done by `agent` (client commands)
//! and `server` (`serve`). What people read goes to standard output, why something failed to standard error; `--json`
//! makes the output the server's own JSON. Exit codes are decided in one place, [`failure`].

pub mod agent; // agent: the agent of a host, its status, reports, checks of files
pub mod backup; // backup: everything into a file
pub mod check; // check: configuration and zone files without a server
pub mod completion; // completion, man: made from the same definitions that parse
pub mod connection; // --server, --token, --json
pub mod declare; // declare, undeclare
pub mod deps;
pub mod deregister;
pub mod explain; // why a name answers as it does
pub mod failure; // failures and their exit codes
pub mod held; // held, release
pub mod instance; // the options that describe one instance
pub mod list; // services, instances
pub mod orders; // drain, undrain, weight
pub mod output; // text, tables, ages
pub mod owners; // grant, revoke, transfer
pub mod register;
pub mod run; // run: a command with its registration
pub mod restore; // restore: a store out of such a file
pub mod serve;
pub mod show;
pub mod status;
pub mod store; // store migrate
pub mod token;
pub mod values; // argument values with a grammar of their own

pub use failure::Failure;

use clap::{Parser, Subcommand};

/// Ends the help of every subcommand: its examples, then the exit codes.
macro_rules! examples {
    ($($line:literal),+ $(,)?) => {
        concat!("Examples:\n", $("  ", $line, "\n",)+ "\n",
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by policy.")
    };
}
pub(crate) use examples;

/// An authoritative DNS server whose zones come from heartbeats
///
/// Services register and beat; the server answers SRV, A, AAAA, TXT and PTR from what is alive. `zonebeat serve`
/// runs the server, every other command is a client of it or needs none.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = examples![
    "zonebeat serve --zone sd.example.org --listen 127.0.0.1:5300",
    "zonebeat register search --port 8080 --address 192.0.2.7",
    "zonebeat services",
    "dig @127.0.0.1 -p 5300 _search._tcp.sd.example.org SRV",
])]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Register(Box<register::RegisterArgs>),
    Run(Box<run::RunArgs>),
    Agent(Box<agent::AgentArgs>),
    Deregister(deregister::DeregisterArgs),
    Drain(orders::DrainArgs),
    Undrain(orders::UndrainArgs),
    Weight(orders::WeightArgs),
    Held(held::HeldArgs),
    Release(held::ReleaseArgs),
    Services(list::ServicesArgs),
    Instances(list::InstancesArgs),
    Show(show::ShowArgs),
    Explain(explain::ExplainArgs),
    Declare(Box<declare::DeclareArgs>),
    Undeclare(declare::UndeclareArgs),
    Deps(deps::DepsArgs),
    Grant(owners::GrantArgs),
    Revoke(owners::RevokeArgs),
    Transfer(owners::TransferArgs),
    Token(token::TokenArgs),
    Status(status::StatusArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Store(store::StoreArgs),
    Check(check::CheckArgs),
    Completion(completion::CompletionArgs),
    Man(completion::ManArgs),
}

impl Cli {
    /// Runs the command to its end. A server calls `loaded` once, when it has its data.
    pub fn run(self, loaded: fn()) -> Result<(), Failure> {
        match self.command {
            Command::Serve(args) => serve::run(args, loaded),
            Command::Register(args) => client(register::run(&args)),
            Command::Run(args) => run::run(&args),
            Command::Agent(args) => agent::run(*args),
            Command::Deregister(args) => client(deregister::run(&args)),
            Command::Drain(args) => client(orders::drain(&args)),
            Command::Undrain(args) => client(orders::undrain(&args)),
            Command::Weight(args) => client(orders::weight(&args)),
            Command::Held(args) => client(held::held(&args)),
            Command::Release(args) => client(held::release(&args)),
            Command::Services(args) => client(list::services(&args)),
            Command::Instances(args) => client(list::instances(&args)),
            Command::Show(args) => client(show::run(&args)),
            Command::Explain(args) => client(explain::run(&args)),
            Command::Declare(args) => client(declare::declare(&args)),
            Command::Undeclare(args) => client(declare::undeclare(&args)),
            Command::Deps(args) => client(deps::run(&args)),
            Command::Grant(args) => client(owners::grant(&args)),
            Command::Revoke(args) => client(owners::revoke(&args)),
            Command::Transfer(args) => client(owners::transfer(&args)),
            Command::Token(args) => client(token::run(&args)),
            Command::Status(args) => client(status::run(&args)),
            Command::Backup(args) => client(backup::run(&args)),
            Command::Restore(args) => restore::run(&args),
            Command::Store(args) => store::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Completion(args) => completion::completion(&args),
            Command::Man(args) => completion::man(&args),
        }
    }
}

/// Runs a client command: it waits for the network more than it works, so one thread is enough.
fn client<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?;
    runtime.block_on(command)
}
