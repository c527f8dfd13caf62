//! `services.d`: one service per file, as people write it.
//!
//! ```text
//! search.toml --read_toml--> ServiceFile --plan--> [Planned], one per instance
//! ```
//!
//! Keys at the top of a file hold for each of its instances; `[[instance]]` overrides them. Unknown keys are errors
//! with a suggestion, and every error says file, line and column. [`schema`] describes the same types as JSON Schema,
//! made from their definition, so that editors complete what the parser takes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::check::Spec;
use super::identity;
use crate::config::{finding_at, read_toml, value};
use crate::model::api::Registration;
use crate::model::label::{LabelKind, parse_label};
use crate::model::{Finding, Name};

/// Service and instance label: what a session names an instance by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.service, self.id)
    }
}

/// An instance as it is to be registered, and what decides whether it may be in the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Its labels.
    pub key: Key,
    /// What is registered.
    pub registration: Registration,
    /// All of them have to pass.
    pub checks: Vec<Spec>,
    /// The file that says so.
    pub file: Arc<str>,
}

/// A service and its instances on this host: one file of `services.d`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    /// Service label; the file's name without `.toml` if missing.
    service: Option<String>,
    /// Instance label; the host's first label, a hyphen and the port if missing.
    id: Option<String>,
    /// Port that the instance listens on.
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    /// Protocol label; `tcp` if missing.
    proto: Option<String>,
    /// Addresses that it is reached at; the one that the server sees if missing.
    #[schema(value_type = Option<Vec<String>>)]
    addresses: Option<Vec<IpAddr>>,
    /// Existing host to point to, instead of addresses.
    target: Option<String>,
    /// Data centre or region.
    site: Option<String>,
    /// SRV priority, lower is preferred.
    priority: Option<u16>,
    /// SRV weight among equal priorities.
    weight: Option<u16>,
    /// Labels that select subsets.
    tags: Option<Vec<String>>,
    /// Facts for the TXT record.
    metadata: Option<BTreeMap<String, String>>,
    /// Checks of every instance that has none of its own.
    #[serde(default)]
    #[schema(required = false)]
    check: Vec<CheckTable>,
    /// Instances, when the service has several on this host.
    #[serde(default)]
    #[schema(required = false)]
    instance: Vec<InstanceTable>,
}

/// One of several instances; what it leaves out is taken from the top of the file.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceTable {
    /// Instance label.
    id: Option<String>,
    /// Port that it listens on.
    #[schema(minimum = 1, maximum = 65535)]
    port: Option<u16>,
    /// Addresses that it is reached at.
    #[schema(value_type = Option<Vec<String>>)]
    addresses: Option<Vec<IpAddr>>,
    /// Existing host to point to, instead of addresses.
    target: Option<String>,
    /// Data centre or region.
    site: Option<String>,
    /// SRV priority, lower is preferred.
    priority: Option<u16>,
    /// SRV weight among equal priorities.
    weight: Option<u16>,
    /// Labels that select subsets.
    tags: Option<Vec<String>>,
    /// Facts for the TXT record.
    metadata: Option<BTreeMap<String, String>>,
    /// Checks of this instance, in place of those of the file.
    #[serde(default)]
    #[schema(required = false)]
    check: Vec<CheckTable>,
}

/// One check. The instance is in the answers while all of its checks pass.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckTable {
    /// What to do: `tcp`, `http:/path`, `https:/path`, `grpc`, `grpcs`, `exec:COMMAND`, `process:PIDFILE` or `ttl`. The
    /// network ones go to 127.0.0.1 and the instance's port unless they name a host: `tcp:HOST:PORT`,
    /// `http://HOST:PORT/path`, `grpc://HOST:PORT/service`.
    pub probe: String,
    /// Time between two probes.
    #[serde(default = "default_interval", deserialize_with = "value::duration")]
    #[schema(value_type = String, default = "5s")]
    pub interval: Duration,
    /// How long a probe may take.
    #[serde(default = "default_timeout", deserialize_with = "value::duration")]
    #[schema(value_type = String, default = "2s")]
    pub timeout: Duration,
    /// How many in a row have to pass before a failing check passes.
    #[serde(default = "default_rise")]
    #[schema(minimum = 1, maximum = 100, default = 1)]
    pub rise: u32,
    /// How many in a row have to fail before a passing check fails; 1 for `process` and `ttl`.
    #[schema(minimum = 1, maximum = 100, default = 3)]
    pub fall: Option<u32>,
    /// HTTP status that passes: `200`, or a range such as `200-399`.
    #[schema(default = "200-299")]
    pub status: Option<String>,
    /// Text that the body of an HTTP reply has to contain.
    pub contains: Option<String>,
    /// PEM file of the authorities that a certificate has to come from (`https`, `grpcs`); not verified if missing.
    #[schema(value_type = Option<String>)]
    pub ca: Option<PathBuf>,
    /// Name that a certificate has to have; the host that is asked if missing.
    pub server_name: Option<String>,
    /// How long a report over the agent's socket holds (`ttl`).
    #[serde(default = "default_ttl", deserialize_with = "value::duration")]
    #[schema(value_type = String, default = "30s")]
    pub ttl: Duration,
}

