//! Values that callers send: checked one by one, each refusal with the value and what would be accepted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::super::{DEFAULT_LEASE_SECONDS, DEFAULT_PRIORITY, DEFAULT_PROTO, DEFAULT_WEIGHT, Options};
use crate::model::api::Registration;
use crate::model::label::{LabelKind, parse_label};
use crate::model::{Endpoint, Name, Principal, Refusal, Word};

/// Shortest and longest lease, in seconds: two beats must fit into it; nobody is silent for more than a day.
const LEASES: std::ops::RangeInclusive<i64> = 2..=86_400;
const MOST_ADDRESSES: usize = 16;
const MOST_TAGS: usize = 32;
const MOST_METADATA: usize = 64;
const LONGEST_KEY: usize = 63;
/// A string of a TXT record (RFC 1035 section 3.3.14).
const LONGEST_PAIR: usize = 255;
const LONGEST_METADATA: usize = 4096;
const LONGEST_SESSION: usize = 128;
const LONGEST_EPOCH: usize = 64;
const LONGEST_OUT: usize = 200;

/// Keys and values, sorted by key.
type Pairs = Box<[(Box<str>, Box<str>)]>;

/// What a registration says, checked and with the defaults filled in.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) proto: Arc<str>,
    pub(super) port: u16,
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) site: Option<Arc<str>>,
    pub(super) endpoint: Endpoint,
    pub(super) tags: Box<[Box<str>]>,
    pub(super) metadata: Pairs,
    pub(super) lease_seconds: u32,
    pub(super) epoch: Option<Arc<str>>,
    /// Why it is not to be answered now.
    pub(super) out: Option<Box<str>>,
}

/// Checks a registration; who sent it is its address if it names none.
pub(super) fn validate(
    options: &Options,
    principal: &Principal,
    registration: &Registration,
) -> Result<Facts, Refusal> {
    let proto = registration.proto.as_deref().unwrap_or(DEFAULT_PROTO);
    let site = registration.site.as_deref().map(|site| label(LabelKind::Site, site)).transpose()?;
    Ok(Facts {
        proto: label(LabelKind::Proto, proto)?.into(),
        port: port(registration.port)?,
        priority: number("priority", registration.priority, DEFAULT_PRIORITY)?,
        weight: number("weight", registration.weight, DEFAULT_WEIGHT)?,
        site: site.map(Into::into),
        endpoint: endpoint(options, principal, registration)?,
        tags: tags(&registration.tags)?,
        metadata: metadata(&registration.metadata)?,
        lease_seconds: lease(registration.lease_seconds)?,
        epoch: registration.epoch.as_deref().map(epoch).transpose()?,
        out: registration.out.as_deref().map(out).transpose()?,
    })
}

/// Checks an epoch: what a process or agent chose when it started.
pub(super) fn epoch(text: &str) -> Result<Arc<str>, Refusal> {
    if (1..=LONGEST_EPOCH).contains(&text.len()) {
        return Ok(text.into());
    }
    bad(format!("epoch has {} octets; use 1 to {LONGEST_EPOCH}", text.len()))
}

/// Checks why an instance is not to be answered: words for people, in lists and in EDE.
fn out(text: &str) -> Result<Box<str>, Refusal> {
    if text.is_empty() || text.len() > LONGEST_OUT {
        return bad(format!("out has {} octets; use 1 to {LONGEST_OUT}, or leave it out to be answered", text.len()));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(control) => bad(format!("out has the control character \"{}\"; leave that away", control.escape_debug())),
        None => Ok(text.into()),
    }
}

/// Checks and folds a label.
pub(super) fn label(kind: LabelKind, text: &str) -> Result<String, Refusal> {
    parse_label(kind, text)
}

/// Checks the name of a session. It never becomes a DNS label, and its case counts.
pub(super) fn session_name(text: &str) -> Result<Arc<str>, Refusal> {
    let right = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.:@".contains(&octet);
    if (1..=LONGEST_SESSION).contains(&text.len()) && text.bytes().all(right) {
        return Ok(text.into());
    }
    let shown = text.escape_debug();
    bad(format!("session \"{shown}\" is not 1 to {LONGEST_SESSION} letters, digits or characters of \"-_.:@\""))
}

/// Checks how long somebody may be silent.
pub(super) fn lease(seconds: Option<i64>) -> Result<u32, Refusal> {
    let seconds = seconds.unwrap_or(DEFAULT_LEASE_SECONDS);
    match u32::try_from(seconds) {
        Ok(lease) if LEASES.contains(&seconds) => Ok(lease),
        _ => {
            let detail = format!("lease_seconds {seconds} is out of range; use {} to {}", LEASES.start(), LEASES.end());
            Err(Refusal::new(Word::BadLease, detail))
        }
    }
}

fn port(port: i64) -> Result<u16, Refusal> {
    match u16::try_from(port) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Refusal::new(Word::BadPort, format!("port {port} is out of range; use 1 to 65535"))),
    }
}

