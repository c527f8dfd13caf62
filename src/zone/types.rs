//! Record types: number, mnemonic and the fields of their RDATA.
//!
//! One table drives reading, printing, canonical comparison and the check of RFC 3597 data: a type is added by a line.
//! Types without fields here are known by name only; their data are written as `\# length hex`. The table holds what
//! BIND 9.18 takes in a zone file, each type in the form that BIND reads and writes.

use crate::model::Rtype;

/// A part of RDATA: how it is written and how many octets it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// One octet.
    U8,
    /// Two octets.
    U16,
    /// Four octets.
    U32,
    /// Four octets, written plain or with units of time.
    Seconds,
    /// Four octets, written as seconds or `YYYYMMDDHHmmSS` (RFC 4034 section 3.2).
    Stamp,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An uncompressed name.
    Name,
    /// A character string.
    Text,
    /// One or more character strings, to the end.
    Texts,
    /// A character string that may be missing (RFC 1183 section 3.2).
    OptionalText,
    /// A character string of at least four digits (RFC 1183 section 3.1).
    Digits,
    /// A substitution expression with a length octet (RFC 3402 section 3.2).
    Substitution,
    /// One string without a length octet, to the end.
    LongText,
    /// The same, always in quotes (RFC 7553 section 4.5).
    Uri,
    /// A property tag: letters and digits with a length octet (RFC 8659).
    Tag,
    /// Hexadecimal digits, to the end, at least one octet.
    Hex,
    /// Hexadecimal digits with a length octet, `-` if empty (RFC 5155).
    Salt,
    /// Base 32 with a length octet (RFC 5155).
    Hash,
    /// Base 64, to the end, at least one octet.
    Base64,
    /// Base 64, to the end; may be missing.
    OptionalBase64,
    /// Base 64, to the end, `-` if empty.
    DashBase64,
    /// A record type, mnemonic or number.
    Type,
    /// A bitmap of record types, to the end (RFC 4034 section 4.1.2).
    Types,
    /// The same, which may be empty (RFC 5155, RFC 7477).
    SomeTypes,
    /// A bitmap of record types below 128, to the end (RFC 2535 section 5.2).
    LowTypes,
    /// Flags of a key, mnemonics or number (RFC 2535 section 3.1.2).
    KeyFlags,
    /// The protocol of a key, mnemonic or number.
    Protocol,
    /// A digest type of DS records, mnemonic or number.
    DigestType,
    /// A hash algorithm of NSEC3 records, mnemonic or number.
    HashAlgorithm,
    /// What a DSYNC record is for, mnemonic or number (RFC 9859).
    Scheme,
    /// A DNSSEC algorithm, mnemonic or number.
    Algorithm,
    /// A certificate type, mnemonic or number (RFC 4398).
    Certificate,
    /// Six octets as `00-00-5e-00-53-2a` (RFC 7043).
    Eui48,
    /// Eight octets as `00-00-5e-ef-10-00-00-2a` (RFC 7043).
    Eui64,
    /// Eight octets as four groups of hexadecimal digits (RFC 6742).
    Locator,
    /// A place on earth (RFC 1876).
    Location,
    /// Address prefixes, to the end (RFC 3123).
    Prefixes,
    /// Service parameters, to the end (RFC 9460).
    Params,
    /// What kind of gateway follows: 0 to 3 (RFC 4025 section 2.3).
    GatewayType,
    /// Nothing, an address or a name, as the octet at 1 says (RFC 4025 section 2.5).
    Gateway,
    /// Discovery bit and kind of the relay that follows (RFC 8777 section 4.2).
    RelayType,
    /// A relay, as the octet before it says (RFC 8777 section 4.2.4).
    Relay,
    /// Everything of a host identity (RFC 8005 section 5).
    HostIdentity,
    /// Protocol and bitmap of ports (RFC 1035 section 3.4.2).
    Services,
    /// An address of OSI (RFC 1706).
    Nsap,
    /// An ATM address: E.164 digits or hexadecimal.
    Atm,
    /// How many bits of an IPv6 address a name gives (RFC 2874 section 3.1).
    PrefixLength,
    /// The other bits.
    AddressSuffix,
    /// The name that gives the prefix; none for a prefix of 0 bits.
    PrefixName,
}

/// A type as the table knows it.
pub(super) struct TypeInfo {
    number: u16,
    mnemonic: &'static str,
    fields: &'static [Field],
}