fn default_interval() -> Duration {
    Duration::from_secs(5)
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}

fn default_rise() -> u32 {
    1
}

fn default_ttl() -> Duration {
    Duration::from_secs(30)
}

impl CheckTable {
    /// A check with the defaults.
    pub fn new(probe: &str) -> Self {
        Self {
            probe: probe.to_owned(),
            interval: default_interval(),
            timeout: default_timeout(),
            rise: default_rise(),
            fall: None,
            status: None,
            contains: None,
            ca: None,
            server_name: None,
            ttl: default_ttl(),
        }
    }
}

/// Reads one file. `file` is its name in messages, `stem` the service label if the file has none, `host` makes ids.
pub fn parse(file: &str, stem: &str, host: &str, text: &str) -> Result<Vec<Planned>, Vec<Finding>> {
    let service: ServiceFile = read_toml(file, text).map_err(|finding| vec![*finding])?;
    let mut reading = Reading { file, text, findings: Vec::new() };
    let label = service.service.clone().unwrap_or_else(|| stem.to_owned());
    let label = reading.label(LabelKind::Service, "service", Some(label)).unwrap_or_default();
    let tables = instances(&service, &mut reading);
    let planned: Vec<_> =
        tables.iter().filter_map(|(path, table)| reading.plan(&label, path, table, &service, host)).collect();
    reading.distinct(&planned, &tables);
    if reading.findings.is_empty() { Ok(planned) } else { Err(reading.findings) }
}

/// The instances of a file with the path of their keys: the top of the file is one itself when it lists none.
fn instances(service: &ServiceFile, reading: &mut Reading<'_>) -> Vec<(String, InstanceTable)> {
    if service.instance.is_empty() {
        let table = InstanceTable { id: service.id.clone(), port: service.port, ..InstanceTable::default() };
        return vec![(String::new(), table)];
    }
    if service.id.is_some() {
        reading.wrong("id", "an id at the top is for a file without [[instance]]; give each instance its own");
    }
    let path = |at: usize| format!("instance[{at}].");
    service.instance.iter().enumerate().map(|(at, table)| (path(at), table.clone())).collect()
}

/// A file while it is read: collects what is wrong.
struct Reading<'f> {
    file: &'f str,
    text: &'f str,
    findings: Vec<Finding>,
}