pub(super) fn number(field: &str, value: Option<i64>, default: u16) -> Result<u16, Refusal> {
    let Some(value) = value else { return Ok(default) };
    u16::try_from(value).or_else(|_| bad(format!("{field} {value} is out of range; use 0 to 65535")))
}

fn endpoint(options: &Options, principal: &Principal, registration: &Registration) -> Result<Endpoint, Refusal> {
    match (&registration.target, &registration.addresses) {
        (Some(_), Some(_)) => bad("both target and addresses are given; give one of them".into()),
        (Some(target), None) => self::target(options, target).map(Endpoint::Host),
        (None, Some(addresses)) => self::addresses(options, addresses).map(Endpoint::Addresses),
        (None, None) => own_address(options, principal).map(|address| Endpoint::Addresses([address].into())),
    }
}

fn addresses(options: &Options, texts: &[String]) -> Result<Box<[IpAddr]>, Refusal> {
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        match text.parse::<IpAddr>() {
            Ok(address) => addresses.push(address),
            Err(_) => return bad(format!("\"{}\" is not an IPv4 or IPv6 address", text.escape_debug())),
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return bad("addresses is an empty list; leave it out to use the caller's address".into());
    }
    if addresses.len() > MOST_ADDRESSES {
        return bad(format!("addresses has {} entries; at most {MOST_ADDRESSES} are allowed", addresses.len()));
    }
    for address in &addresses {
        options.policy.check_address(*address)?;
    }
    Ok(addresses.into())
}

fn own_address(options: &Options, principal: &Principal) -> Result<IpAddr, Refusal> {
    let address = match principal {
        Principal::Anonymous(peer) | Principal::Token { peer, .. } => peer.ip().to_canonical(),
        Principal::Key { peer, .. } => peer.to_canonical(),
        Principal::Server => return bad("addresses is missing, and the server is no caller with an address".into()),
    };
    options.policy.check_address(address).map_err(|refusal| {
        let detail = format!("addresses is missing, and the caller's {}", refusal.detail);
        Refusal::new(refusal.word, detail)
    })?;
    Ok(address)
}

/// Checks a host name (RFC 1123 section 2.1) as SRV target.
fn target(options: &Options, text: &str) -> Result<Name, Refusal> {
    let shown = text.escape_debug();
    if text.parse::<IpAddr>().is_ok() {
        return bad(format!("target \"{shown}\" is an address; give it in addresses"));
    }
    let name = match Name::parse_absolute(text) {
        Ok(name) => name,
        Err(error) => return bad(format!("target \"{shown}\" is not a name: {error}")),
    };
    let right = |label: &[u8]| {
        label.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-')
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    };
    let Some(last) = name.labels().last() else {
        return bad("target is the root; name a host".into());
    };
    if !name.labels().all(right) || last.iter().all(u8::is_ascii_digit) {
        return bad(format!(
            "target \"{shown}\" is not a host name; use labels of letters, digits and hyphens, the last not a number"
        ));
    }
    if std::str::from_utf8(last).is_ok_and(|last| options.policy.is_reserved(last)) {
        let detail =
            format!("target \"{shown}\" means something else on every machine; name a host that all clients know");
        return Err(Refusal::new(Word::AddressRefused, detail));
    }
    Ok(name)
}

fn tags(texts: &[String]) -> Result<Box<[Box<str>]>, Refusal> {
    let mut tags =
        texts.iter().map(|tag| label(LabelKind::Tag, tag).map(Into::into)).collect::<Result<Vec<Box<str>>, _>>()?;
    tags.sort_unstable();
    tags.dedup();
    match tags.len() > MOST_TAGS {
        true => bad(format!("tags has {} entries; at most {MOST_TAGS} are allowed", tags.len())),
        false => Ok(tags.into()),
    }
}

/// Checks what becomes the TXT record of the instance (RFC 6763 section 6).
fn metadata(pairs: &BTreeMap<String, String>) -> Result<Pairs, Refusal> {
    if pairs.len() > MOST_METADATA {
        return bad(format!("metadata has {} entries; at most {MOST_METADATA} are allowed", pairs.len()));
    }
    let mut total = 0;
    for (key, value) in pairs {
        let shown = key.escape_debug();
        let printable = key.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b'=');
        if !printable || !(1..=LONGEST_KEY).contains(&key.len()) {
            return bad(format!(
                "metadata key \"{shown}\" is not 1 to {LONGEST_KEY} printable ASCII characters without \"=\""
            ));
        }
        let pair = key.len() + 1 + value.len();
        if pair > LONGEST_PAIR {
            return bad(format!(
                "metadata \"{shown}\" has {pair} octets with key and \"=\"; at most {LONGEST_PAIR} fit"
            ));
        }
        total += pair;
    }
    if total > LONGEST_METADATA {
        return bad(format!("metadata has {total} octets in all; at most {LONGEST_METADATA} are allowed"));
    }
    Ok(pairs.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect())
}

fn bad<T>(detail: String) -> Result<T, Refusal> {
    Err(Refusal::new(Word::BadValue, detail))
}
