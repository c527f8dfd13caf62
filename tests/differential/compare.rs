//! Two responses to one question, section by section.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use crate::explained::{Aspect, Case, EXPLAINED, Explained};
use crate::message::{Record, Response};
use crate::peers::{Peer, Servers};
use crate::queries::{self, Query};
use crate::rng::Rng;
use crate::zones::Batch;

/// How many differences are shown in full.
const SHOWN: usize = 12;

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) queries: usize,
    pub(crate) zones: usize,
    /// How often each line of the table was needed.
    pub(crate) explained: HashMap<&'static str, usize>,
    pub(crate) unexplained: Vec<String>,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: Self) {
        self.queries += other.queries;
        self.zones += other.zones;
        self.unexplained.extend(other.unexplained);
        for (reason, count) in other.explained {
            *self.explained.entry(reason).or_default() += count;
        }
    }

    /// `12345 queries over 2000 zones; explained: 31 RFC 8482 ANY, ...; unexplained 0`
    pub(crate) fn summary(&self) -> String {
        let mut explained: Vec<_> = self.explained.iter().collect();
        explained.sort_by_key(|(reason, count)| (usize::MAX - **count, **reason));
        let explained: Vec<String> = explained.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let explained = explained.join(", ");
        let (queries, zones, unexplained) = (self.queries, self.zones, self.unexplained.len());
        format!("{queries} queries over {zones} zones; explained: {explained}; unexplained {unexplained}")
    }

    pub(crate) fn assert_explained(&self, seed: u64) {
        if let Some(path) = std::env::var_os("DIFFERENTIAL_LOG") {
            std::fs::write(path, self.unexplained.join("\n")).expect("the log can be written");
        }
        let shown = self.unexplained.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
        let summary = self.summary();
        assert!(self.unexplained.is_empty(), "seed {seed}: {summary}\n{shown}");
    }
}

/// Asks all four servers `per_zone` questions about each zone of a batch.
pub(crate) fn run(batch: &Batch, servers: &Servers, seed: u64, per_zone: usize) -> Outcome {
    let mut rng = Rng::new(seed);
    let zones = batch.zones.iter();
    let queries: Vec<Query> = zones.flat_map(|zone| queries::about(&mut rng, zone, per_zone, batch.signed)).collect();
    let mut outcome = compare_all(batch, servers, &queries);
    let truncated: Vec<Query> = outcome.1.iter().map(|index| Query { tcp: true, ..queries[*index].clone() }).collect();
    outcome.0.add(compare_all(batch, servers, &truncated).0);
    outcome.0.zones = batch.zones.len();
    outcome.0
}

/// Compares the answers to some questions; also returns which of them somebody truncated.
fn compare_all(batch: &Batch, servers: &Servers, queries: &[Query]) -> (Outcome, Vec<usize>) {
    let (ours, theirs) = servers.ask(queries);
    let mut outcome = Outcome { queries: queries.len(), ..Outcome::default() };
    let mut truncated = Vec::new();
    for (index, query) in queries.iter().enumerate() {
        let ours = Response::parse(&ours[index]);
        let theirs = Peer::ALL
            .iter()
            .zip(&theirs)
            .filter(|(peer, _)| batch.is_served_by(**peer, &query.name))
            .map(|(peer, answers)| (*peer, Response::parse(&answers[index])));
        let theirs: Vec<_> = theirs.collect();
        let all = std::iter::once(&ours).chain(theirs.iter().map(|(_, response)| response));
        if all.flatten().any(Response::truncated) {
            truncated.push(index);
        }
        compare_one(batch, query, &ours, &theirs, &mut outcome);
    }
    (outcome, truncated)
}

type Parsed = Result<Response, String>;

