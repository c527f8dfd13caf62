//! What an engine says about a container, as far as it is used here. Docker and Podman leave out, or fill with `null`,
//! what they have nothing for; so does this.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer};

/// What labels have to begin with to be ours.
pub(super) const PREFIX: &str = "zonebeat.";

/// Labels, by name.
pub(super) type Labels = BTreeMap<String, String>;

/// One container of a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    /// Its id.
    pub(super) id: String,
    /// All of its labels.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) labels: Labels,
}

/// One event of a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Event {
    /// What happened: `start`, `die`, `health_status: healthy`.
    #[serde(default)]
    pub(super) action: String,
    /// To whom.
    pub(super) actor: Actor,
}

/// The container of an event.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Actor {
    /// Its id.
    #[serde(rename = "ID")]
    pub(super) id: String,
    /// Its labels, its name, and what belongs to the event.
    #[serde(default, rename = "Attributes", deserialize_with = "or_default")]
    pub(super) attributes: Labels,
}

/// One container in full.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Container {
    /// Its name, with a slash in front.
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    /// Whether it runs.
    #[serde(deserialize_with = "or_default")]
    pub(super) state: State,
    /// What it was made with.
    #[serde(deserialize_with = "or_default")]
    pub(super) config: Config,
    /// The same, where it concerns the host.
    #[serde(deserialize_with = "or_default")]
    pub(super) host_config: HostConfig,
    /// Where it is.
    #[serde(deserialize_with = "or_default")]
    pub(super) network_settings: NetworkSettings,
}

/// Whether a container runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    /// `running`, `paused`, `exited`, and others.
    #[serde(deserialize_with = "or_default")]
    pub(super) status: String,
    /// What it has ended with.
    pub(super) exit_code: i64,
    /// What its own health check says.
    #[serde(deserialize_with = "or_default")]
    pub(super) health: Health,
}

/// What the engine's health check says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Health {
    /// `starting`, `healthy` or `unhealthy`; empty or `none` without a check.
    #[serde(deserialize_with = "or_default")]
    pub(super) status: String,
    /// The last probes, the newest at the end.
    #[serde(deserialize_with = "or_default")]
    pub(super) log: Vec<HealthProbe>,
}

/// One probe of the engine.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HealthProbe {
    /// When it began, as text.
    #[serde(deserialize_with = "or_default")]
    pub(super) start: String,
    /// What it printed.
    #[serde(deserialize_with = "or_default")]
    pub(super) output: String,
}

/// What a container was made with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    /// Its labels; those of its image among them.
    #[serde(deserialize_with = "or_default")]
    pub(super) labels: Labels,
    /// Ports that its image says it listens on: `8080/tcp`.
    #[serde(deserialize_with = "or_default")]
    pub(super) exposed_ports: BTreeMap<String, serde_json::Value>,
    /// Its health check.
    #[serde(deserialize_with = "or_default")]
    pub(super) healthcheck: Healthcheck,
    /// The signal that stops it: a name or a number.
    #[serde(deserialize_with = "or_default")]
    pub(super) stop_signal: String,
    /// Seconds that it has to stop.
    pub(super) stop_timeout: Option<u64>,
}

/// The engine's health check.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Healthcheck {
    /// Nanoseconds that a probe may take; 0 for the engine's default.
    #[serde(deserialize_with = "or_default")]
    pub(super) timeout: u64,
}

/// What a container was made with, where it concerns the host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HostConfig {
    /// `host`, `none`, `container:ID`, or the name of a network.
    #[serde(deserialize_with = "or_default")]
    pub(super) network_mode: String,
}

/// Where a container is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct NetworkSettings {
    /// `8080/tcp` and where on the host it is published; nowhere if there is no list.
    #[serde(deserialize_with = "or_default")]
    pub(super) ports: BTreeMap<String, Option<Vec<Binding>>>,
    /// Its networks by name.
    #[serde(deserialize_with = "or_default")]
    pub(super) networks: BTreeMap<String, Network>,
    /// Its address, where the engine names it outside of its networks.
    #[serde(rename = "IPAddress", deserialize_with = "or_default")]
    pub(super) address: String,
    /// Its IPv6 address, likewise.
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "or_default")]
    pub(super) address6: String,
}

/// A port of the host.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Binding {
    /// The address; empty or unspecified for all of them.
    #[serde(deserialize_with = "or_default")]
    pub(super) host_ip: String,
    /// The port, as text.
    #[serde(deserialize_with = "or_default")]
    pub(super) host_port: String,
}

/// A network that a container is in.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Network {
    /// Its address there; empty if it has none.
    #[serde(rename = "IPAddress", deserialize_with = "or_default")]
    pub(super) address: String,
    /// Its IPv6 address there.
    #[serde(rename = "GlobalIPv6Address", deserialize_with = "or_default")]
    pub(super) address6: String,
}

/// The addresses that are written in two texts, either of which may be empty.
pub(super) fn addresses(first: &str, second: &str) -> Vec<IpAddr> {
    [first, second].into_iter().filter_map(|text| text.parse().ok()).collect()
}

impl Container {
    /// Its name without the slash.
    pub(super) fn called(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// Whether it lives; a paused one does, and one that has been told to stop, as Podman says.
    pub(super) fn lives(&self) -> bool {
        matches!(self.state.status.as_str(), "running" | "paused" | "stopping")
    }

    /// Whether it has ended, and not only not begun.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state.status.as_str(), "exited" | "stopped" | "dead")
    }

    /// Whether the engine has a health check for it.
    pub(super) fn has_health(&self) -> bool {
        !matches!(self.state.health.status.as_str(), "" | "none")
    }
}

/// Whether one of these labels is ours.
pub(super) fn has_ours(labels: &Labels) -> bool {
    labels.keys().any(|label| label.starts_with(PREFIX))
}

/// `null` is nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
