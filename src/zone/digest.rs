//! One value for the content of a zone: equal for zones whose records are equal, whatever their order and serial.

use sha2::{Digest, Sha256};

use super::fields;
use crate::model::{Name, Record, Rtype};

/// SHA-256 in hexadecimal over all records in canonical order, the serial in the SOA left out.
pub fn digest<'r>(apex: &Name, records: impl Iterator<Item = &'r Record>) -> String {
    let mut all: Vec<(&Name, Rtype, u32, Vec<u8>)> =
        records.map(|record| (&record.owner, record.rtype, record.ttl, canonical(apex, record))).collect();
    all.sort_unstable();
    let mut hash = Sha256::new();
    for (owner, rtype, ttl, rdata) in all {
        hash.update(owner.as_wire());
        hash.update(rtype.0.to_be_bytes());
        hash.update(ttl.to_be_bytes());
        hash.update((rdata.len() as u64).to_be_bytes());
        hash.update(&rdata);
    }
    data_encoding::HEXLOWER.encode(&hash.finalize())
}

fn canonical(apex: &Name, record: &Record) -> Vec<u8> {
    let mut rdata = fields::canonical(record.rtype, &record.rdata);
    let serial = rdata.len().checked_sub(20).filter(|_| record.rtype == Rtype::SOA && record.owner == *apex);
    if let Some(at) = serial {
        rdata[at..at + 4].fill(0);
    }
    rdata
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::parse_text;

    fn of(text: &str) -> String {
        let origin = Name::parse_absolute("example.org").expect("name");
        let (zone, _) = parse_text("zone", text.as_bytes(), &origin).expect("zone");
        digest(&zone.origin, zone.records.iter().map(|stated| &stated.record))
    }

    #[test]
    fn order_case_and_serial_do_not_count_and_everything_else_does() {
        let zone = of("$TTL 300\n@ SOA ns h 1 3 2 5 5\n@ NS ns\nns A 192.0.2.1\n");
        assert_eq!(zone, of("$TTL 300\n@ SOA NS h 9 3 2 5 5\nns A 192.0.2.1\n@ NS Ns\n"));
        assert_ne!(zone, of("$TTL 300\n@ SOA ns h 1 3 2 5 6\n@ NS ns\nns A 192.0.2.1\n"), "another minimum");
        assert_ne!(zone, of("$TTL 300\n@ SOA ns h 1 3 2 5 5\n@ NS ns\nns A 192.0.2.2\n"), "another address");
        assert_ne!(zone, of("$TTL 300\n@ SOA ns h 1 3 2 5 5\n@ NS ns\nns 60 A 192.0.2.1\n"), "another TTL");
    }
}
