//! A template taken apart once, so that a name is put together without text, search or allocation.

use std::net::IpAddr;

use super::{Publishes, Template, Values};
use crate::model::name::{MAX_LABEL, MAX_NAME, Name, NameError};

/// A template in parts: labels, each literal or one value between literals, and the zone behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What stands at its names.
    pub publishes: Publishes,
    text: Box<str>,
    pub(super) labels: Vec<Label>,
    /// Bits of its placeholders.
    uses: u8,
    own: u8,
}

/// What fills a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The service.
    Service,
    /// The protocol.
    Proto,
    /// The site.
    Site,
    /// The instance.
    Instance,
    /// A tag.
    Tag,
}

/// One label: a placeholder between literals, or a literal alone, which is the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) prefix: Box<[u8]>,
    pub(super) placeholder: Option<Placeholder>,
    pub(super) suffix: Box<[u8]>,
}

/// Room for one name.
#[derive(Debug, Clone)]
pub struct NameBuf {
    octets: [u8; MAX_NAME],
    len: usize,
}

impl Default for NameBuf {
    fn default() -> Self {
        Self { octets: [0; MAX_NAME], len: 0 }
    }
}

impl NameBuf {
    /// The name that was written last: lower-case wire format.
    pub fn as_wire(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// The owner of an address's PTR record (RFC 1035 section 3.5, RFC 3596 section 2.5).
    pub fn reverse(address: IpAddr) -> Self {
        let mut name = Self::default();
        match address {
            IpAddr::V4(v4) => {
                v4.octets().iter().rev().for_each(|octet| name.push_decimal(*octet));
                name.push(b"\x07in-addr\x04arpa\0");
            }
            IpAddr::V6(v6) => {
                for octet in v6.octets().iter().rev() {
                    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                    name.push(&[1, digit(octet & 15), 1, digit(octet >> 4)]);
                }
                name.push(b"\x03ip6\x04arpa\0");
            }
        }
        name
    }

    /// A label with the decimal digits of a number.
    fn push_decimal(&mut self, number: u8) {
        let digits = [b'0' + number / 100, b'0' + number / 10 % 10, b'0' + number % 10];
        let skipped = usize::from(number < 100) + usize::from(number < 10);
        self.push(&[3 - skipped as u8]);
        self.push(&digits[skipped..]);
    }

    fn push(&mut self, octets: &[u8]) {
        self.octets[self.len..self.len + octets.len()].copy_from_slice(octets);
        self.len += octets.len();
    }
}

impl Pattern {
    /// The parts of a template; `None` when it does not end with the zone or has a placeholder that there is not.
    pub(super) fn parse(template: &Template) -> Option<Self> {
        let text = template.pattern.strip_suffix("{domain}")?;
        let labels = match text.strip_suffix('.') {
            None if text.is_empty() => Vec::new(),
            None => return None,
            Some(labels) => labels.split('.').map(Label::parse).collect::<Option<Vec<_>>>()?,
        };
        let of_service = |label: &Label| label.placeholder == Some(Placeholder::Service);
        let own = labels.iter().rposition(of_service).unwrap_or_default() as u8;
        let uses = labels.iter().filter_map(|label| label.placeholder).fold(0, |uses, one| uses | 1 << one as u8);
        Some(Self { publishes: template.publishes, uses, text: template.pattern.as_str().into(), labels, own })
    }

    /// The template as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has this placeholder.
    pub fn uses(&self, placeholder: Placeholder) -> bool {
        self.uses & 1 << placeholder as u8 != 0
    }

    /// How many of the names right above its names have the service's label too.
    pub fn own_above(&self) -> u8 {
        self.own
    }

    /// Writes the name for these values; `None` when a value that the pattern needs is missing.
    pub fn write(&self, values: &Values<'_>, into: &mut NameBuf) -> Option<Result<(), NameError>> {
        let domain = values.domain.as_wire();
        let mut len = domain.len();
        for label in &self.labels {
            let value = label.value(values)?;
            let octets = label.prefix.len() + value.len() + label.suffix.len();
            if octets == 0 || octets > MAX_LABEL {
                return Some(Err(label.fault(value, octets)));
            }
            len += 1 + octets;
        }
        if len > MAX_NAME {
            return Some(Err(NameError::LongName(len)));
        }
        into.len = 0;
        for label in &self.labels {
            let value = label.value(values)?.as_bytes();
            into.push(&[(label.prefix.len() + value.len() + label.suffix.len()) as u8]);
            into.push(&label.prefix);
            into.push(value);
            into.push(&label.suffix);
        }
        // No length of a label is a letter.
        into.octets[..into.len].make_ascii_lowercase();
        into.push(domain);
        Some(Ok(()))
    }

