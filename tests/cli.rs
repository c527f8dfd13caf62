//! The command line as people meet it: the real binary against a small HTTP responder.
//!
//! `help` checks what needs no server, `docs` that docs/cli.md and the help say what the program takes, `calls` the
//! one-shot client commands, `register` the command that stays. Tests against a real server live elsewhere.

#[path = "cli/calls.rs"]
mod calls;
#[path = "cli/docs.rs"]
mod docs;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/offline.rs"]
mod offline;
#[path = "cli/program.rs"]
mod program;
#[path = "cli/register.rs"]
mod register;
#[path = "cli/responder.rs"]
mod responder;
