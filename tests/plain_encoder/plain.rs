//! A server's answers the plain way: names in a sorted map, records written one after the other, the records of a large
//! set scored and sorted one by one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use zonebeat::answer::{Query, Transport};
use zonebeat::model::Rtype;
use zonebeat::view::rrset::Body;
use zonebeat::view::{RrSet, Zone};

use super::random::Published;
use super::ranks::Keys;

/// Where the question's name stands.
const QNAME_AT: usize = 12;
const AUTHORITATIVE: u16 = 0x0400;
const TRUNCATED: u16 = 0x0200;
/// The largest offset that a pointer says.
const REACH: usize = 0x3FFF;
/// Octets of a message over a stream that a large set leaves to OPT.
const RESERVED: usize = 512;

/// A record without its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) rtype: Rtype,
    pub(crate) ttl: u32,
    pub(crate) rdata: Vec<u8>,
}

/// What stands at a name.
#[derive(Debug, Default)]
struct Node {
    records: Vec<Data>,
    /// Types whose additional section is looked up when they are answered.
    following: Vec<Rtype>,
    /// Types of which clients may get a part, with the most records of it that were declared.
    large: Vec<(Rtype, Option<usize>)>,
    note: String,
}

/// All names of a view, and the addresses of registered hosts.
pub(crate) struct Plain<'p> {
    nodes: BTreeMap<Vec<u8>, Node>,
    hosts: &'p BTreeMap<Vec<u8>, Vec<IpAddr>>,
    keys: &'p Keys,
    zone: &'p Zone,
    identity: &'p str,
    minimal: bool,
}

/// What a question gets.
#[derive(Debug)]
pub(crate) enum Solution {
    /// One set.
    Set { records: Vec<Data>, large: Option<Large> },
    /// A large set of which two records are worth the same to the client.
    Undecided,
    /// The SOA, as an answer.
    Soa,
    /// The SOA, because there is nothing.
    Negative { exists: bool, note: String },
    /// HINFO for ANY (RFC 8482).
    Any,
    /// Another zone.
    Refused,
    /// Something that is put together from several sets: its answer section.
    Composed { alias: Option<Data>, records: Vec<Data>, large: Option<Large> },
}

/// What else is known of a set of which clients may get a part.
#[derive(Debug)]
pub(crate) struct Large {
    limit: Option<usize>,
    /// Its records, what the client prefers first.
    pub(crate) ranked: Vec<Data>,
}

impl Large {
    /// The most records that a client gets.
    pub(crate) fn most(&self) -> usize {
        self.limit.unwrap_or(usize::MAX).min(self.ranked.len())
    }
}

/// The sections of a message behind its question.
struct Sections {
    octets: Vec<u8>,
    counts: [u16; 3],
    /// Whether an additional section was left out.
    bare: bool,
    /// Records that are answered, and all that there are, if these are more.
    part: Option<(usize, usize)>,
}

/// A message.
pub(crate) struct Encoded {
    pub(crate) octets: Vec<u8>,
    pub(crate) truncated: bool,
    /// Whether an additional section was left out.
    pub(crate) bare: bool,
    /// Whether a large set was answered, and whether in part.
    pub(crate) large: Option<bool>,
}

impl<'p> Plain<'p> {
    pub(crate) fn new(published: &'p Published) -> Self {
        let view = &published.whole;
        let mut nodes = BTreeMap::new();
        for (_, entry) in view.table.entries() {
            let sets = || entry.sets();
            let node = Node {
                records: sets().flat_map(|set| records_of(&set)).collect(),
                following: sets().filter(RrSet::follows_targets).map(|set| set.rtype).collect(),
                large: sets().filter_map(|set| Some((set.rtype, limit(&set)?))).collect(),
                note: entry.note().to_owned(),
            };
            nodes.insert(entry.name().to_vec(), node);
        }
        let identity = view.server.identity.as_deref().expect("the server has a name");
        let (hosts, keys) = (&published.hosts, &published.keys);
        Self { nodes, hosts, keys, zone: &view.zones[0], identity, minimal: view.minimal }
    }

