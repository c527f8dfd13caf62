//! Reverse names, read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NameBuf;
use crate::model::Name;

/// The address whose reverse name this is, if it is a whole one in lower case.
pub fn reverse_address(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let address = match labels.as_slice() {
        [octets @ .., b"in-addr", b"arpa"] if octets.len() == 4 => {
            let mut address = [0; 4];
            for (octet, label) in address.iter_mut().zip(octets.iter().rev()) {
                *octet = std::str::from_utf8(label).ok()?.parse().ok()?;
            }
            IpAddr::V4(Ipv4Addr::from(address))
        }
        [digits @ .., b"ip6", b"arpa"] if digits.len() == 32 => {
            let text: String = digits.iter().rev().map(|label| String::from_utf8_lossy(label)).collect();
            IpAddr::V6(Ipv6Addr::from(u128::from_str_radix(&text, 16).ok()?))
        }
        _ => return None,
    };
    (NameBuf::reverse(address).as_wire() == name.as_wire()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        for address in ["192.0.2.10", "0.0.0.0", "203.0.113.255", "2001:db8::a1", "::"] {
            let address = address.parse().expect("an address");
            assert_eq!(reverse_address(&Name::from_trusted(NameBuf::reverse(address).as_wire())), Some(address));
        }
        for name in ["10.02.0.192.in-addr.arpa", "2.0.192.in-addr.arpa", "a.2.0.192.in-addr.arpa", "1.ip6.arpa", "."] {
            assert_eq!(reverse_address(&Name::parse_absolute(name).expect("a name")), None, "{name}");
        }
    }
}