fn compare_one(batch: &Batch, query: &Query, ours: &Parsed, theirs: &[(Peer, Parsed)], outcome: &mut Outcome) {
    let mut fault = |text: String| outcome.unexplained.push(text);
    let ours = match ours {
        Ok(ours) => ours,
        Err(error) => return fault(format!("{}: our answer does not parse: {error}", query.dig())),
    };
    if ours.question != query.question() || ours.length > query.limit() {
        fault(format!("{}: the question is not echoed, or the answer too long\n{ours}", query.dig()));
    }
    let mut parsed = Vec::new();
    for (peer, response) in theirs {
        match response {
            Ok(response) => parsed.push((*peer, response)),
            Err(error) => return fault(format!("{}: {peer}'s answer does not parse: {error}", query.dig())),
        }
    }
    let mut left = Vec::new();
    let mut lines: HashMap<Aspect, Vec<&Explained>> = HashMap::new();
    for (peer, response) in &parsed {
        let case = Case { batch, query, peer: *peer, ours, theirs: response, all: &parsed };
        let mut unexplained = Vec::new();
        for aspect in differing(query, ours, response) {
            match explain(&case, aspect) {
                Some(line) => lines.entry(aspect).or_default().push(line),
                None => unexplained.push(aspect),
            }
        }
        if !unexplained.is_empty() {
            left.push((peer.to_string(), unexplained));
        }
    }
    for (aspect, lines) in lines {
        if stands_alone(aspect, lines.len(), ours, &parsed) && !lines.iter().any(|line| line.alone) {
            left.push(("all three, each for a reason of its own,".to_owned(), vec![aspect]));
        }
        for line in lines {
            *outcome.explained.entry(line.name).or_default() += 1;
        }
    }
    if !left.is_empty() {
        outcome.unexplained.push(describe(batch, query, ours, &parsed, &left));
    }
}

/// Whether all three differ from us; in sections that are sets, about one and the same record.
fn stands_alone(aspect: Aspect, explained: usize, ours: &Response, theirs: &[(Peer, &Response)]) -> bool {
    let section = |response: &Response| -> BTreeSet<Record> {
        let records = if aspect == Aspect::Authority { &response.authority } else { &response.additional };
        records.iter().cloned().collect()
    };
    if explained < Peer::ALL.len() || !matches!(aspect, Aspect::Authority | Aspect::Additional) {
        return explained == Peer::ALL.len();
    }
    let (ours, theirs) = (section(ours), theirs.iter().map(|(_, response)| section(response)).collect::<Vec<_>>());
    let only_ours = ours.iter().any(|record| !theirs.iter().any(|other| other.contains(record)));
    let mut others = theirs[0].iter().filter(|record| !ours.contains(record));
    only_ours || others.any(|record| theirs.iter().all(|set| set.contains(record)))
}

/// The line of the table that explains why an aspect differs.
fn explain(case: &Case<'_>, aspect: Aspect) -> Option<&'static Explained> {
    let concerned = |line: &&Explained| line.peers.contains(&case.peer) && line.aspects.contains(&aspect);
    EXPLAINED.iter().filter(concerned).find(|line| (line.applies)(case))
}

/// In what two responses differ.
pub(crate) fn differing(query: &Query, ours: &Response, theirs: &Response) -> Vec<Aspect> {
    let mut differing = Vec::new();
    let mut check = |aspect, same: bool| {
        if !same {
            differing.push(aspect);
        }
    };
    let bit = |mask: u16| ours.flags & mask == theirs.flags & mask;
    check(Aspect::Flags, bit(0xF9F0));
    check(Aspect::Edns, ours.opt == theirs.opt || query.edns.is_none());
    check(Aspect::Edns, ours.opt.is_some() == query.edns.is_some());
    check(Aspect::Tc, bit(0x0200));
    if ours.truncated() || theirs.truncated() {
        return differing; // RFC 2181 section 9: what a truncated response holds is not to be used; TCP shows the rest
    }
    check(Aspect::Rcode, ours.rcode == theirs.rcode);
    check(Aspect::Aa, bit(0x0400));
    check(Aspect::Answer, ours.chain() == theirs.chain());
    check(Aspect::Signatures, ours.signatures() == theirs.signatures());
    check(Aspect::Authority, ours.authority_set() == theirs.authority_set());
    check(Aspect::Additional, ours.additional_set() == theirs.additional_set());
    differing
}

fn describe(
    batch: &Batch,
    query: &Query,
    ours: &Response,
    theirs: &[(Peer, &Response)],
    left: &[(String, Vec<Aspect>)],
) -> String {
    let mut text = format!("--- {}\n", query.dig());
    for (peers, aspects) in left {
        writeln!(text, "  differs from {peers} in {aspects:?}").expect("a string takes everything");
    }
    writeln!(text, "  ours: {ours}").expect("a string takes everything");
    for (peer, response) in theirs {
        writeln!(text, "  {peer}: {response}").expect("a string takes everything");
    }
    if std::env::var_os("DIFFERENTIAL_ZONE_TEXT").is_some() {
        let zone = batch.zone_of(&query.name).map(crate::zones::Zone::text).unwrap_or_default();
        writeln!(text, "  zone:\n{zone}").expect("a string takes everything");
    }
    text
}
