//! Reverse zones: prefixes become names under `in-addr.arpa` and `ip6.arpa`.

use ipnet::IpNet;

use crate::model::Name;

/// The reverse zone of a prefix, which must end at a whole label: 8 bits of IPv4, 4 bits of IPv6.
pub fn zone_of_prefix(prefix: IpNet) -> Result<Name, String> {
    let (step, digits, suffix) = match prefix {
        IpNet::V4(net) => (8, net.addr().octets().map(|octet| octet.to_string()).to_vec(), "in-addr.arpa."),
        IpNet::V6(net) => {
            let nibbles = net.addr().octets().into_iter().flat_map(|octet| [octet >> 4, octet & 0xf]);
            (4, nibbles.map(|nibble| format!("{nibble:x}")).collect(), "ip6.arpa.")
        }
    };
    if prefix.trunc() != prefix {
        return Err(format!("{prefix} has bits behind its length; did you mean {}?", prefix.trunc()));
    }
    let labels = usize::from(prefix.prefix_len() / step);
    if prefix.prefix_len() == 0 || !prefix.prefix_len().is_multiple_of(step) {
        return Err(format!("the length of {prefix} is not a multiple of {step}; name the zones one by one"));
    }
    let mut name = digits[..labels].iter().rev().map(|label| format!("{label}.")).collect::<String>();
    name.push_str(suffix);
    Name::parse_absolute(&name).map_err(|error| error.to_string())
}

/// Whether a zone lies under the trees of addresses.
pub fn is_reverse(name: &Name) -> bool {
    let trees = [&b"\x07in-addr\x04arpa\x00"[..], b"\x03ip6\x04arpa\x00"];
    trees.iter().any(|tree| crate::model::name::is_within(name.as_wire(), tree))
}

/// An item of `reverse`: a prefix, or the name of a reverse zone.
pub(super) fn parse(text: &str) -> Result<Name, String> {
    if text.contains('/') {
        let expected = "expected a prefix such as 192.0.2.0/24 or 2001:db8::/32";
        let prefix = text.parse().map_err(|_| format!("\"{text}\" is not a prefix; {expected}"))?;
        return zone_of_prefix(prefix);
    }
    let name = Name::parse_absolute(text).map_err(|error| error.to_string())?;
    match is_reverse(&name) {
        true => Ok(name),
        false => Err(format!("{name} is not a reverse zone; expected a name such as 2.0.192.in-addr.arpa or a prefix")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_become_zones() {
        let zone = |text: &str| parse(text).map(|name| name.to_string());
        assert_eq!(zone("192.0.2.0/24").as_deref(), Ok("2.0.192.in-addr.arpa."));
        assert_eq!(zone("127.0.0.0/8").as_deref(), Ok("127.in-addr.arpa."));
        assert_eq!(zone("2001:db8::/32").as_deref(), Ok("8.b.d.0.1.0.0.2.ip6.arpa."));
        assert_eq!(zone("2.0.192.IN-ADDR.ARPA").as_deref(), Ok("2.0.192.in-addr.arpa."));
        for bad in ["192.0.2.0/20", "192.0.2.1/24", "0.0.0.0/0", "2001:db8::/33", "example.org", "192.0.2.0/33", "x/y"]
        {
            assert!(zone(bad).is_err(), "{bad}");
        }
    }
}