    /// Every name that exists, with its types; the more records it has, the more often.
    pub(crate) fn names(&self) -> Vec<(&[u8], Vec<Rtype>)> {
        let is_alias = |node: &Node| node.records.iter().any(|record| record.rtype == Rtype::CNAME);
        let types = |node: &Node| match is_alias(node) {
            true => vec![Rtype::CNAME, Rtype::SRV, Rtype::PTR, Rtype::A, Rtype::AAAA],
            false => node.records.iter().map(|record| record.rtype).collect(),
        };
        // Where there are very many hosts they would be nearly all.
        let is_crowded = self.nodes.len() > 500;
        let often = |node: &Node| match node.records.len() {
            _ if is_alias(node) => {
                if is_crowded {
                    200
                } else {
                    4
                }
            }
            count @ 0..100 => count.clamp(1, 12),
            _ => 300,
        };
        let repeated = self.nodes.iter().flat_map(|(name, node)| std::iter::repeat_n((name, node), often(node)));
        repeated.map(|(name, node)| (name.as_slice(), types(node))).collect()
    }

    /// RFC 1034 section 4.3.2 for one zone without delegations.
    pub(crate) fn solve(&self, query: &Query<'_>) -> Solution {
        let name = query.question[..query.question.len() - 4].to_ascii_lowercase();
        let apex = self.zone.apex.as_wire();
        if !is_below(&name, apex) {
            return Solution::Refused;
        }
        if name == apex && query.rtype == Rtype::SOA {
            return Solution::Soa;
        }
        let Some(node) = self.nodes.get(&name).or_else(|| self.wildcard(&name)) else {
            return Solution::Negative { exists: false, note: String::new() };
        };
        let of = |rtype: Rtype| node.records.iter().filter(move |record| record.rtype == rtype).cloned();
        let records: Vec<_> = of(query.rtype).collect();
        if !records.is_empty() {
            let is_composed = node.following.contains(&query.rtype);
            return match self.large(query, &name, node, &records) {
                Err(()) => Solution::Undecided,
                Ok(large) if is_composed => Solution::Composed { alias: None, records, large },
                Ok(large) => Solution::Set { records, large },
            };
        }
        if query.rtype == Rtype::ANY && (!node.records.is_empty() || name == apex) {
            return Solution::Any;
        }
        if let Some(alias) = of(Rtype::CNAME).next() {
            let missing = Node::default();
            let target = self.nodes.get(&alias.rdata).unwrap_or(&missing);
            let found = target.records.iter().filter(|record| record.rtype == query.rtype);
            let records: Vec<_> = found.cloned().collect();
            let Ok(large) = self.large(query, &alias.rdata, target, &records) else { return Solution::Undecided };
            return Solution::Composed { alias: Some(alias), records, large };
        }
        Solution::Negative { exists: true, note: node.note.clone() }
    }

    /// What is known of a set if it is large.
    fn large(&self, query: &Query<'_>, name: &[u8], node: &Node, records: &[Data]) -> Result<Option<Large>, ()> {
        let Some((_, limit)) = node.large.iter().find(|(rtype, _)| *rtype == query.rtype) else { return Ok(None) };
        let ranked = self.keys.rank(query, name, records).ok_or(())?;
        Ok(Some(Large { limit: *limit, ranked }))
    }

    /// The wildcard below the closest name that exists (RFC 4592).
    fn wildcard(&self, name: &[u8]) -> Option<&Node> {
        let mut above = name;
        while above[0] != 0 {
            above = &above[1 + usize::from(above[0])..];
            if self.nodes.contains_key(above) {
                return self.nodes.get(&[b"\x01*", above].concat());
            }
        }
        None
    }

