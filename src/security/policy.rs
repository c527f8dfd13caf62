//! Labels and addresses that are not let into DNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::model::label::LabelKind;
use crate::model::naming::{Naming, Publishes};
use crate::model::{Refusal, Word};

/// What the configuration says about labels, sites and addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Prefixes that are allowed although they would be refused by default.
    pub allow_addresses: Vec<IpNet>,
    /// Reserved labels that are allowed although they would be refused by default.
    pub allow_labels: Vec<String>,
    /// The closed list of sites; empty: any.
    pub sites: Vec<String>,
}

/// Labels that mean something to resolvers, hosts or clients, and what.
const RESERVED: [(&str, &str); 4] = [
    ("localhost", "hosts take it for themselves"),
    ("wpad", "browsers look for a proxy there"),
    ("isatap", "hosts look for a tunnel there"),
    ("all", "it stands for every tier of sites"),
];

/// The cloud metadata address of IPv6; that of IPv4 is link-local anyway.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

impl Policy {
    /// Refuses a folded label that is reserved, by itself or by a pattern of the active naming.
    pub fn check_label(&self, kind: LabelKind, label: &str, naming: &Naming) -> Result<(), Refusal> {
        let why = match RESERVED.iter().find(|(reserved, _)| *reserved == label) {
            Some((_, why)) => why,
            None if is_in_naming(kind, label, naming) => "a pattern of the active naming has it",
            None => return Ok(()),
        };
        if self.allow_labels.iter().any(|allowed| allowed.eq_ignore_ascii_case(label)) {
            return Ok(());
        }
        let detail = format!(
            "{} label \"{label}\" is reserved: {why}; choose another one, or list it in policy.allow_labels",
            kind.as_str()
        );
        Err(Refusal::new(Word::ReservedName, detail))
    }

    /// Refuses a folded site that is not on the closed list, if there is one.
    pub fn check_site(&self, site: &str) -> Result<(), Refusal> {
        if self.sites.is_empty() || self.has_site(site) {
            return Ok(());
        }
        let sites = self.sites.join(", ");
        let detail = format!("site \"{site}\" is not one of the configured sites; there are: {sites}");
        Err(Refusal::new(Word::SiteLabel, detail))
    }

    /// Whether the closed list has this folded site.
    pub fn has_site(&self, site: &str) -> bool {
        self.sites.iter().any(|listed| listed.eq_ignore_ascii_case(site))
    }

    /// Refuses an address that would lead clients to themselves, to nowhere or to everybody.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        let Some(what) = suspicious(address) else { return Ok(()) };
        if self.allow_addresses.iter().any(|prefix| prefix.contains(&address)) {
            return Ok(());
        }
        let detail = format!(
            "address {address} is {what}; give an address that clients on other machines can reach, or list its prefix \
             in policy.allow_addresses"
        );
        Err(Refusal::new(Word::AddressRefused, detail))
    }

    /// Whether this label is reserved by itself and not allowed: as in a target such as `localhost`.
    pub fn is_reserved(&self, label: &str) -> bool {
        RESERVED.iter().any(|(reserved, _)| *reserved == label)
            && !self.allow_labels.iter().any(|allowed| allowed.eq_ignore_ascii_case(label))
    }
}

/// Whether a name made with this label could be one that a pattern gives for something else.
///
/// The patterns of DNS-SD browsing stand below `_dns-sd`, which only a service of that name can reach.
fn is_in_naming(kind: LabelKind, label: &str, naming: &Naming) -> bool {
    let browsing = |publishes| matches!(publishes, Publishes::Types | Publishes::Browse);
    naming.templates().iter().any(|template| {
        let mut labels = template.pattern.split('.');
        match browsing(template.publishes) {
            true => kind == LabelKind::Service && labels.any(|literal| literal == "_dns-sd") && label == "dns-sd",
            false => labels.any(|literal| literal == label),
        }
    })
}

fn suspicious(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => suspicious_v4(v4),
        IpAddr::V6(v6) => suspicious_v6(v6),
    }
}