use Field::{
    AddressSuffix, Algorithm, Atm, Base64, Certificate, DashBase64, DigestType, Digits, Eui48, Eui64, Gateway,
    GatewayType, Hash, HashAlgorithm, Hex, HostIdentity, Ipv4, Ipv6, KeyFlags, Location, Locator, LongText, LowTypes,
    Name, Nsap, OptionalBase64, OptionalText, Params, PrefixLength, PrefixName, Prefixes, Protocol, Relay, RelayType,
    Salt, Scheme, Seconds, Services, SomeTypes, Stamp, Substitution, Tag, Text, Texts, U8, U16, U32, Uri,
};

const SIGNATURE: &[Field] = &[Field::Type, Algorithm, U8, U32, Stamp, Stamp, U16, Name, Base64];
const KEY: &[Field] = &[KeyFlags, Protocol, Algorithm, OptionalBase64];
const DIGEST: &[Field] = &[U16, Algorithm, DigestType, Hex];

const fn of(number: u16, mnemonic: &'static str, fields: &'static [Field]) -> TypeInfo {
    TypeInfo { number, mnemonic, fields }
}

/// Every type that may stand in a zone file by its mnemonic, sorted by number.
const TYPES: &[TypeInfo] = &[
    of(1, "A", &[Ipv4]),
    of(2, "NS", &[Name]),
    of(3, "MD", &[Name]),
    of(4, "MF", &[Name]),
    of(5, "CNAME", &[Name]),
    of(6, "SOA", &[Name, Name, U32, Seconds, Seconds, Seconds, Seconds]),
    of(7, "MB", &[Name]),
    of(8, "MG", &[Name]),
    of(9, "MR", &[Name]),
    of(10, "NULL", &[]),
    of(11, "WKS", &[Ipv4, Services]),
    of(12, "PTR", &[Name]),
    of(13, "HINFO", &[Text, Text]),
    of(14, "MINFO", &[Name, Name]),
    of(15, "MX", &[U16, Name]),
    of(16, "TXT", &[Texts]),
    of(17, "RP", &[Name, Name]),
    of(18, "AFSDB", &[U16, Name]),
    of(19, "X25", &[Digits]),
    of(20, "ISDN", &[Text, OptionalText]),
    of(21, "RT", &[U16, Name]),
    of(22, "NSAP", &[Nsap]),
    of(23, "NSAP-PTR", &[Name]),
    of(24, "SIG", SIGNATURE),
    of(25, "KEY", KEY),
    of(26, "PX", &[U16, Name, Name]),
    of(27, "GPOS", &[Text, Text, Text]),
    of(28, "AAAA", &[Ipv6]),
    of(29, "LOC", &[Location]),
    of(30, "NXT", &[Name, LowTypes]),
    of(31, "EID", &[Hex]),
    of(32, "NIMLOC", &[Hex]),
    of(33, "SRV", &[U16, U16, U16, Name]),
    of(34, "ATMA", &[Atm]),
    of(35, "NAPTR", &[U16, U16, Text, Text, Substitution, Name]),
    of(36, "KX", &[U16, Name]),
    of(37, "CERT", &[Certificate, U16, Algorithm, Base64]),
    of(38, "A6", &[PrefixLength, AddressSuffix, PrefixName]),
    of(39, "DNAME", &[Name]),
    of(40, "SINK", &[U8, U8, U8, OptionalBase64]),
    of(42, "APL", &[Prefixes]),
    of(43, "DS", DIGEST),
    of(44, "SSHFP", &[U8, U8, Hex]),
    of(45, "IPSECKEY", &[U8, GatewayType, U8, Gateway, Base64]),
    of(46, "RRSIG", SIGNATURE),
    of(47, "NSEC", &[Name, Field::Types]),
    of(48, "DNSKEY", KEY),
    of(49, "DHCID", &[Base64]),
    of(50, "NSEC3", &[HashAlgorithm, U8, U16, Salt, Hash, SomeTypes]),
    of(51, "NSEC3PARAM", &[HashAlgorithm, U8, U16, Salt]),
    of(52, "TLSA", &[U8, U8, U8, Hex]),
    of(53, "SMIMEA", &[U8, U8, U8, Hex]),
    of(55, "HIP", &[HostIdentity]),
    of(56, "NINFO", &[Texts]),
    of(57, "RKEY", KEY),
    of(58, "TALINK", &[Name, Name]),
    of(59, "CDS", DIGEST),
    of(60, "CDNSKEY", KEY),
    of(61, "OPENPGPKEY", &[Base64]),
    of(62, "CSYNC", &[U32, U16, SomeTypes]),
    of(63, "ZONEMD", &[U32, U8, U8, Hex]),
    of(64, "SVCB", &[U16, Name, Params]),
    of(65, "HTTPS", &[U16, Name, Params]),
    of(66, "DSYNC", &[Field::Type, Scheme, U16, Name]),
    of(67, "HHIT", &[Base64]),
    of(68, "BRID", &[Base64]),
    of(99, "SPF", &[Texts]),
    of(100, "UINFO", &[]),
    of(101, "UID", &[]),
    of(102, "GID", &[]),
    of(103, "UNSPEC", &[]),
    of(104, "NID", &[U16, Locator]),
    of(105, "L32", &[U16, Ipv4]),
    of(106, "L64", &[U16, Locator]),
    of(107, "LP", &[U16, Name]),
    of(108, "EUI48", &[Eui48]),
    of(109, "EUI64", &[Eui64]),
    of(256, "URI", &[U16, U16, Uri]),
    of(257, "CAA", &[U8, Tag, LongText]),
    of(258, "AVC", &[Texts]),
    of(259, "DOA", &[U32, U32, U8, Text, DashBase64]),
    of(260, "AMTRELAY", &[U8, RelayType, Relay]),
    of(261, "RESINFO", &[Texts]),
    of(262, "WALLET", &[Texts]),
    of(32768, "TA", DIGEST),
    of(32769, "DLV", DIGEST),
];

