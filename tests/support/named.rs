//! BIND's reading of a zone file, through `named-compilezone` and its raw format.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use zonebeat::model::Name;
use zonebeat::zone::StaticZone;

/// Owner, type, TTL, RDATA. Owners are folded: the case of an owner is no part of its meaning.
pub(crate) type Octets = (String, u16, u32, Vec<u8>);

/// The records of a zone that we read.
pub(crate) fn octets(zone: &StaticZone) -> BTreeSet<Octets> {
    let records = zone.records.iter().map(|stated| stated.record.clone());
    records.map(|record| (record.owner.to_string(), record.rtype.0, record.ttl, record.rdata.to_vec())).collect()
}

/// What BIND reads in a text; `folder` is where relative files are looked up. The error is what BIND says.
pub(crate) fn compile(origin: &Name, text: &[u8], folder: &Path) -> Result<BTreeSet<Octets>, String> {
    let work = tempfile::tempdir().expect("a directory");
    let (zone, raw) = (work.path().join("zone"), work.path().join("raw"));
    std::fs::write(&zone, text).expect("written");
    let output = Command::new("named-compilezone")
        .args(["-k", "ignore", "-i", "none", "-n", "ignore", "-m", "ignore", "-r", "ignore", "-F", "raw", "-o"])
        .args([&raw, Path::new(&origin.to_string()), &zone])
        .current_dir(folder)
        .output()
        .expect("named-compilezone runs (Debian: bind9-utils)");
    if !output.status.success() {
        return Err([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat());
    }
    Ok(records(&std::fs::read(&raw).expect("written by BIND")))
}

/// The records of a raw zone file: a header of 24 octets, then RRsets with their length.
fn records(raw: &[u8]) -> BTreeSet<Octets> {
    let mut all = BTreeSet::new();
    let mut rest = raw.get(24..).expect("a header");
    while !rest.is_empty() {
        let (set, behind) = rest.split_at(number(rest, 0, 4));
        let (rtype, ttl, count, name) = (number(set, 6, 2), number(set, 10, 4), number(set, 14, 4), number(set, 18, 2));
        let owner = Name::from_wire(&set[20..20 + name]).expect("a name").to_string();
        let mut data = &set[20 + name..];
        for _ in 0..count {
            let (octets, others) = data[2..].split_at(number(data, 0, 2));
            all.insert((owner.clone(), rtype as u16, ttl as u32, octets.to_vec()));
            data = others;
        }
        rest = behind;
    }
    all
}

fn number(octets: &[u8], at: usize, width: usize) -> usize {
    octets[at..at + width].iter().fold(0, |value, octet| value << 8 | usize::from(*octet))
}

/// The texts that a test holds for, tried by a few threads.
pub(crate) fn each(texts: &[String], holds: impl Fn(&str) -> bool + Sync) -> Vec<String> {
    const THREADS: usize = 4;
    let part = texts.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let of = |chunk: &'_ [String]| chunk.iter().filter(|text| holds(text)).cloned().collect::<Vec<_>>();
        let threads: Vec<_> = texts.chunks(part).map(|chunk| scope.spawn(move || of(chunk))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    })
}
