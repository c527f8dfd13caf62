//! The configuration and the zone files become options of the parts.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use super::statics::Holders;
use crate::config::{Config, ConfigError, GuardSettings, ZonePlan, ZonePlanEntry, ZoneSettings, zones};
use crate::model::clock::SystemClock;
use crate::model::naming::Naming;
use crate::model::{Clock, Finding, Name, Place, Record, Rtype};
use crate::registry::Options;
use crate::registry::guard::Limits;
use crate::security::Policy;
use crate::view::compile::MOST_ZONES;
use crate::view::{Compiler, ServerFacts, ZoneSource};
use crate::wire::{Certificates, CookieOptions, EncryptedOptions, SharedKeys, TcpLimits, UdpLimits, WireOptions};
use crate::zone::{self, Checks, Loaded, StaticRecord, StaticZone};

/// The zones of this server, with the records that people wrote or that the configuration gives them.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    zones: ZonePlan,
    /// Every zone whose records are known, in no order.
    pub(super) statics: Vec<StaticZone>,
}

impl Plan {
    /// Reads the zone files. A file with an error leaves its zone without content; the findings are logged.
    pub(super) fn read(config: &Config) -> Result<Self, ConfigError> {
        let loaded = read_files(config, |zone| config.publishes_into(zone))?;
        tell(&loaded.findings);
        let broken = loaded.broken.iter().filter_map(|broken| broken.origin.clone());
        let names: Vec<Name> = loaded.zones.iter().map(|zone| zone.origin.clone()).chain(broken).collect();
        let mut zones = config.plan_zones(&names);
        for zone in loaded.zones.iter().filter(|zone| zone.is_signed()) {
            if zones.registering().any(|planned| planned.name == zone.origin) {
                tracing::info!(
                    zone = %zone.origin,
                    "the only zone file is signed, so it takes no registrations; declare a [[zone]] for them"
                );
            }
            zones.decline(&zone.origin);
        }
        Ok(Self::of(zones, loaded.zones))
    }

    /// The same zones with other files; which of them take registrations stays as it was.
    pub(super) fn reread(&self, config: &Config, files: Vec<StaticZone>) -> Self {
        let mut zones = config.plan_zones(files.iter().map(|zone| &zone.origin));
        for zone in &mut zones.zones {
            zone.registrations = self.zones.registering().any(|before| before.name == zone.name);
        }
        let kept = self.zones.registering().filter(|before| zones.zones.iter().all(|zone| zone.name != before.name));
        let kept: Vec<_> = kept.map(|zone| ZonePlanEntry { has_file: false, ..zone.clone() }).collect();
        zones.zones.extend(kept);
        Self::of(zones, files)
    }

    fn of(zones: ZonePlan, mut files: Vec<StaticZone>) -> Self {
        for zone in zones.zones.iter().filter(|zone| !zone.has_file) {
            files.push(made(&zone.settings));
        }
        Self { zones, statics: files }
    }

    /// The names of zones that registrations are published in.
    pub(super) fn registering(&self) -> Vec<Name> {
        self.zones.registering().map(|zone| zone.name.clone()).collect()
    }

    /// The longest TTL that registrations' records have in a zone, if their service declares none.
    fn longest_ttl(&self) -> u32 {
        self.zones.registering().map(|zone| zone.settings.ttl).max().unwrap_or_default()
    }

    /// Whether what is published in a zone follows the registry.
    pub(super) fn publishes_into(&self, name: &Name) -> bool {
        self.zones.zones.iter().any(|zone| zone.name == *name && (zone.registrations || zone.reverse))
    }

    /// Whether the server has a zone to register itself in.
    pub(super) fn registers_itself(&self) -> bool {
        self.zones.zones.iter().any(|zone| zone.self_register)
    }

    /// Which static record holds which name.
    pub(super) fn holders(&self) -> Holders {
        Holders::of(&self.statics)
    }

