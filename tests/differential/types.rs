//! Numbers of record types, and where their data hold names.

/// EDNS.
pub(crate) const OPT: u16 = 41;
/// Signatures.
pub(crate) const RRSIG: u16 = 46;
pub(crate) const A: u16 = 1;
pub(crate) const NS: u16 = 2;
pub(crate) const CNAME: u16 = 5;
pub(crate) const SOA: u16 = 6;
pub(crate) const HINFO: u16 = 13;
pub(crate) const AAAA: u16 = 28;
pub(crate) const DNAME: u16 = 39;
pub(crate) const DS: u16 = 43;
pub(crate) const NSEC: u16 = 47;
pub(crate) const NSEC3: u16 = 50;
pub(crate) const SVCB: u16 = 64;
pub(crate) const HTTPS: u16 = 65;
pub(crate) const AXFR: u16 = 252;
pub(crate) const ANY: u16 = 255;

/// Types that zones and queries use by name.
const TYPES: &[(&str, u16)] = &[
    ("A", A),
    ("NS", NS),
    ("CNAME", CNAME),
    ("SOA", SOA),
    ("PTR", 12),
    ("HINFO", HINFO),
    ("MINFO", 14),
    ("MX", 15),
    ("TXT", 16),
    ("RP", 17),
    ("AFSDB", 18),
    ("RT", 21),
    ("PX", 26),
    ("AAAA", AAAA),
    ("LOC", 29),
    ("SRV", 33),
    ("NAPTR", 35),
    ("KX", 36),
    ("CERT", 37),
    ("DNAME", DNAME),
    ("APL", 42),
    ("DS", DS),
    ("SSHFP", 44),
    ("RRSIG", RRSIG),
    ("NSEC", NSEC),
    ("DNSKEY", 48),
    ("DHCID", 49),
    ("NSEC3", NSEC3),
    ("NSEC3PARAM", 51),
    ("TLSA", 52),
    ("SMIMEA", 53),
    ("CDS", 59),
    ("CDNSKEY", 60),
    ("OPENPGPKEY", 61),
    ("CSYNC", 62),
    ("SVCB", SVCB),
    ("HTTPS", HTTPS),
    ("SPF", 99),
    ("EUI48", 108),
    ("EUI64", 109),
    ("X25", 19),
    ("ISDN", 20),
    ("NSAP", 22),
    ("GPOS", 27),
    ("IPSECKEY", 45),
    ("ZONEMD", 63),
    ("NID", 104),
    ("L32", 105),
    ("L64", 106),
    ("LP", 107),
    ("AXFR", AXFR),
    ("ANY", ANY),
    ("URI", 256),
    ("CAA", 257),
];

/// The number of a type by its name or as `TYPEnnn`.
pub(crate) fn number(mnemonic: &str) -> u16 {
    let known = TYPES.iter().find(|(name, _)| *name == mnemonic).map(|(_, number)| *number);
    let generic = || mnemonic.strip_prefix("TYPE").and_then(|digits| digits.parse().ok());
    known.or_else(generic).unwrap_or_else(|| panic!("{mnemonic} is no type of this test"))
}

/// The name of a type.
pub(crate) fn mnemonic(number: u16) -> String {
    let known = TYPES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("TYPE{number}"), |(name, _)| (*name).to_owned())
}

/// How many octets stand before the names in a type's data, and how many names there are.
pub(crate) fn names_in(rtype: u16, rdata: &[u8]) -> Option<(usize, usize)> {
    let found = match rtype {
        2..=5 | 7..=9 | 12 | 23 | DNAME | NSEC => (0, 1),
        6 | 14 | 17 | 58 => (0, 2),
        15 | 18 | 21 | 36 | 64 | 65 | 107 => (2, 1),
        26 => (2, 2),
        33 => (6, 1),
        35 => (naptr_strings(rdata)?, 1),
        RRSIG => (18, 1),
        _ => return None,
    };
    Some(found).filter(|(skip, _)| *skip < rdata.len())
}

/// Octets of order, preference and the three strings of a NAPTR record.
fn naptr_strings(rdata: &[u8]) -> Option<usize> {
    let mut at = 4;
    for _ in 0..3 {
        at += 1 + usize::from(*rdata.get(at)?);
    }
    Some(at)
}