    /// The whole message.
    pub(crate) fn encode(&self, query: &Query<'_>, solution: &Solution) -> Encoded {
        let limit = match (query.transport, query.edns) {
            (Transport::Udp, None) => 512,
            (Transport::Udp, Some(edns)) => usize::from(edns.udp_size).clamp(512, 1232),
            _ => 65_535,
        };
        let start = QNAME_AT + query.question.len();
        let error = match solution {
            Solution::Refused => Some((20, "the name is in none of this server's zones")),
            Solution::Negative { note, .. } if !note.is_empty() => Some((0, note.as_str())),
            _ => None,
        };
        let error = error.filter(|error| start + self.opt(query, Some(*error)).len() <= limit);
        let large = matches!(solution, Solution::Set { large: Some(_), .. });
        for error in [error, None] {
            let opt = self.opt(query, error);
            let Sections { octets, counts, bare, part } = self.sections(query, solution, limit - opt.len());
            if start + octets.len() + opt.len() <= limit {
                let told = part.map(|part| self.opt(query, Some((0, &in_words(part)))));
                let opt = told.filter(|told| start + octets.len() + told.len() <= limit).unwrap_or(opt);
                let octets = whole(query, solution, 0, &octets, counts, &opt);
                return Encoded { octets, truncated: false, bare, large: large.then_some(part.is_some()) };
            }
        }
        let octets = whole(query, solution, TRUNCATED, &[], [0; 3], &self.opt(query, error));
        Encoded { octets, truncated: true, bare: false, large: None }
    }

    /// The sections behind the question, without OPT; the additional section only if it fits.
    fn sections(&self, query: &Query<'_>, solution: &Solution, limit: usize) -> Sections {
        let mut octets = Vec::new();
        let asked = [0xC0, QNAME_AT as u8];
        let apex = (QNAME_AT + query.question.len() - 4 - self.zone.apex.as_wire().len()) as u16 | 0xC000;
        let soa = |ttl| Data { rtype: Rtype::SOA, ttl, rdata: self.zone.soa.to_vec() };
        match solution {
            Solution::Soa => write(&mut octets, &apex.to_be_bytes(), &soa(self.zone.soa_ttl)),
            Solution::Negative { .. } => write(&mut octets, &apex.to_be_bytes(), &soa(self.zone.negative_ttl)),
            Solution::Any => {
                let hinfo = Data { rtype: Rtype::HINFO, ttl: 3600, rdata: b"\x07RFC8482\x00".to_vec() };
                write(&mut octets, &asked, &hinfo);
            }
            Solution::Set { records, large } => return self.set(query, records, large.as_ref(), limit),
            Solution::Refused | Solution::Composed { .. } | Solution::Undecided => {
                return Sections { octets, counts: [0; 3], bare: false, part: None };
            }
        }
        let is_answer = !matches!(solution, Solution::Negative { .. });
        let counts = [u16::from(is_answer), u16::from(!is_answer), 0];
        Sections { octets, counts, bare: false, part: None }
    }

    /// A set, or the part of it that the client gets, with the addresses of its targets if they fit.
    fn set(&self, query: &Query<'_>, records: &[Data], large: Option<&Large>, limit: usize) -> Sections {
        let start = QNAME_AT + query.question.len();
        let chosen = large.map_or(records, |large| choose(query, records, large, limit - start));
        let (mut octets, mut targets) = (Vec::new(), vec![0; chosen.len()]);
        let first = first(query, chosen.len());
        for number in (first..chosen.len()).chain(0..first) {
            targets[number] = start + octets.len() + 12 + 6;
            let rdata = shorten(query, &chosen[number]);
            write(&mut octets, &[0xC0, QNAME_AT as u8], &Data { rdata, ..chosen[number].clone() });
        }
        // A ready section has the addresses in the order of the set, and whole names if any of them is out of reach.
        let (order, reach) = match large {
            Some(_) => ((first..chosen.len()).chain(0..first).collect::<Vec<_>>(), REACH),
            None if start + octets.len() > REACH => ((0..chosen.len()).collect(), 0),
            None => ((0..chosen.len()).collect(), REACH),
        };
        let (mut additional, mut count) = (Vec::new(), 0);
        for number in order {
            count += self.addresses(query, &chosen[number], targets[number], reach, &mut additional);
        }
        let fits = start + octets.len() + additional.len() <= limit;
        if fits {
            octets.extend(additional);
        }
        let part = (chosen.len() < records.len()).then_some((chosen.len(), records.len()));
        Sections { octets, counts: [chosen.len() as u16, 0, if fits { count } else { 0 }], bare: !fits, part }
    }

