//! The agent's configuration file, `agent.toml`: read strictly, as the server's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::containers::{Engine, EngineError};
use super::servers::{DEFAULT_SERVER, parse_server};
use super::services;
use crate::config::{finding_at, nearest, read_toml, value};
use crate::model::{Finding, Place};

/// Where the agent's socket is, unless the configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/zonebeat-agent/agent.sock";
/// Where services are, unless the configuration says otherwise.
pub const DEFAULT_SERVICES: &str = "/etc/zonebeat/services.d";

/// Every key at the top of the file.
const KEYS: [&str; 10] =
    ["servers", "token", "token_file", "session", "services_dir", "docker", "socket", "lease", "drain", "log_level"];

/// The file with its defaults.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Servers, in the order in which they are tried.
    pub servers: Vec<String>,
    /// Token to write with.
    pub token: Option<String>,
    /// File that holds the token, in place of `token`.
    pub token_file: Option<PathBuf>,
    /// Name of the session; the host's if missing.
    pub session: Option<String>,
    /// Folder of `*.toml` files, one service each.
    pub services_dir: PathBuf,
    /// Containers that are registered by their labels.
    pub docker: DockerConfig,
    /// Local socket for status and reports.
    pub socket: PathBuf,
    /// How long the agent may be silent before its instances leave the answers.
    #[serde(deserialize_with = "value::duration")]
    pub lease: Duration,
    /// The most that a stop waits until caches have forgotten the instances.
    #[serde(deserialize_with = "value::duration")]
    pub drain: Duration,
    /// What is logged: `error`, `warn`, `info`, `debug`.
    pub log_level: LogLevel,
}

/// Container engines: Docker, Podman.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerConfig {
    /// Whether containers are registered.
    pub enabled: bool,
    /// The engines' sockets; the one of this machine if there are none.
    pub sockets: Vec<String>,
}

impl DockerConfig {
    /// The engines that are to be followed. `variable` reads the environment.
    pub fn engines(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Vec<Engine>, EngineError> {
        match (self.enabled, self.sockets.as_slice()) {
            (false, _) => Ok(Vec::new()),
            (true, []) => Ok(vec![Engine::find(variable)?]),
            (true, sockets) => sockets.iter().map(|socket| Engine::at(socket)).collect(),
        }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What has failed.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens.
    Info,
    /// More of it.
    Debug,
}

impl LogLevel {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            servers: vec![DEFAULT_SERVER.to_owned()],
            token: None,
            token_file: None,
            session: None,
            services_dir: DEFAULT_SERVICES.into(),
            docker: DockerConfig::default(),
            socket: DEFAULT_SOCKET.into(),
            lease: Duration::from_secs(15),
            drain: Duration::from_secs(60),
            log_level: LogLevel::Info,
        }
    }
}

/// Whether a text is such a file, and not one of services, by most of its keys, as they are or were meant; `None` where
/// they do not tell.
pub fn is_config(text: &str) -> Option<bool> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let services = services::keys();
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    let is_in = |key: &str, keys: &[&str]| keys.contains(&key);
    let is_near = |key: &str, keys: &[&str]| nearest(key, keys).is_some();
    let of = |key: &str| match (is_in(key, &KEYS), is_in(key, &services)) {
        (false, false) => i32::from(is_near(key, &KEYS)) - i32::from(is_near(key, &services)),
        (ours, theirs) => i32::from(ours) - i32::from(theirs),
    };
    match table.keys().map(|key| of(key)).sum::<i32>() {
        0 => None,
        sum => Some(sum > 0),
    }
}

impl AgentConfig {
    /// Reads a file and checks it.
    pub fn load(path: &Path) -> Result<Self, Vec<Finding>> {
        let file = path.to_string_lossy();
        let text = std::fs::read_to_string(path)
            .map_err(|error| vec![Finding::error(Place::whole(&file), format!("cannot be read: {error}"))])?;
        Self::parse(&file, &text)
    }

    /// Reads a text; `file` is its name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Finding>> {
        let config: Self = read_toml(file, text).map_err(|finding| vec![*finding])?;
        let mut findings = Vec::new();
        let mut wrong = |key: &str, why: String| findings.push(finding_at(file, text, key, why));
        for (at, server) in config.servers.iter().enumerate() {
            if let Err(why) = parse_server(server) {
                wrong(&format!("servers[{at}]"), why);
            }
        }
        for (at, socket) in config.docker.sockets.iter().enumerate() {
            if let Err(why) = Engine::at(socket) {
                wrong(&format!("docker.sockets[{at}]"), why.to_string());
            }
        }
        if config.token.is_some() && config.token_file.is_some() {
            wrong("token_file", "has both token and token_file; give one of them".to_owned());
        }
        let lease = config.lease.as_secs();
        if !(2..=86_400).contains(&lease) || config.lease.subsec_nanos() > 0 {
            wrong("lease", format!("{:?} is out of range; use whole seconds from 2s to 1d", config.lease));
        }
        if findings.is_empty() { Ok(config) } else { Err(findings) }
    }

    /// The servers as URLs.
    pub fn server_urls(&self) -> Vec<Url> {
        self.servers.iter().filter_map(|text| parse_server(text).ok()).collect()
    }

    /// The token, read from its file if it has one.
    pub fn secret(&self) -> Result<Option<String>, String> {
        let text = match &self.token_file {
            None => self.token.clone(),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.map_err(|error| format!("cannot read the token in {}: {error}", path.display()))?)
            }
        };
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }
}
