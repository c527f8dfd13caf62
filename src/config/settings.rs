//! The tables and keys of the configuration, with their defaults.
//!
//! What a key means to an operator stands in `config/zonebeat.toml`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::cookies::CookieSettings;
use super::encrypted::Encrypted;
use super::guard::GuardSettings;
use super::locate::Source;
use super::rate_limit::RateLimit;
use super::tsig::TsigKey;
use super::value;
use crate::model::Name;
use crate::model::naming::Template;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the embedded store and other state live.
    pub data_dir: PathBuf,
    /// One file per zone, `NAME.zone`, `db.NAME` or `NAME.db`.
    pub zones_dir: Option<PathBuf>,
    /// Reverse zones that take PTR records: names of zones, or prefixes.
    pub reverse: Vec<String>,
    /// Who this server is.
    pub server: Server,
    /// Plain DNS.
    pub dns: Dns,
    /// The HTTP interface.
    pub http: Http,
    /// Declared zones.
    pub zone: Vec<ZoneSettings>,
    /// Owner names.
    pub naming: NamingSettings,
    /// Where registrations are kept.
    pub store: StoreSettings,
    /// What is let into DNS.
    pub policy: PolicySettings,
    /// What is held when it falls silent.
    pub guard: GuardSettings,
    /// Keys for signed transfers and updates.
    pub tsig_key: Vec<TsigKey>,
    /// What is written to the log.
    pub log: Log,
    /// Where it was read from, for messages.
    #[serde(skip)]
    pub(super) source: Source,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "var".into(),
            zones_dir: None,
            reverse: Vec::new(),
            server: Server::default(),
            dns: Dns::default(),
            http: Http::default(),
            zone: Vec::new(),
            naming: NamingSettings::default(),
            store: StoreSettings::default(),
            policy: PolicySettings::default(),
            guard: GuardSettings::default(),
            tsig_key: Vec::new(),
            log: Log::default(),
            source: Source::default(),
        }
    }
}

/// `[server]`: who this server is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Name of this server; see [`Config::server_id`].
    pub id: Option<String>,
    /// Base URLs that clients are told; see [`Config::advertised`].
    pub advertise: Vec<String>,
    /// Whether the server registers itself as `_zonebeat._tcp`.
    pub self_register: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self { id: None, advertise: Vec::new(), self_register: true }
    }
}

/// `[dns]`: plain DNS over UDP and TCP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Addresses to listen on, UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// UDP workers per address; 0 is one per core.
    pub workers: usize,
    /// The largest UDP answer in octets.
    pub udp_max: u16,
    /// Larger or smaller maxima per client prefix; the longest prefix counts.
    pub udp_max_for: Vec<UdpMaxFor>,
    /// Whether additional sections hold only what an answer is useless without.
    pub minimal_responses: bool,
    /// Whether CH TXT queries about this server are answered.
    pub identity: bool,
    /// Who may transfer zones without a key.
    pub transfer_from: Vec<IpNet>,
    /// Who may ask, where a zone does not say so itself; empty: everybody.
    pub allow_query: Vec<IpNet>,
    /// Who may have names explained, as TXT below `_explain`.
    pub explain_to: Vec<IpNet>,
    /// TCP limits.
    pub tcp: Tcp,
    /// DNS cookies.
    pub cookies: CookieSettings,
    /// Limits of answers over UDP.
    pub rate_limit: RateLimit,
    /// DNS over TLS, HTTPS and QUIC.
    pub encrypted: Encrypted,
}

impl Default for Dns {
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|prefix| prefix.parse().expect("a prefix"));
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5300))],
            workers: 0,
            udp_max: 1232,
            udp_max_for: Vec::new(),
            minimal_responses: false,
            identity: true,
            transfer_from: loopback.to_vec(),
            allow_query: Vec::new(),
            explain_to: Vec::new(),
            tcp: Tcp::default(),
            cookies: CookieSettings::default(),
            rate_limit: RateLimit::default(),
            encrypted: Encrypted::default(),
        }
    }
}

/// `[[dns.udp_max_for]]`: the largest UDP answer for some clients.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpMaxFor {
    /// Clients in this prefix.
    pub prefix: IpNet,
    /// The largest UDP answer in octets.
    pub size: u16,
}

/// `[dns.tcp]`: limits of DNS over TCP.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tcp {
    /// Connections at the same time; 0 is half the descriptor limit.
    pub connections: usize,
    /// Connections of one client address.
    pub per_client: usize,
    /// How long a new connection may wait with its first query.
    #[serde(deserialize_with = "value::duration")]
    pub first_query: Duration,
    /// How long a connection may be silent after that.
    #[serde(deserialize_with = "value::duration")]
    pub idle: Duration,
    /// Queries of one connection that are answered at the same time.
    pub in_flight: usize,
    /// How long a connection may live.
    #[serde(deserialize_with = "value::duration")]
    pub lifetime: Duration,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            connections: 0,
            per_client: 16,
            first_query: Duration::from_secs(2),
            idle: Duration::from_secs(10),
            in_flight: 32,
            lifetime: Duration::from_secs(120),
        }
    }
}

/// `[http]`: the HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// The largest request body in octets.
    #[serde(deserialize_with = "value::octets")]
    pub body_limit: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 8053))], body_limit: 64 << 10 }
    }
}