    /// The addresses of the target of an SRV record, which stands at that offset.
    fn addresses(&self, query: &Query<'_>, record: &Data, at: usize, reach: usize, octets: &mut Vec<u8>) -> u16 {
        if query.rtype != Rtype::SRV || self.minimal {
            return 0;
        }
        let target = &record.rdata[6..];
        let pointer = (0xC000 | at as u16).to_be_bytes();
        let owner = if at <= reach { &pointer[..] } else { target };
        let addresses = self.hosts.get(target).into_iter().flatten();
        for address in addresses.clone() {
            let (rtype, rdata) = match address {
                IpAddr::V4(v4) => (Rtype::A, v4.octets().to_vec()),
                IpAddr::V6(v6) => (Rtype::AAAA, v6.octets().to_vec()),
            };
            write(octets, owner, &Data { rtype, ttl: record.ttl, rdata });
        }
        addresses.count() as u16
    }

    /// The OPT record: NSID, the cookie, the extended error.
    fn opt(&self, query: &Query<'_>, error: Option<(u16, &str)>) -> Vec<u8> {
        let Some(edns) = query.edns else { return Vec::new() };
        let mut options = Vec::new();
        let mut option = |code: u16, data: &[u8]| {
            options.extend(code.to_be_bytes());
            options.extend((data.len() as u16).to_be_bytes());
            options.extend(data);
        };
        if edns.nsid {
            option(3, self.identity.as_bytes());
        }
        if let Some(cookie) = edns.cookie {
            let server = edns.told.cookie.expect("cookies are on");
            option(10, &[&cookie.client[..], &server].concat());
        }
        if let Some((code, text)) = error {
            option(15, &[&code.to_be_bytes(), &text.as_bytes()[..text.len().min(200)]].concat());
        }
        let mut opt = vec![0, 0, 41];
        opt.extend(1232u16.to_be_bytes());
        opt.extend([0, 0, if edns.dnssec_ok { 0x80 } else { 0 }, 0]);
        opt.extend((options.len() as u16).to_be_bytes());
        opt.extend(options);
        opt
    }
}

/// The limit of a set of which clients may get a part.
fn limit(set: &RrSet<'_>) -> Option<Option<usize>> {
    match set.body {
        Body::Large(large) => Some(large.limit()),
        Body::Ready { .. } | Body::One { .. } => None,
    }
}

/// Which record comes first, of so many.
pub(crate) fn first(query: &Query<'_>, count: usize) -> usize {
    let rotates = matches!(query.rtype, Rtype::A | Rtype::AAAA | Rtype::SRV);
    if rotates && count > 0 { query.rotation as usize % count } else { 0 }
}

/// What a client gets of a large set: all if that may be and fits; else, over UDP, the part that was declared, and over
/// a stream as much of that as fits.
fn choose<'r>(query: &Query<'_>, records: &'r [Data], large: &'r Large, room: usize) -> &'r [Data] {
    let length = |record: &Data| 12 + shorten(query, record).len();
    let is_stream = query.transport != Transport::Udp;
    let most_room = 65_535 - RESERVED - QNAME_AT - query.question.len();
    let room = if is_stream { room.min(most_room) } else { room };
    let all: usize = records.iter().map(length).sum();
    if large.most() == records.len() && (all <= room || !is_stream) {
        return records;
    }
    let mut taken = 0;
    let fitting = large.ranked.iter().take_while(|record| {
        taken += length(record);
        taken <= room || !is_stream
    });
    &large.ranked[..fitting.take(large.most()).count()]
}

/// How an answer says that it is a part.
fn in_words((answered, count): (usize, usize)) -> String {
    let grouped = |number: usize| match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", number / 1000, number % 1000),
    };
    format!("{} of {}, chosen by client prefix; HTTP and AXFR have all", grouped(answered), grouped(count))
}

