//! The agent of a host as people meet it: the real binary, real servers, real services, real checks.
//!
//! `world` has an agent with its folder and a small service; `folder` follows files, `checks` has a test for each kind
//! of check, `servers` loses servers, `stop` ends agents, `restart` follows them with another one, `run` runs commands,
//! `many` has agents without processes, `files` reads what people write, `containers` follows those of the engine that
//! `podman` runs.

#[path = "agent/checks.rs"]
mod checks;
#[path = "agent/containers.rs"]
mod containers;
#[path = "agent/files.rs"]
mod files;
#[path = "agent/folder.rs"]
mod folder;
#[path = "agent/many.rs"]
mod many;
#[path = "agent/podman.rs"]
mod podman;
#[path = "agent/restart.rs"]
mod restart;
#[path = "agent/run.rs"]
mod run;
#[path = "agent/servers.rs"]
mod servers;
#[path = "agent/stop.rs"]
mod stop;
mod support;
#[path = "agent/world.rs"]
mod world;