/// Types that exist only in messages, never in a zone (RFC 6895 section 3.1).
const QUESTION_TYPES: [(u16, &str); 8] = [
    (41, "OPT"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
];

/// What the table says of a type; `None` for a type that is only a number.
fn info(rtype: Rtype) -> Option<&'static TypeInfo> {
    let at = TYPES.binary_search_by_key(&rtype.0, |info| info.number).ok()?;
    Some(&TYPES[at])
}

/// The fields of a type; `None` if its data can only be written as RFC 3597 says.
pub(super) fn fields(rtype: Rtype) -> Option<&'static [Field]> {
    info(rtype).map(|info| info.fields).filter(|fields| !fields.is_empty())
}

/// The name of a type: its mnemonic, or `TYPEnnn`.
pub fn mnemonic(rtype: Rtype) -> std::borrow::Cow<'static, str> {
    let question = QUESTION_TYPES.iter().find(|(number, _)| *number == rtype.0).map(|(_, name)| *name);
    match info(rtype).map(|info| info.mnemonic).or(question) {
        Some(name) => name.into(),
        None => format!("TYPE{}", rtype.0).into(),
    }
}

/// The type that a mnemonic or `TYPEnnn` names, in any case; `None` if there is none.
pub fn type_from_text(text: &[u8]) -> Option<Rtype> {
    let named = |name: &str| name.as_bytes().eq_ignore_ascii_case(text);
    if let Some(info) = TYPES.iter().find(|info| named(info.mnemonic)) {
        return Some(Rtype(info.number));
    }
    if let Some((number, _)) = QUESTION_TYPES.iter().find(|(_, name)| named(name)) {
        return Some(Rtype(*number));
    }
    let digits = text.get(4..).filter(|_| text[..4].eq_ignore_ascii_case(b"TYPE"))?;
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok().map(Rtype)
}

/// Why records of the type cannot stand in a zone (RFC 6895 section 3.1); `None` if they can.
pub(super) fn banned(rtype: Rtype) -> Option<&'static str> {
    match rtype.0 {
        0 | 41 | 128..=255 => Some("it exists only in messages"),
        3 | 4 => Some("it is obsolete, use MX"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_names_lead_back() {
        assert!(TYPES.is_sorted_by(|a, b| a.number < b.number));
        for info in TYPES {
            assert_eq!(type_from_text(info.mnemonic.to_lowercase().as_bytes()), Some(Rtype(info.number)));
            assert_eq!(mnemonic(Rtype(info.number)), info.mnemonic);
        }
        assert_eq!(type_from_text(b"type731"), Some(Rtype(731)));
        for bad in [&b"TYPE65536"[..], b"TYPE", b"TYPE+1", b"X", b""] {
            assert_eq!(type_from_text(bad), None);
        }
    }
}
