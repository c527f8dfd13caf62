//! Record types by name: what BIND 9.18 knows, and so what may stand in its zone files and in questions.

/// Number and mnemonic of every type that has one, sorted by number.
pub const MNEMONICS: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP-PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (40, "SINK"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (58, "TALINK"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (66, "DSYNC"),
    (67, "HHIT"),
    (68, "BRID"),
    (99, "SPF"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (104, "NID"),
    (105, "L32"),
    (106, "L64"),
    (107, "LP"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (258, "AVC"),
    (259, "DOA"),
    (260, "AMTRELAY"),
    (261, "RESINFO"),
    (262, "WALLET"),
    (32768, "TA"),
    (32769, "DLV"),
];

/// The mnemonic of a type; `None` if it has only a number.
pub fn mnemonic(number: u16) -> Option<&'static str> {
    let at = MNEMONICS.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    Some(MNEMONICS[at].1)
}

/// The number that a mnemonic or `TYPEnnn` stands for, in any case; `None` if it is neither.
pub fn number(text: &[u8]) -> Option<u16> {
    let named = MNEMONICS.iter().find(|(_, name)| name.as_bytes().eq_ignore_ascii_case(text));
    if let Some((number, _)) = named {
        return Some(*number);
    }
    let digits = text.get(4..).filter(|_| text[..4].eq_ignore_ascii_case(b"TYPE"))?;
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// The number of a mnemonic that is in the table, for other tables; anything else does not compile.
pub const fn known(mnemonic: &str) -> u16 {
    let mut at = 0;
    while at < MNEMONICS.len() {
        let (number, name) = MNEMONICS[at];
        if is_same(name.as_bytes(), mnemonic.as_bytes()) {
            return number;
        }
        at += 1;
    }
    panic!("a mnemonic that is not in the table")
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_names_lead_back() {
        assert!(MNEMONICS.is_sorted_by(|a, b| a.0 < b.0));
        for (value, name) in MNEMONICS {
            assert_eq!(number(name.to_lowercase().as_bytes()), Some(*value));
            assert_eq!(mnemonic(*value), Some(*name));
        }
        assert_eq!(number(b"type731"), Some(731));
        for bad in [&b"TYPE65536"[..], b"TYPE", b"TYPE+1", b"X", b""] {
            assert_eq!(number(bad), None);
        }
    }
}