    /// The name for these values; `None` when a value that the pattern needs is missing.
    pub fn name(&self, values: &Values<'_>) -> Option<Result<Name, NameError>> {
        let mut room = NameBuf::default();
        Some(self.write(values, &mut room)?.map(|()| Name::from_trusted(room.as_wire())))
    }

    /// What stands in a name where this pattern has the service's label; the rest of the name is not looked at.
    pub fn service_in<'a>(&self, name: &'a [u8]) -> Option<&'a str> {
        let at = self.labels.iter().position(|label| label.placeholder == Some(Placeholder::Service))?;
        let mut rest = name;
        for label in &self.labels[..=at] {
            let (len, behind) = rest.split_first().filter(|(len, _)| **len > 0)?;
            let (octets, behind) = behind.split_at_checked(usize::from(*len))?;
            if label.placeholder == Some(Placeholder::Service) {
                return label.read(octets).filter(|service| !service.is_empty());
            }
            rest = behind;
        }
        None
    }

    /// The values that give this name, which is whole and in lower case, to this service; `None` if none do.
    pub fn read<'a>(&self, name: &'a [u8], service: &'a str, domain: &'a Name) -> Option<Values<'a>> {
        let mut values = Values { service, proto: None, site: None, instance: None, tag: None, domain };
        let mut rest = name;
        for label in &self.labels {
            let (len, behind) = rest.split_first().filter(|(len, _)| **len > 0)?;
            let (octets, behind) = behind.split_at_checked(usize::from(*len))?;
            let value = label.read(octets)?;
            let place = match label.placeholder {
                None | Some(Placeholder::Service) => &mut None,
                Some(Placeholder::Proto) => &mut values.proto,
                Some(Placeholder::Site) => &mut values.site,
                Some(Placeholder::Instance) => &mut values.instance,
                Some(Placeholder::Tag) => &mut values.tag,
            };
            let expected = match label.placeholder {
                None => Some(""),
                Some(Placeholder::Service) => Some(service),
                _ => *place,
            };
            if value.is_empty() != label.placeholder.is_none() || expected.is_some_and(|expected| expected != value) {
                return None;
            }
            *place = Some(value);
            rest = behind;
        }
        (rest == domain.as_wire()).then_some(values)
    }
}

impl Label {
    /// Whether a text is a label with one placeholder at most, and literals around it that a name can have.
    pub(super) fn is_sound(text: &str) -> bool {
        let literal = |text: &[u8]| text.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(octet));
        Self::parse(text).is_some_and(|label| literal(&label.prefix) && literal(&label.suffix)) && !text.is_empty()
    }

    fn parse(text: &str) -> Option<Self> {
        let (prefix, placeholder, suffix) = match text.split_once('{') {
            None => (text, None, ""),
            Some((prefix, rest)) => {
                let (placeholder, suffix) = rest.split_once('}')?;
                (prefix, Some(Placeholder::parse(placeholder)?), suffix)
            }
        };
        let literal = |text: &str| text.as_bytes().into();
        Some(Self { prefix: literal(prefix), placeholder, suffix: literal(suffix) })
    }

    fn value<'v>(&self, values: &Values<'v>) -> Option<&'v str> {
        match self.placeholder {
            None => Some(""),
            Some(Placeholder::Service) => Some(values.service),
            Some(Placeholder::Proto) => values.proto,
            Some(Placeholder::Site) => values.site,
            Some(Placeholder::Instance) => values.instance,
            Some(Placeholder::Tag) => values.tag,
        }
    }

    /// What stands between its literals.
    fn read<'a>(&self, octets: &'a [u8]) -> Option<&'a str> {
        let begins =
            |octets: &[u8], with: &[u8]| octets.len() >= with.len() && octets[..with.len()].eq_ignore_ascii_case(with);
        let behind =
            Some(octets).filter(|octets| begins(octets, &self.prefix)).map(|octets| &octets[self.prefix.len()..])?;
        let end = behind.len().checked_sub(self.suffix.len())?;
        let (value, suffix) = behind.split_at(end);
        std::str::from_utf8(value).ok().filter(|_| suffix.eq_ignore_ascii_case(&self.suffix))
    }

    fn fault(&self, value: &str, octets: usize) -> NameError {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let shown = [text(&self.prefix), value.to_owned(), text(&self.suffix)].concat();
        match octets {
            0 => NameError::EmptyLabel(shown),
            _ => NameError::LongLabel(shown, octets),
        }
    }
}