/// `[[zone]]`: a declared zone. Everything but the name has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ZoneSettings {
    /// The apex; the root means that the key is missing.
    pub name: Name,
    /// The zone file, of any name, relative to `zones_dir`.
    pub file: Option<PathBuf>,
    /// TTL of registrations' records, in seconds.
    #[serde(deserialize_with = "value::seconds")]
    pub ttl: u32,
    /// How long "no such name" is believed, in seconds.
    #[serde(deserialize_with = "value::seconds")]
    pub negative_ttl: u32,
    /// TTL of the SOA record, in seconds.
    #[serde(deserialize_with = "value::seconds")]
    pub soa_ttl: u32,
    /// TTL of the NS records and of the name servers' addresses, in seconds.
    #[serde(deserialize_with = "value::seconds")]
    pub ns_ttl: u32,
    /// Name servers; empty: `ns1` in the zone.
    pub ns: Vec<Name>,
    /// Addresses of those name servers that lie in the zone; empty: the addresses that DNS listens on.
    pub ns_addresses: Vec<IpAddr>,
    /// Mail address in the SOA record, as a name; see [`ZoneSettings::hostmaster`].
    #[serde(deserialize_with = "value::mailbox")]
    pub hostmaster: Option<Name>,
    /// What the zone's serial starts from, where no zone file says so.
    pub serial: u32,
    /// How often secondaries look at the serial, in seconds.
    #[serde(deserialize_with = "value::seconds")]
    pub refresh: u32,
    /// How often they try again after a failure, in seconds.
    #[serde(deserialize_with = "value::seconds")]
    pub retry: u32,
    /// After how long without success they stop answering, in seconds.
    #[serde(deserialize_with = "value::seconds")]
    pub expire: u32,
    /// Who may ask about this zone; empty: those of `dns.allow_query`.
    pub allow_query: Vec<IpNet>,
    /// Whether registrations are published here; see [`ZoneSettings::takes_registrations`].
    pub registrations: Option<bool>,
    /// The most records of one type that an answer has, for services that declare no limit; 0: no limit.
    pub answer_limit: u32,
}

impl Default for ZoneSettings {
    fn default() -> Self {
        Self {
            name: Name::root(),
            file: None,
            ttl: 30,
            negative_ttl: 5,
            soa_ttl: 30,
            ns_ttl: 300,
            ns: Vec::new(),
            ns_addresses: Vec::new(),
            hostmaster: None,
            serial: 0,
            refresh: 60,
            retry: 30,
            expire: 604_800,
            allow_query: Vec::new(),
            registrations: None,
            answer_limit: 0,
        }
    }
}

impl ZoneSettings {
    /// The defaults for a zone.
    pub fn new(name: Name) -> Self {
        Self { name, ..Self::default() }
    }

    /// Whether registrations are published here: as configured, or if no file is named for the zone.
    pub fn takes_registrations(&self) -> bool {
        self.registrations.unwrap_or(self.file.is_none())
    }

    /// The SOA record's mail address: as configured, or `hostmaster` in the zone.
    pub fn hostmaster(&self) -> Name {
        let made = || self.name.child(b"hostmaster").unwrap_or_else(|_| self.name.clone());
        self.hostmaster.clone().unwrap_or_else(made)
    }
}

/// `[naming]`: which owner names registrations get.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamingSettings {
    /// Active presets, in order.
    pub presets: Vec<String>,
    /// Templates beside those of the presets.
    pub template: Vec<Template>,
}

impl Default for NamingSettings {
    fn default() -> Self {
        Self { presets: vec!["plain".into()], template: Vec::new() }
    }
}

/// `[store]`: where registrations are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSettings {
    /// Which store.
    pub kind: StoreKind,
    /// Members of the etcd cluster; base URLs.
    pub endpoints: Vec<String>,
    /// What the keys in etcd begin with.
    pub prefix: String,
    /// How long changes are kept.
    #[serde(deserialize_with = "value::duration")]
    pub history: Duration,
    /// How many changes are kept.
    pub history_changes: u64,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            kind: StoreKind::Embedded,
            endpoints: Vec::new(),
            prefix: "/zonebeat/".into(),
            history: Duration::from_secs(30 * 86_400),
            history_changes: 2_000_000,
        }
    }
}

/// `store.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// One file in the data directory.
    Embedded,
    /// An etcd cluster.
    Etcd,
}

/// `[policy]`: what is let into DNS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySettings {
    /// Prefixes that are allowed although they would be refused by default.
    pub allow_addresses: Vec<IpNet>,
    /// Reserved labels that are allowed although they would be refused by default.
    pub allow_labels: Vec<String>,
    /// The closed list of sites; empty: any.
    pub sites: Vec<String>,
}

/// `[log]`: what is written to the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least important events that are written.
    pub level: Level,
    /// How they are written.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: Level::Info, format: LogFormat::Auto }
    }
}

/// `log.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only faults.
    Error,
    /// What somebody should look at.
    Warn,
    /// What happens now and then: start, reload, transitions.
    Info,
    /// What a developer wants to see.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// The word for filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Base URLs that clients are told: as configured, or the addresses that HTTP got, wildcards left out.
    pub fn advertised(&self, http: &[SocketAddr]) -> Vec<String> {
        if !self.server.advertise.is_empty() {
            return self.server.advertise.clone();
        }
        let usable = http.iter().filter(|address| !address.ip().is_unspecified());
        usable.map(|address| format!("http://{address}")).collect()
    }

    /// The name of this server: as configured, or made of the first label of `hostname`, or `server`.
    pub fn server_id(&self, hostname: Option<&str>) -> String {
        if let Some(id) = &self.server.id {
            return id.to_ascii_lowercase();
        }
        let label = hostname.unwrap_or_default().trim().split('.').next().unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let made: String = label.chars().map(plain).take(crate::model::name::MAX_LABEL).collect();
        match made.trim_matches('-') {
            "" => "server".to_owned(),
            id => id.to_owned(),
        }
    }
}