impl Reading<'_> {
    fn wrong(&mut self, key: &str, message: impl Into<String>) {
        self.findings.push(finding_at(self.file, self.text, key, message));
    }

    fn label(&mut self, kind: LabelKind, key: &str, text: Option<String>) -> Option<String> {
        match parse_label(kind, &text?) {
            Ok(label) => Some(label),
            Err(refusal) => {
                self.wrong(key, refusal.detail);
                None
            }
        }
    }

    fn plan(
        &mut self,
        service: &str,
        path: &str,
        own: &InstanceTable,
        top: &ServiceFile,
        host: &str,
    ) -> Option<Planned> {
        let at = |key: &str| format!("{path}{key}");
        let Some(port) = own.port.or(top.port).filter(|port| *port > 0) else {
            self.wrong(&at("port"), format!("{} has no port from 1 to 65535", self.called(path)));
            return None;
        };
        let id = own.id.clone().map_or_else(|| identity::default_id(host, port), Ok);
        let id = id.map_err(|error| self.wrong(path.trim_end_matches('.'), format!("{error} as \"id\""))).ok();
        let id = self.label(LabelKind::Instance, &at("id"), id);
        let site = self.label(LabelKind::Site, &at("site"), own.site.clone().or_else(|| top.site.clone()));
        let proto = self.label(LabelKind::Proto, "proto", top.proto.clone());
        let tags = own.tags.clone().or_else(|| top.tags.clone()).unwrap_or_default();
        let tags = tags.into_iter().filter_map(|tag| self.label(LabelKind::Tag, &at("tags"), Some(tag))).collect();
        let (addresses, target) = self.whereabouts(path, own, top);
        let registration = Registration {
            port: port.into(),
            proto,
            addresses,
            target,
            site,
            priority: own.priority.or(top.priority).map(i64::from),
            weight: own.weight.or(top.weight).map(i64::from),
            tags,
            metadata: own.metadata.clone().or_else(|| top.metadata.clone()).unwrap_or_default(),
            ..Registration::default()
        };
        let checks = self.checks(path, own, top, port);
        let key = Key { service: service.to_owned(), id: id? };
        Some(Planned { key, registration, checks, file: self.file.into() })
    }

    /// Addresses or target: those of the instance, or else those of the file.
    fn whereabouts(
        &mut self,
        path: &str,
        own: &InstanceTable,
        top: &ServiceFile,
    ) -> (Option<Vec<String>>, Option<String>) {
        let (addresses, target) = match (&own.addresses, &own.target) {
            (None, None) => (&top.addresses, &top.target),
            found => found,
        };
        if addresses.is_some() && target.is_some() {
            self.wrong(&format!("{path}target"), "has both addresses and target; give one of them");
        }
        if let Some(Err(error)) = target.as_ref().map(|target| Name::parse_absolute(target)) {
            self.wrong(&format!("{path}target"), error.to_string());
        }
        let texts = addresses.as_ref().map(|list| list.iter().map(ToString::to_string).collect());
        (texts, target.clone())
    }

    fn checks(&mut self, path: &str, own: &InstanceTable, top: &ServiceFile, port: u16) -> Vec<Spec> {
        let (path, tables) = if own.check.is_empty() { ("", &top.check) } else { (path, &own.check) };
        let mut specs = Vec::with_capacity(tables.len());
        for (at, table) in tables.iter().enumerate() {
            match Spec::of(table, port) {
                Ok(spec) => specs.push(spec),
                Err((key, why)) => {
                    let key = format!("{path}check[{at}].{key}");
                    // A check of the file is read once for each instance, and is wrong once.
                    let finding = finding_at(self.file, self.text, &key, why);
                    if !self.findings.contains(&finding) {
                        self.findings.push(finding);
                    }
                }
            }
        }
        specs
    }

    /// Refuses two instances with the same id.
    fn distinct(&mut self, planned: &[Planned], tables: &[(String, InstanceTable)]) {
        if planned.len() != tables.len() {
            return;
        }
        for (at, (path, _)) in tables.iter().enumerate() {
            if planned[..at].iter().any(|other| other.key == planned[at].key) {
                let message = format!("the file has two instances with the id \"{}\"", planned[at].key.id);
                self.wrong(&format!("{path}id"), message);
            }
        }
    }

    fn called(&self, path: &str) -> &'static str {
        if path.is_empty() { "the service" } else { "the instance" }
    }
}

/// Every key at the top of a file of `services.d`.
pub(super) fn keys() -> Vec<String> {
    let schema = json!(ServiceFile::schema());
    schema["properties"].as_object().into_iter().flat_map(|keys| keys.keys().cloned()).collect()
}

/// JSON Schema (2020-12) of a file of `services.d`.
pub fn schema() -> Value {
    let mut parts = Vec::new();
    ServiceFile::schemas(&mut parts);
    let definitions: BTreeMap<String, Value> = parts.into_iter().map(|(name, part)| (name, json!(part))).collect();
    let mut document = json!(ServiceFile::schema());
    document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    document["title"] = json!("zonebeat agent: a service of services.d");
    document["$defs"] = json!(definitions);
    let text = document.to_string().replace("#/components/schemas/", "#/$defs/");
    serde_json::from_str(&text).expect("a replaced path leaves JSON whole")
}
