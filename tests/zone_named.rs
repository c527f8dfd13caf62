//! Our reading of zone files against BIND's: both read the file, both readings are compared record by record.
//!
//! `named-checkzone -D` (Debian: bind9-utils) prints what BIND understood; we read that text again and compare octets.

use std::collections::BTreeSet;
use std::process::Command;

use zonebeat::model::Name;
use zonebeat::zone::{StaticZone, origin_of, parse_text, parse_zone};

type Octets = (String, u16, u32, Vec<u8>);

fn octets(zone: StaticZone) -> BTreeSet<Octets> {
    let records = zone.records.into_iter().map(|stated| stated.record);
    records.map(|record| (record.owner.to_string(), record.rtype.0, record.ttl, record.rdata.into())).collect()
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| error.to_string())
}

/// What BIND reads in the file, as it prints it.
fn named(origin: &Name, path: &str) -> Vec<u8> {
    let folder = std::path::Path::new(path).parent().expect("a file in a folder");
    let output = Command::new("named-checkzone")
        .args(["-D", "-o", "-", &origin.to_string(), path])
        .current_dir(folder)
        .output()
        .expect("named-checkzone runs (Debian: bind9-utils)");
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn zone_files() -> Vec<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let folders = [format!("{root}/zones"), format!("{root}/tests/zones")];
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("folder"));
    let paths = entries.map(|entry| entry.expect("entry").path().to_str().expect("UTF-8").to_owned());
    paths.filter(|path| path.ends_with(".zone")).collect()
}

#[test]
fn bind_reads_our_zone_files_as_we_do() {
    let files = zone_files();
    assert!(files.len() >= 2, "{files:?}");
    for path in files {
        let origin = origin_of(&path).expect("named after its zone");
        let ours = parse_zone(&read_file, &path, &origin).unwrap_or_else(|findings| panic!("{findings:#?}")).0;
        let text = named(&origin, &path);
        let theirs = parse_text("BIND", &text, &origin).unwrap_or_else(|findings| panic!("{findings:#?}")).0;
        assert_eq!(octets(ours), octets(theirs), "{path}");
    }
}