/// Header, question, sections, OPT.
fn whole(query: &Query<'_>, solution: &Solution, flags: u16, sections: &[u8], counts: [u16; 3], opt: &[u8]) -> Vec<u8> {
    let (rcode, authoritative) = match solution {
        Solution::Refused => (5, 0),
        Solution::Negative { exists: false, .. } => (3, AUTHORITATIVE),
        _ => (0, AUTHORITATIVE),
    };
    let [answers, authorities, additionals] = counts;
    let words = [
        query.id,
        0x8000 | query.flags & 0x0110 | authoritative | flags | rcode,
        1,
        answers,
        authorities,
        additionals + u16::from(!opt.is_empty()),
    ];
    let mut octets: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    octets.extend(query.question);
    octets.extend(sections);
    octets.extend(opt);
    octets
}

fn write(octets: &mut Vec<u8>, owner: &[u8], record: &Data) {
    octets.extend(owner);
    octets.extend(record.rtype.0.to_be_bytes());
    octets.extend([0, 1]);
    octets.extend(record.ttl.to_be_bytes());
    octets.extend((record.rdata.len() as u16).to_be_bytes());
    octets.extend(&record.rdata);
}

/// The records of a set with whole names in their data.
fn records_of(set: &RrSet<'_>) -> Vec<Data> {
    let mut room = [0; 255];
    let records = set.records();
    records
        .map(|record| {
            let rdata = set.expand(record.rdata, &mut room).to_vec();
            Data { rtype: set.rtype, ttl: record.ttl, rdata }
        })
        .collect()
}

/// The data of a PTR record ends in a pointer into the question where they share labels, if it was registered; that of
/// a zone file stands as it is.
fn shorten(query: &Query<'_>, record: &Data) -> Vec<u8> {
    let asked = query.question[..query.question.len() - 4].to_ascii_lowercase();
    if record.rtype != Rtype::PTR || asked.starts_with(b"\x01a\x04deep") {
        return record.rdata.clone();
    }
    let mut at = 0;
    while record.rdata[at] != 0 {
        let rest = &record.rdata[at..];
        let mut offset = 0;
        while asked[offset] != 0 {
            if asked[offset..] == *rest {
                return [&record.rdata[..at], &(0xC000 | (QNAME_AT + offset) as u16).to_be_bytes()].concat();
            }
            offset += 1 + usize::from(asked[offset]);
        }
        at += 1 + usize::from(record.rdata[at]);
    }
    record.rdata.clone()
}

fn is_below(name: &[u8], apex: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > apex.len() {
        rest = &rest[1 + usize::from(rest[0])..];
    }
    rest == apex
}

/// The data of all records of an answer section, with whole names.
pub(crate) fn answer_data(message: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let word = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    let mut at = skip(message, QNAME_AT) + 4;
    (0..word(6)).map(move |_| {
        let head = skip(message, at);
        let (rtype, start) = (Rtype(word(head) as u16), head + 10);
        at = start + word(head + 8);
        match rtype {
            Rtype::CNAME | Rtype::PTR | Rtype::NS => expand(message, start),
            Rtype::MX => [&message[start..start + 2], &expand(message, start + 2)].concat(),
            Rtype::SRV => [&message[start..start + 6], &expand(message, start + 6)].concat(),
            _ => message[start..at].to_vec(),
        }
    })
}

/// The offset behind a name.
fn skip(message: &[u8], mut at: usize) -> usize {
    loop {
        match message[at] {
            0 => return at + 1,
            0xC0.. => return at + 2,
            label => at += 1 + usize::from(label),
        }
    }
}

/// A whole name, in lower case.
fn expand(message: &[u8], mut at: usize) -> Vec<u8> {
    let mut name = Vec::new();
    loop {
        match message[at] {
            0 => {
                name.push(0);
                return name;
            }
            high @ 0xC0.. => at = usize::from(u16::from_be_bytes([high & 0x3F, message[at + 1]])),
            label => {
                name.extend(message[at..=at + usize::from(label)].to_ascii_lowercase());
                at += 1 + usize::from(label);
            }
        }
    }
}
