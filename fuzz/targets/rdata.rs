//! Record data of every type, from octets in RFC 3597 syntax and from text: what is read prints as what is read again,
//! octet by octet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonebeat::model::{Name, Record, Rtype};
use zonebeat::zone::{mnemonic, parse_text, print};

fuzz_target!(|data: &[u8]| {
    let [how, high, low, rest @ ..] = data else { return };
    // Most types of the DNS are below 262; the fuzzer need not find them.
    let number =
        if how & 2 == 0 { u16::from(*low) | u16::from(high & 1) << 8 } else { u16::from_be_bytes([*high, *low]) };
    let rtype = mnemonic(Rtype(number));
    let line = match how & 1 {
        0 => {
            let hex: String = rest.iter().map(|octet| format!("{octet:02x}")).collect();
            format!("\\# {} {hex}", rest.len()).into_bytes()
        }
        _ => rest.to_vec(),
    };
    let text = [
        b"@ 60 IN SOA ns hostmaster 1 2 3 4 5\n@ 60 IN NS ns.example.net.\nx 60 IN ",
        rtype.as_bytes(),
        b" ",
        &line[..],
        b"\n",
    ]
    .concat();
    let Some(records) = read(&text) else { return };
    if how & 1 == 0
        && let Some(record) = records.iter().find(|record| record.rtype.0 == number && record.owner.as_wire()[0] == 1)
    {
        assert!(record.rdata.eq_ignore_ascii_case(rest), "octets in RFC 3597 syntax are the data");
    }
    let printed: String = records.iter().map(|record| print::record(record) + "\n").collect();
    assert_eq!(read(printed.as_bytes()), Some(records), "printed:\n{printed}");
});

fn read(text: &[u8]) -> Option<Vec<Record>> {
    let origin = Name::parse_absolute("example.org").expect("a name");
    let (zone, _) = parse_text("fuzz.zone", text, &origin).ok()?;
    Some(zone.records.into_iter().map(|stated| stated.record).collect())
}
