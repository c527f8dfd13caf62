//! Which zones this server answers for, and which of them take registrations.

use std::net::IpAddr;

use super::{Config, ZoneSettings, reverse};
use crate::model::Name;

/// The zone when nothing is declared and there are no zone files.
pub const DEFAULT_ZONE: &str = "sd.internal.";

/// All zones: declared ones first, then reverse zones, then those that only have a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZonePlan {
    /// One entry a zone.
    pub zones: Vec<ZonePlanEntry>,
}

/// One zone of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZonePlanEntry {
    /// The apex.
    pub name: Name,
    /// Its settings, with name servers, their addresses and the mail address filled in. What a zone file says counts
    /// before them.
    pub settings: ZoneSettings,
    /// Whether a zone file has records of it.
    pub has_file: bool,
    /// Whether registrations are published in it.
    pub registrations: bool,
    /// Whether PTR records of registered addresses are published in it.
    pub reverse: bool,
    /// Whether the server registers itself in it.
    pub self_register: bool,
    /// Whether a TSIG key may update it.
    pub updates: bool,
}

impl ZonePlan {
    /// The zones that registrations are published in.
    pub fn registering(&self) -> impl Iterator<Item = &ZonePlanEntry> {
        self.zones.iter().filter(|zone| zone.registrations)
    }
}

impl Config {
    /// Plans the zones; `files` are the apexes of the zone files.
    ///
    /// Registrations go into every declared zone that does not decline them; reverse zones take PTR records instead.
    /// When none is declared, a single zone file that is not of a reverse zone takes them (the server does not register
    /// itself there; whoever reads the files leaves out what is signed, see [`ZonePlan::decline`]); when there are no
    /// files either, [`DEFAULT_ZONE`] does.
    pub fn plan_zones<'n>(&self, files: impl IntoIterator<Item = &'n Name>) -> ZonePlan {
        let files: Vec<&Name> = files.into_iter().collect();
        let wanted_reverse = self.reverse_zones();
        let mut plan = ZonePlan::default();
        for settings in self.zone.iter().filter(|zone| zone.name != Name::root()) {
            let of_addresses = reverse::is_reverse(&settings.name);
            let reverse = wanted_reverse.contains(&settings.name) || (of_addresses && settings.takes_registrations());
            let registrations = settings.takes_registrations() && !of_addresses;
            plan.add(settings.clone(), reverse, registrations, self.server.self_register);
        }
        if plan.zones.is_empty() {
            self.plan_undeclared(&files, &mut plan);
        }
        for name in wanted_reverse {
            plan.add(ZoneSettings::new(name), true, false, false);
        }
        for name in &files {
            plan.add(ZoneSettings::new((*name).clone()), false, false, false);
        }
        self.fill(&mut plan, &files);
        plan.zones.iter_mut().for_each(|zone| zone.updates = self.may_be_updated(&zone.name) && !zone.reverse);
        plan
    }

    /// No zone is declared: the only forward zone file takes registrations, or the default zone does.
    fn plan_undeclared(&self, files: &[&Name], plan: &mut ZonePlan) {
        let mut forward = files.iter().filter(|name| !reverse::is_reverse(name));
        match (forward.next(), forward.next()) {
            (Some(only), None) => plan.add(ZoneSettings::new((*only).clone()), false, true, false),
            (None, _) if files.is_empty() => {
                let name = Name::parse_absolute(DEFAULT_ZONE).expect("the default zone is a name");
                plan.add(ZoneSettings::new(name), false, true, self.server.self_register);
            }
            _ => {}
        }
    }

    /// Whether a TSIG key may update a zone.
    fn may_be_updated(&self, zone: &Name) -> bool {
        self.tsig_key.iter().any(|key| key.updates(zone))
    }

    /// Whether the configuration says that a zone follows the registry, instead of leaving it to the files.
    pub fn publishes_into(&self, zone: &Name) -> bool {
        let declared = self.zone.iter().any(|settings| settings.name == *zone && settings.takes_registrations());
        declared || self.reverse_zones().contains(zone)
    }

    /// The names of `reverse` that are right; wrong ones are for `validate`.
    fn reverse_zones(&self) -> Vec<Name> {
        self.reverse.iter().filter_map(|text| reverse::parse(text).ok()).collect()
    }

    /// Fills in name servers, addresses and mail addresses. Reverse zones take those of the first zone with
    /// registrations.
    fn fill(&self, plan: &mut ZonePlan, files: &[&Name]) {
        let first = plan.registering().next().map(|zone| zone.settings.clone());
        for zone in &mut plan.zones {
            zone.has_file = files.contains(&&zone.name);
            let borrowed = first.as_ref().filter(|_| zone.reverse);
            let settings = &mut zone.settings;
            if settings.hostmaster.is_none() {
                settings.hostmaster = Some(borrowed.unwrap_or(settings).hostmaster());
            }
            if settings.ns.is_empty() {
                settings.ns = borrowed.map_or_else(|| default_ns(settings), default_ns);
            }
            if settings.ns_addresses.is_empty() && settings.ns.iter().any(|ns| ns.is_within(&settings.name)) {
                settings.ns_addresses = self.listen_addresses();
            }
        }
    }

    /// The addresses that DNS listens on, wildcards left out.
    pub(super) fn listen_addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> =
            self.dns.listen.iter().map(|address| address.ip()).filter(|ip| !ip.is_unspecified()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}

impl ZonePlan {
    /// Publishes nothing in a zone.
    pub fn decline(&mut self, name: &Name) {
        for zone in self.zones.iter_mut().filter(|zone| zone.name == *name) {
            (zone.registrations, zone.reverse, zone.self_register) = (false, false, false);
        }
    }

    /// Adds a zone if it is not planned yet.
    fn add(&mut self, settings: ZoneSettings, reverse: bool, registrations: bool, self_register: bool) {
        if self.zones.iter().any(|zone| zone.name == settings.name) {
            return;
        }
        self.zones.push(ZonePlanEntry {
            name: settings.name.clone(),
            settings,
            has_file: false,
            registrations,
            reverse,
            self_register: registrations && self_register,
            updates: false,
        });
    }
}

fn default_ns(settings: &ZoneSettings) -> Vec<Name> {
    match settings.ns.as_slice() {
        [] => vec![settings.name.child(b"ns1").unwrap_or_else(|_| settings.name.clone())],
        configured => configured.to_vec(),
    }
}
