//! What keys mean together: everything that can be known to be wrong before anything binds.

use std::net::SocketAddr;

use super::{Config, ConfigError, StoreKind, reverse};
use crate::model::label::{LabelKind, parse_label};
use crate::model::naming::{Naming, NamingError};
use crate::model::{Finding, Name};

/// The smallest maximum of a UDP answer (RFC 1035 section 4.2.1).
pub const UDP_SMALLEST: u16 = 512;
/// The largest maximum of a UDP answer: what the workers' buffers hold.
pub const UDP_LARGEST: u16 = 8192;

/// Collects what is wrong, each with its key.
struct Check<'c> {
    config: &'c Config,
    findings: Vec<Finding>,
}

impl Config {
    /// Checks everything that can be checked without touching files or sockets; all errors, not only the first.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut check = Check { config: self, findings: Vec::new() };
        check.listening();
        check.limits();
        check.cookies();
        check.encrypted();
        check.identity();
        check.zones();
        check.store();
        check.policy();
        check.keys();
        if check.findings.is_empty() { Ok(()) } else { Err(ConfigError::Wrong(check.findings)) }
    }

    /// What works and is probably not what was meant, each in one sentence.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warnings.extend(self.tsig_warnings());
        if self.store.kind == StoreKind::Embedded && !self.store.endpoints.is_empty() {
            warnings.push("store.endpoints: the embedded store has none; they are not used".into());
        }
        warnings.extend(self.dns.encrypted.warnings());
        for zone in &self.zone {
            let own_ns = zone.ns.is_empty() || zone.ns.iter().any(|ns| ns.is_within(&zone.name));
            let without = zone.ns_addresses.is_empty() && self.listen_addresses().is_empty();
            if own_ns && without && self.zones_dir.is_none() && zone.file.is_none() {
                warnings.push(format!(
                    "zone {}: its name servers get no addresses, because dns.listen has only wildcards; set ns_addresses",
                    zone.name
                ));
            }
        }
        warnings
    }
}