    /// The compiler of views with these zones; an error if there are too many of them.
    pub(super) fn compiler(&self, config: &Config, identity: &str) -> Result<Compiler, ConfigError> {
        let count = self.zones.zones.len();
        if count > MOST_ZONES {
            let place = config.zones_dir.as_deref().unwrap_or(Path::new("configuration")).to_string_lossy();
            let message = format!("there are {count} zones; at most {MOST_ZONES} are served");
            return Err(ConfigError::Wrong(vec![Finding::error(Place::whole(&place), message)]));
        }
        let naming = naming(config);
        let shown = |text: &str| config.dns.identity.then(|| Box::from(text));
        let version = concat!("zonebeat ", env!("CARGO_PKG_VERSION"));
        let server = ServerFacts { identity: shown(identity), version: shown(version), udp_size: config.dns.udp_max };
        let sources = self.zones.zones.iter().map(|zone| self.source(zone)).collect();
        let compiler = Compiler::new(sources, naming, server, rand_seed());
        let limit = |zone: &ZonePlanEntry| (zone.name.clone(), zone.settings.answer_limit);
        let limits: Vec<_> = self.zones.zones.iter().map(limit).filter(|(_, limit)| *limit > 0).collect();
        let compiler = compiler.with_answer_limits(&limits);
        Ok(compiler
            .with_access(self.access(config))
            .minimal(config.dns.minimal_responses)
            .explaining_to(&config.dns.explain_to))
    }

    /// The clients that may ask about each zone, where not all may: as the zone says, or else as the server does.
    fn access(&self, config: &Config) -> Vec<(Name, Arc<[IpNet]>)> {
        let allowed = |zone: &ZonePlanEntry| match zone.settings.allow_query.as_slice() {
            [] => Arc::<[IpNet]>::from(config.dns.allow_query.as_slice()),
            own => Arc::from(own),
        };
        let zones = self.zones.zones.iter().map(|zone| (zone.name.clone(), allowed(zone)));
        zones.filter(|(_, allowed)| !allowed.is_empty()).collect()
    }

    fn source(&self, zone: &ZonePlanEntry) -> ZoneSource {
        let known = self.statics.iter().find(|known| known.origin == zone.name);
        let records = known.map_or_else(|| made(&zone.settings).records, |known| known.records.clone());
        // What was signed elsewhere is answered as it is.
        let is_signed = known.is_some_and(StaticZone::is_signed);
        ZoneSource {
            apex: zone.name.clone(),
            records: records.into_iter().map(|entry| entry.record).collect(),
            registrations: zone.registrations,
            reverse: zone.reverse,
            updates: zone.updates && !is_signed,
            ttl: zone.settings.ttl,
            readable: known.is_some(),
        }
    }
}

/// Reads and parses every zone file that the configuration names and those of its directory. Files of zones that follow
/// the registry may not be signed.
pub(super) fn read_files(config: &Config, follows_registry: impl Fn(&Name) -> bool) -> Result<Loaded, ConfigError> {
    let chosen = config.zone_files()?;
    let mut loaded = zone::load_files(&checks(), &zones::read_file, &chosen.files);
    loaded.refuse_signed(&chosen.files, follows_registry);
    loaded.findings.extend(chosen.remarks(&loaded.included));
    Ok(loaded)
}

/// Signatures are compared with the time of reading.
fn checks() -> Checks {
    let seconds = SystemClock::new().wall().0 / 1000;
    Checks { now: u32::try_from(seconds).ok(), ..Checks::default() }
}

/// Logs what was found in zone files, with the line and a caret.
pub(super) fn tell(findings: &[Finding]) {
    for finding in findings {
        let text = finding.render(false);
        match finding.is_error() {
            true => tracing::error!(place = %finding.place, "zone file refused\n{}", text.trim_end()),
            false => tracing::warn!(place = %finding.place, "zone file\n{}", text.trim_end()),
        }
    }
}

/// The records that the configuration gives a zone without a file: SOA, NS and the addresses of its own name servers.
fn made(settings: &ZoneSettings) -> StaticZone {
    let place = Place::whole(&format!("the configuration of zone {}", settings.name));
    let mut records = vec![soa(settings)];
    for ns in &settings.ns {
        records.push(record(&settings.name, Rtype::NS, settings.ns_ttl, ns.as_wire()));
        let ours = ns.is_within(&settings.name) && *ns != settings.name;
        let addresses = settings.ns_addresses.iter().filter(|_| ours || *ns == settings.name);
        records.extend(addresses.map(|address| match address {
            std::net::IpAddr::V4(v4) => record(ns, Rtype::A, settings.ns_ttl, &v4.octets()),
            std::net::IpAddr::V6(v6) => record(ns, Rtype::AAAA, settings.ns_ttl, &v6.octets()),
        }));
    }
    let records = records.into_iter().map(|record| StaticRecord { record, place: place.clone() });
    StaticZone { origin: settings.name.clone(), records: records.collect() }
}

fn soa(settings: &ZoneSettings) -> Record {
    let primary = settings.ns.first().unwrap_or(&settings.name);
    let mut rdata = [primary.as_wire(), settings.hostmaster().as_wire()].concat();
    for number in [settings.serial, settings.refresh, settings.retry, settings.expire, settings.negative_ttl] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    record(&settings.name, Rtype::SOA, settings.soa_ttl, &rdata)
}