fn suspicious_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address {
        METADATA_V4 => Some("the metadata address of cloud providers"),
        _ if address.octets()[0] == 0 => Some("unspecified (0.0.0.0/8)"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_link_local() => Some("a link-local address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if address.is_broadcast() => Some("the broadcast address"),
        _ if address.octets()[0] >= 240 => Some("reserved (240.0.0.0/4)"),
        _ => None,
    }
}

fn suspicious_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address {
        METADATA_V6 => Some("the metadata address of cloud providers"),
        _ if address.is_unspecified() => Some("unspecified"),
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_unicast_link_local() => Some("a link-local address"),
        _ if address.is_multicast() => Some("a multicast address"),
        _ if address.to_ipv4_mapped().is_some() => {
            Some("an IPv4 address in IPv6 form (::ffff:0:0/96); write it as IPv4")
        }
        _ if address.segments()[..6] == [0; 6] => Some("an IPv4 address in IPv6 form (::/96); write it as IPv4"),
        _ if address.segments()[0] & 0xffc0 == 0xfec0 => Some("a site-local address (fec0::/10), which is deprecated"),
        _ => embedded(address).and_then(suspicious_v4).map(|_| "a translated form of an IPv4 address that is refused"),
    }
}

/// The IPv4 address that NAT64 (RFC 6052) or 6to4 (RFC 3056) would send a packet to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => 12,
        [0x2002, ..] => 2,
        _ => return None,
    };
    Some(Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> Policy {
        let allow_addresses = allow.iter().map(|prefix| prefix.parse().expect("prefix")).collect();
        Policy { allow_addresses, ..Policy::default() }
    }

    #[test]
    fn addresses_that_lead_nowhere_are_refused() {
        for text in [
            "127.0.0.1",
            "::1",
            "169.254.1.1",
            "169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "224.0.0.251",
            "ff02::fb",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "255.255.255.255",
            "::ffff:192.0.2.1",
            "::192.0.2.1",
            "::ffff:127.0.0.1",
            "240.0.0.1",
            "fec0::1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            let refusal = policy(&[]).check_address(text.parse().expect("address")).expect_err(text);
            assert_eq!(refusal.word, Word::AddressRefused, "{text}");
            assert!(refusal.detail.contains("policy.allow_addresses"), "{}", refusal.detail);
        }
        for text in ["192.0.2.1", "10.1.2.3", "2001:db8::1", "fd00::1", "100.64.0.1"] {
            assert!(policy(&[]).check_address(text.parse().expect("address")).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_allowed_prefix_lets_its_own_form_in() {
        let loopback = policy(&["127.0.0.0/8"]);
        assert!(loopback.check_address("127.0.0.1".parse().expect("address")).is_ok());
        assert!(loopback.check_address("::1".parse().expect("address")).is_err());
        assert!(loopback.check_address("::ffff:127.0.0.1".parse().expect("address")).is_err());
        assert!(policy(&["::ffff:0:0/96"]).check_address("::ffff:127.0.0.1".parse().expect("address")).is_ok());
    }

    #[test]
    fn labels_of_the_naming_are_reserved_where_they_collide() {
        let plain = Naming::plain();
        let consul = Naming::new(&["plain".into(), "consul".into()], &[]).expect("presets");
        let word = |kind, label, naming: &Naming| policy(&[]).check_label(kind, label, naming).err().map(|r| r.word);
        assert_eq!(word(LabelKind::Service, "wpad", &plain), Some(Word::ReservedName));
        assert_eq!(word(LabelKind::Instance, "localhost", &plain), Some(Word::ReservedName));
        assert_eq!(word(LabelKind::Site, "all", &plain), Some(Word::ReservedName));
        assert_eq!(word(LabelKind::Service, "dns-sd", &plain), Some(Word::ReservedName));
        assert_eq!(word(LabelKind::Instance, "b", &plain), None);
        assert_eq!(word(LabelKind::Service, "service", &plain), None);
        assert_eq!(word(LabelKind::Service, "service", &consul), Some(Word::ReservedName));
        let allowing = Policy { allow_labels: vec!["WPAD".into()], ..Policy::default() };
        assert!(allowing.check_label(LabelKind::Service, "wpad", &plain).is_ok());
    }

    #[test]
    fn a_list_of_sites_is_closed() {
        let closed = Policy { sites: vec!["lon".into(), "STO".into()], ..Policy::default() };
        assert!(closed.check_site("sto").is_ok());
        assert_eq!(closed.check_site("par").expect_err("closed").word, Word::SiteLabel);
        assert!(Policy::default().check_site("par").is_ok());
    }
}