impl Check<'_> {
    fn wrong(&mut self, key: &str, message: impl AsRef<str>) {
        self.findings.push(self.config.source.finding(key, message.as_ref()));
    }

    fn listening(&mut self) {
        let (dns, http, encrypted) = (&self.config.dns.listen, &self.config.http.listen, &self.config.dns.encrypted);
        if dns.is_empty() {
            self.wrong("dns.listen", "is empty; name at least one address such as \"127.0.0.1:5300\"");
        }
        let named = |key: &'static str, addresses: &[SocketAddr]| {
            let keyed = addresses.iter().enumerate().map(move |(at, address)| (format!("{key}[{at}]"), *address));
            keyed.collect::<Vec<_>>()
        };
        let (dns, quic) = (named("dns.listen", dns), named("dns.encrypted.quic", &encrypted.quic));
        let tls = [named("dns.encrypted.tls", &encrypted.tls), named("dns.encrypted.https", &encrypted.https)].concat();
        let tcp = [&dns[..], &named("http.listen", http), &tls].concat();
        let udp = [dns, quic].concat();
        let twice = |all: &[(String, SocketAddr)], from: usize| {
            let keyed = all.iter().enumerate().skip(from);
            let twice = keyed.filter_map(|(at, (key, address))| {
                let (other, _) = all[..at].iter().find(|(_, other)| other == address && address.port() != 0)?;
                Some((key.clone(), format!("{address} stands in {other} already")))
            });
            twice.collect::<Vec<_>>()
        };
        for (key, message) in [twice(&tcp, 0), twice(&udp, self.config.dns.listen.len())].concat() {
            self.wrong(&key, message);
        }
    }

    fn encrypted(&mut self) {
        for (key, message) in self.config.dns.encrypted.faults() {
            self.wrong(key, message);
        }
    }

    fn limits(&mut self) {
        let Config { dns, http, .. } = self.config;
        let udp = |size: u16| {
            let fits = (UDP_SMALLEST..=UDP_LARGEST).contains(&size);
            (!fits).then(|| format!("{size} is out of range; expected {UDP_SMALLEST} to {UDP_LARGEST} octets"))
        };
        let sizes = dns.udp_max_for.iter().enumerate();
        let sizes = sizes.map(|(at, item)| (format!("dns.udp_max_for[{at}].size"), item.size));
        for (key, size) in std::iter::once(("dns.udp_max".to_owned(), dns.udp_max)).chain(sizes) {
            if let Some(message) = udp(size) {
                self.wrong(&key, message);
            }
        }
        if dns.workers > 1024 {
            self.wrong("dns.workers", format!("{} is out of range; expected 0 to 1024", dns.workers));
        }
        for (key, zero) in [
            ("dns.tcp.per_client", dns.tcp.per_client == 0),
            ("dns.tcp.in_flight", dns.tcp.in_flight == 0),
            ("dns.tcp.first_query", dns.tcp.first_query.is_zero()),
            ("dns.tcp.idle", dns.tcp.idle.is_zero()),
            ("dns.tcp.lifetime", dns.tcp.lifetime.is_zero()),
            ("store.history", self.config.store.history.is_zero()),
            ("store.history_changes", self.config.store.history_changes == 0),
        ] {
            if zero {
                self.wrong(key, "must be more than 0");
            }
        }
        for (key, message) in dns.rate_limit.findings().into_iter().chain(self.config.guard.findings()) {
            self.wrong(key, message);
        }
        if !(1024..=16 << 20).contains(&http.body_limit) {
            self.wrong("http.body_limit", format!("{} octets; expected 1KiB to 16MiB", http.body_limit));
        }
    }

    fn cookies(&mut self) {
        for (key, message) in self.config.dns.cookies.faults() {
            self.wrong(&key, message);
        }
    }

    fn identity(&mut self) {
        let server = &self.config.server;
        if let Some(Err(refusal)) = server.id.as_deref().map(|id| parse_label(LabelKind::Instance, id)) {
            self.wrong("server.id", refusal.detail);
        }
        for (at, url) in server.advertise.iter().enumerate() {
            let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
                let message = format!("\"{url}\" is not a base URL such as http://192.0.2.1:8053");
                self.wrong(&format!("server.advertise[{at}]"), message);
            }
        }
        let naming = &self.config.naming;
        if let Err(error) = Naming::new(&naming.presets, &naming.template) {
            let key = match error {
                NamingError::UnknownPreset(_) | NamingError::NoHost => "naming.presets",
                _ => "naming.template",
            };
            self.wrong(key, error.to_string());
        }
    }

    fn zones(&mut self) {
        let Config { zone, reverse, .. } = self.config;
        for (at, settings) in zone.iter().enumerate() {
            if settings.name == Name::root() {
                self.wrong(&format!("zone[{at}].name"), "is missing, or the root, which takes no registrations");
            } else if zone[..at].iter().any(|other| other.name == settings.name) {
                self.wrong(&format!("zone[{at}].name"), format!("{} is declared twice", settings.name));
            }
            if settings.file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
                self.wrong(&format!("zone[{at}].file"), "is empty; name a zone file such as \"db.example.org\"");
            }
            for (index, address) in settings.ns_addresses.iter().enumerate() {
                if address.is_unspecified() || address.is_multicast() {
                    let message = format!("{address} is not the address of a host");
                    self.wrong(&format!("zone[{at}].ns_addresses[{index}]"), message);
                }
            }
        }
        let mut seen: Vec<Name> = Vec::new();
        for (at, text) in reverse.iter().enumerate() {
            match reverse::parse(text) {
                Ok(name) if seen.contains(&name) => {
                    self.wrong(&format!("reverse[{at}]"), format!("the zone {name} is named twice"));
                }
                Ok(name) => seen.push(name),
                Err(message) => self.wrong(&format!("reverse[{at}]"), message),
            }
        }
    }

    fn store(&mut self) {
        let store = &self.config.store;
        if store.kind == StoreKind::Etcd {
            self.wrong("store.kind", "\"etcd\" comes with a later release; use \"embedded\"");
        }
        if self.config.data_dir.as_os_str().is_empty() {
            self.wrong("data_dir", "is empty; name a directory such as \"var\"");
        }
    }

    fn policy(&mut self) {
        for (at, site) in self.config.policy.sites.iter().enumerate() {
            if let Err(refusal) = parse_label(LabelKind::Site, site) {
                self.wrong(&format!("policy.sites[{at}]"), refusal.detail);
            }
        }
    }

    fn keys(&mut self) {
        for (key, message) in self.config.tsig_faults() {
            self.wrong(&key, message);
        }
    }
}