fn record(owner: &Name, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Record {
    Record { owner: owner.clone(), rtype, ttl, rdata: rdata.into() }
}

fn naming(config: &Config) -> Naming {
    Naming::new(&config.naming.presets, &config.naming.template).expect("validated before anything started")
}

/// A seed that nobody outside can know, so that nobody can choose names that collide.
fn rand_seed() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}

/// What the DNS side is told, without the secrets of cookies that stand in a file (see `server::cookies`).
pub(super) fn wire_options(config: &Config, certificates: Option<Arc<Certificates>>, keys: SharedKeys) -> WireOptions {
    let (dns, tcp, encrypted) = (&config.dns, &config.dns.tcp, config.dns.encrypted.clone());
    let by_prefix = dns.udp_max_for.iter().map(|row| (row.prefix, usize::from(row.size)));
    let defaults = TcpLimits::default();
    WireOptions {
        listen: dns.listen.clone(),
        workers: NonZeroUsize::new(dns.workers),
        udp: UdpLimits { max: usize::from(dns.udp_max), by_prefix: by_prefix.collect() },
        rate_limit: dns.rate_limit.clone(),
        tcp: TcpLimits {
            connections: connections(tcp.connections, defaults.connections),
            connections_per_client: tcp.per_client,
            first_query: tcp.first_query,
            idle: tcp.idle,
            in_flight: tcp.in_flight,
            lifetime: tcp.lifetime,
            ..defaults
        },
        cookies: CookieOptions {
            enabled: dns.cookies.enabled,
            require: dns.cookies.require,
            rotation: dns.cookies.rotation,
            secrets: Vec::new(),
        },
        transfer_from: dns.transfer_from.clone(),
        encrypted: EncryptedOptions {
            tls: encrypted.tls,
            https: encrypted.https,
            https_path: encrypted.https_path,
            quic: encrypted.quic,
            certificates,
        },
        keys,
    }
}

/// How many connections there may be: what is asked for, and at most half of the descriptors. Those that are ending
/// take up to a quarter more of them, and HTTP and the store need the rest.
fn connections(asked: usize, most: usize) -> usize {
    match asked {
        0 => most,
        asked if asked > most => {
            tracing::warn!(
                asked,
                most,
                "dns.tcp.connections is more than half of the limit of open files, which is the most; raise LimitNOFILE"
            );
            most
        }
        asked => asked,
    }
}

/// The certificate of the encrypted transports, if any listens.
pub(super) fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, ConfigError> {
    config.read_certificate()?; // says where in the configuration a wrong file is named
    let loaded = config.dns.encrypted.files().map(Certificates::load).transpose();
    loaded.map_err(|error| ConfigError::Read { path: error.path.clone(), source: std::io::Error::other(error.message) })
}

/// What the registry is told.
pub(super) fn registry_options(config: &Config, plan: &Plan, http: &[SocketAddr]) -> Options {
    let policy = &config.policy;
    Options {
        zones: plan.registering(),
        naming: naming(config),
        policy: Policy {
            allow_addresses: policy.allow_addresses.clone(),
            allow_labels: policy.allow_labels.clone(),
            sites: policy.sites.clone(),
        },
        history: config.store.history,
        servers: config.advertised(http),
        ttl: plan.longest_ttl(),
        guard: guard(config),
    }
}

fn guard(config: &Config) -> Limits {
    let GuardSettings { share, least, hold, fleet_hold, fleet_release } = config.guard;
    Limits { share, least, hold, fleet_hold, fleet_release }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_zones_than_entries_can_number_are_an_error() {
        let zone = |number: usize| ZonePlanEntry {
            name: Name::parse_absolute(&format!("z{number}.example.org")).expect("a name"),
            settings: ZoneSettings::default(),
            has_file: true,
            registrations: false,
            reverse: false,
            self_register: false,
            updates: false,
        };
        let plan = Plan { zones: ZonePlan { zones: (0..=MOST_ZONES).map(zone).collect() }, statics: Vec::new() };
        let error = plan.compiler(&Config::default(), "ns1").expect_err("one zone too many");
        assert!(error.to_string().contains("65537 zones; at most 65536"), "{error}");
    }

    #[test]
    fn the_guard_has_the_same_limits_with_a_configuration_and_without() {
        assert_eq!(guard(&Config::default()), Limits::default());
    }

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!([0, 100, 512, 3000].map(|asked| connections(asked, 512)), [512, 100, 512, 512]);
    }
}
