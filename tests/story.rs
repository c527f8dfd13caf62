//! The story of the README and of its readers: services come, beat, fall silent, leave; people look with dig and with
//! the command line; tokens say who may write. Real processes, real dig.

#[path = "story/commands.rs"]
mod commands;
#[path = "story/lifecycle.rs"]
mod lifecycle;
#[path = "story/owners.rs"]
mod owners;
#[path = "story/register.rs"]
mod register;
mod support;
#[path = "story/tokens.rs"]
mod tokens;

/// The name that stories ask for.
const SRV: &str = "_search._tcp.sd.example.org";
