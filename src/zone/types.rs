//! Record types and the fields of their RDATA.
//!
//! One table drives reading, printing, canonical comparison and the check of RFC 3597 data: a type is added by a line.
//! Types without fields here are known by name only; their data are written as `\# length hex`. The table holds what
//! BIND 9.18 takes in a zone file, each type in the form that BIND reads and writes.

use crate::model::{Rtype, mnemonic};

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
    fields: &'static [Field],
}

use Field::{
    AddressSuffix, Algorithm, Atm, Base64, Certificate, DashBase64, DigestType, Digits, Eui48, Eui64, Gateway,
    GatewayType, Hash, HashAlgorithm, Hex, HostIdentity, Ipv4, Ipv6, KeyFlags, Location, Locator, LongText, LowTypes,
    Name, Nsap, OptionalBase64, OptionalText, Params, PrefixLength, PrefixName, Prefixes, Protocol, Relay, RelayType,
    Salt, Scheme, Seconds, Services, Stamp, Substitution, Tag, Text, Texts, U8, U16, U32, Uri,
};

const SIGNATURE: &[Field] = &[Field::Type, Algorithm, U8, U32, Stamp, Stamp, U16, Name, Base64];
const KEY: &[Field] = &[KeyFlags, Protocol, Algorithm, OptionalBase64];
const DIGEST: &[Field] = &[U16, Algorithm, DigestType, Hex];

const fn of(name: &str, fields: &'static [Field]) -> TypeInfo {
    TypeInfo { number: mnemonic::known(name), fields }
}

/// The fields of every type that has a name, sorted by number.
const TYPES: &[TypeInfo] = &[
    of("A", &[Ipv4]),
    of("NS", &[Name]),
    of("MD", &[Name]),
    of("MF", &[Name]),
    of("CNAME", &[Name]),
    of("SOA", &[Name, Name, U32, Seconds, Seconds, Seconds, Seconds]),
    of("MB", &[Name]),
    of("MG", &[Name]),
    of("MR", &[Name]),
    of("NULL", &[]),
    of("WKS", &[Ipv4, Services]),
    of("PTR", &[Name]),
    of("HINFO", &[Text, Text]),
    of("MINFO", &[Name, Name]),
    of("MX", &[U16, Name]),
    of("TXT", &[Texts]),
    of("RP", &[Name, Name]),
    of("AFSDB", &[U16, Name]),
    of("X25", &[Digits]),
    of("ISDN", &[Text, OptionalText]),
    of("RT", &[U16, Name]),
    of("NSAP", &[Nsap]),
    of("NSAP-PTR", &[Name]),
    of("SIG", SIGNATURE),
    of("KEY", KEY),
    of("PX", &[U16, Name, Name]),
    of("GPOS", &[Text, Text, Text]),
    of("AAAA", &[Ipv6]),
    of("LOC", &[Location]),
    of("NXT", &[Name, LowTypes]),
    of("EID", &[Hex]),
    of("NIMLOC", &[Hex]),
    of("SRV", &[U16, U16, U16, Name]),
    of("ATMA", &[Atm]),
    of("NAPTR", &[U16, U16, Text, Text, Substitution, Name]),
    of("KX", &[U16, Name]),
    of("CERT", &[Certificate, U16, Algorithm, Base64]),
    of("A6", &[PrefixLength, AddressSuffix, PrefixName]),
    of("DNAME", &[Name]),
    of("SINK", &[U8, U8, U8, OptionalBase64]),
    of("APL", &[Prefixes]),
    of("DS", DIGEST),
    of("SSHFP", &[U8, U8, Hex]),
    of("IPSECKEY", &[U8, GatewayType, U8, Gateway, Base64]),
    of("RRSIG", SIGNATURE),
    of("NSEC", &[Name, Field::Types]),
    of("DNSKEY", KEY),
    of("DHCID", &[Base64]),
    of("NSEC3", &[HashAlgorithm, U8, U16, Salt, Hash, Field::Types]),
    of("NSEC3PARAM", &[HashAlgorithm, U8, U16, Salt]),
    of("TLSA", &[U8, U8, U8, Hex]),
    of("SMIMEA", &[U8, U8, U8, Hex]),
    of("HIP", &[HostIdentity]),
    of("NINFO", &[Texts]),
    of("RKEY", KEY),
    of("TALINK", &[Name, Name]),
    of("CDS", DIGEST),
    of("CDNSKEY", KEY),
    of("OPENPGPKEY", &[Base64]),
    of("CSYNC", &[U32, U16, Field::Types]),
    of("ZONEMD", &[U32, U8, U8, Hex]),
    of("SVCB", &[U16, Name, Params]),
    of("HTTPS", &[U16, Name, Params]),
    of("DSYNC", &[Field::Type, Scheme, U16, Name]),
    of("HHIT", &[Base64]),
    of("BRID", &[Base64]),
    of("SPF", &[Texts]),
    of("UINFO", &[]),
    of("UID", &[]),
    of("GID", &[]),
    of("UNSPEC", &[]),
    of("NID", &[U16, Locator]),
    of("L32", &[U16, Ipv4]),
    of("L64", &[U16, Locator]),
    of("LP", &[U16, Name]),
    of("EUI48", &[Eui48]),
    of("EUI64", &[Eui64]),
    of("URI", &[U16, U16, Uri]),
    of("CAA", &[U8, Tag, LongText]),
    of("AVC", &[Texts]),
    of("DOA", &[U32, U32, U8, Text, DashBase64]),
    of("AMTRELAY", &[U8, RelayType, Relay]),
    of("RESINFO", &[Texts]),
    of("WALLET", &[Texts]),
    of("TA", DIGEST),
    of("DLV", DIGEST),
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
    mnemonic::mnemonic(rtype.0).map_or_else(|| format!("TYPE{}", rtype.0).into(), Into::into)
}

/// The type that a mnemonic or `TYPEnnn` names, in any case; `None` if there is none.
pub fn type_from_text(text: &[u8]) -> Option<Rtype> {
    mnemonic::number(text).map(Rtype)
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
    fn the_table_is_sorted_and_has_every_type_of_zones() {
        assert!(TYPES.is_sorted_by(|a, b| a.number < b.number));
        let in_zones = mnemonic::MNEMONICS.iter().filter(|(number, _)| !matches!(number, 41 | 128..=255));
        assert_eq!(in_zones.count(), TYPES.len());
    }
}
