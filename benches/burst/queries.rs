//! The queries of a file, in the order in which they are sent.

use std::collections::BTreeMap;

/// Queries of one length that lie one behind the other.
#[derive(Clone, Copy)]
pub(crate) struct Burst {
    /// Where the first begins in [`Plan::octets`].
    pub(crate) start: usize,
    /// The length of each.
    pub(crate) len: usize,
    /// How many there are.
    pub(crate) count: usize,
}

/// All queries, and the bursts that they make.
pub(crate) struct Plan {
    /// Packets with the id 0.
    pub(crate) octets: Vec<u8>,
    /// In the order of the file, as far as equal lengths allow.
    pub(crate) bursts: Vec<Burst>,
}

impl Plan {
    /// Reads a name and a type per line; bursts have `most` queries.
    pub(crate) fn parse(text: &str, most: usize, edns: bool) -> Result<Self, String> {
        let mut plan = Self { octets: Vec::new(), bursts: Vec::new() };
        let mut open = BTreeMap::<usize, Vec<Vec<u8>>>::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let packet = packet(line, edns).ok_or_else(|| format!("not a query: {line}"))?;
            let same = open.entry(packet.len()).or_default();
            same.push(packet);
            if same.len() == most {
                plan.add(same);
            }
        }
        open.values_mut().for_each(|same| plan.add(same));
        if plan.bursts.is_empty() {
            return Err("the file has no query".to_owned());
        }
        Ok(plan)
    }

    fn add(&mut self, same: &mut Vec<Vec<u8>>) {
        if let Some(len) = same.first().map(Vec::len) {
            self.bursts.push(Burst { start: self.octets.len(), len, count: same.len() });
            same.drain(..).for_each(|packet| self.octets.extend(packet));
        }
    }
}

fn packet(line: &str, edns: bool) -> Option<Vec<u8>> {
    let mut words = line.split_whitespace();
    let (name, rtype) = (words.next()?, words.next()?);
    let rtype: u16 = match rtype {
        "A" => 1,
        "NS" => 2,
        "SOA" => 6,
        "PTR" => 12,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        "ANY" => 255,
        other => other.strip_prefix("TYPE")?.parse().ok()?,
    };
    let mut packet = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    for label in name.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len()).ok().filter(|len| (1..64).contains(len))?);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.push(0);
    packet.extend([rtype, 1].iter().flat_map(|word| word.to_be_bytes()));
    if edns {
        packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    }
    Some(packet)
}