impl Placeholder {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "service" => Self::Service,
            "proto" => Self::Proto,
            "site" => Self::Site,
            "instance" => Self::Instance,
            "tag" => Self::Tag,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(pattern: &str, values: &Values<'_>) -> Option<Result<Name, NameError>> {
        let template = Template { pattern: pattern.into(), publishes: Publishes::Host };
        Pattern::parse(&template).expect("a pattern").name(values)
    }

    #[test]
    fn names_are_folded_and_bounded() {
        let domain = Name::parse_absolute("sd.example").expect("name");
        let (long, longest) = ("x".repeat(64), "y".repeat(63));
        let values = Values {
            service: "Search",
            proto: Some(&long),
            site: None,
            instance: Some(&longest),
            tag: Some(""),
            domain: &domain,
        };
        let name = write("A.pre-{service}-Post.{domain}", &values).expect("all given").expect("a name");
        assert_eq!(name.to_string(), "a.pre-search-post.sd.example.");
        assert!(write("{site}.{domain}", &values).is_none());
        assert!(matches!(write("{proto}.{domain}", &values), Some(Err(NameError::LongLabel(_, 64)))));
        assert!(matches!(write("{tag}.{domain}", &values), Some(Err(NameError::EmptyLabel(_)))));
        let four = write("{instance}.{instance}.{instance}.{instance}.{domain}", &values);
        assert!(matches!(four, Some(Err(NameError::LongName(268)))));
    }

    #[test]
    fn what_a_name_was_made_of_is_read_from_it() {
        let domain = Name::parse_absolute("sd.example.org").expect("name");
        let (proto, site) = (Some("tcp"), Some("lon"));
        let values =
            Values { service: "search", proto, site, instance: Some("a1"), tag: Some("blue"), domain: &domain };
        for text in [
            "_{tag}._sub._{service}._{proto}.{domain}",
            "Pre-{instance}-Post.{service}.{site}.{domain}",
            "{site}.{service}.{site}.{domain}",
            "{service}.service.{domain}",
        ] {
            let template = Template { pattern: text.into(), publishes: Publishes::Host };
            let pattern = Pattern::parse(&template).expect("a pattern");
            let name = pattern.name(&values).expect("all given").expect("a name");
            let read = pattern.read(name.as_wire(), "search", &domain).expect("a name of the pattern");
            let found = [read.proto, read.site, read.instance, read.tag];
            let used = [Placeholder::Proto, Placeholder::Site, Placeholder::Instance, Placeholder::Tag];
            let given = [proto, site, values.instance, values.tag];
            let expected: Vec<_> =
                used.into_iter().zip(given).map(|(one, value)| value.filter(|_| pattern.uses(one))).collect();
            assert_eq!(found.as_slice(), expected, "{text}");
            assert!(pattern.read(name.as_wire(), "index", &domain).is_none(), "{text}");
            assert!(pattern.read(&name.as_wire()[1..], "search", &domain).is_none(), "{text}");
            assert!(pattern.read(domain.as_wire(), "search", &domain).is_none(), "{text}");
        }
        let twice = Template { pattern: "{site}.{service}.{site}.{domain}".into(), publishes: Publishes::Host };
        let other = Name::parse_absolute("lon.search.sto.sd.example.org").expect("name");
        assert!(Pattern::parse(&twice).expect("a pattern").read(other.as_wire(), "search", &domain).is_none());
    }

    #[test]
    fn addresses_have_their_reverse_names() {
        for (address, expected) in [
            ("192.0.2.10", "10.2.0.192.in-addr.arpa."),
            ("203.0.113.255", "255.113.0.203.in-addr.arpa."),
            ("2001:db8::a1", "1.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."),
        ] {
            let name = NameBuf::reverse(address.parse().expect("an address"));
            assert_eq!(Name::from_wire(name.as_wire()).expect("a name").to_string(), expected);
        }
    }

    #[test]
    fn names_above_belong_to_the_service_as_far_as_they_have_its_label() {
        for (pattern, own) in [
            ("{service}.{domain}", 0),
            ("{instance}.{service}.{domain}", 1),
            ("_{tag}._sub._{service}._{proto}.{site}.{domain}", 2),
            ("b._dns-sd._udp.{domain}", 0),
        ] {
            let template = Template { pattern: pattern.into(), publishes: Publishes::Host };
            assert_eq!(Pattern::parse(&template).expect("a pattern").own_above(), own, "{pattern}");
        }
    }
}
