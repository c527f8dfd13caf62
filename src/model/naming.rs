//! Naming: templates that turn a service, an instance or a site into owner names.
//!
//! A template is data: a pattern over `{service} {proto} {site} {instance} {tag} {domain}` and what is published there.
//! A preset is a list of templates; several may be active while a fleet moves from one to another. The first active
//! preset's [`Publishes::Host`] template gives the SRV targets, so that they are unique and stable.

mod collide;
mod pattern;
mod reverse;

pub use pattern::{NameBuf, Pattern, Placeholder};
pub use reverse::reverse_address;

use super::name::{Name, NameError};

/// What stands at the names of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publishes {
    /// SRV of the instances, PTR to their DNS-SD names, TXT with the service's facts.
    Service,
    /// A and AAAA of the instances, TXT with the service's facts.
    Addresses,
    /// A and AAAA of one instance: the SRV target.
    Host,
    /// SRV and TXT of one instance: its DNS-SD name (RFC 6763 section 4).
    Instance,
    /// PTR and SRV of the instances with a tag (RFC 6763 section 7.1).
    Subtype,
    /// PTR to every service type (RFC 6763 section 9).
    Types,
    /// PTR to the domain itself (RFC 6763 section 11).
    Browse,
}

impl Publishes {
    /// Whether instances of a service share the name.
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Service | Self::Addresses | Self::Subtype)
    }
}

/// A pattern and what is published at the names it gives.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Labels with placeholders; must end with `{domain}`.
    pub pattern: String,
    /// What stands there.
    pub publishes: Publishes,
}

/// The names that a fleet uses: the templates of all active presets and those of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    templates: Vec<Template>,
    /// The templates taken apart, in their order.
    patterns: Vec<Pattern>,
}

/// The values that fill a template. A template that needs a value which is `None` gives no name.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    /// Service label.
    pub service: &'a str,
    /// Protocol label without underscore.
    pub proto: Option<&'a str>,
    /// Site label.
    pub site: Option<&'a str>,
    /// Instance label.
    pub instance: Option<&'a str>,
    /// Tag label.
    pub tag: Option<&'a str>,
    /// The zone.
    pub domain: &'a Name,
}

/// Why a naming is refused when it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// No such preset.
    #[error("no naming preset \"{0}\"; there are: plain, spotify, consul")]
    UnknownPreset(String),
    /// Something between braces that is no placeholder.
    #[error("template \"{0}\" has the placeholder {{{1}}}; there are: service, proto, site, instance, tag, domain")]
    UnknownPlaceholder(String, String),
    /// The pattern does not end with the domain.
    #[error("template \"{0}\" does not end with .{{domain}}")]
    NoDomain(String),
    /// The pattern lacks a placeholder without which names would collide.
    #[error("template \"{0}\" publishes {1} and so needs {{{2}}}")]
    Missing(String, &'static str, &'static str),
    /// A label of the pattern is empty or has several placeholders, or text that is no label.
    #[error(
        "template \"{0}\" has the label \"{1}\"; a label is literal, or one placeholder with letters, digits, \"-\" or \"_\" before or after it"
    )]
    Label(String, String),
    /// Two templates could give different things the same name.
    #[error(
        "templates \"{0}\" and \"{1}\" could give the same name to different services or different records; put a literal label into one of them"
    )]
    Collision(String, String),
    /// Nothing gives SRV targets.
    #[error("no active template publishes \"host\", so SRV records would have no targets")]
    NoHost,
}

/// The names of design: service names with and without site, hosts, DNS-SD.
const PLAIN: &[(&str, Publishes)] = &[
    ("_{service}._{proto}.{domain}", Publishes::Service),
    ("_{service}._{proto}.{site}.{domain}", Publishes::Service),
    ("{service}.{domain}", Publishes::Addresses),
    ("{service}.{site}.{domain}", Publishes::Addresses),
    ("{instance}.{service}.{domain}", Publishes::Host),
    ("{instance}._{service}._{proto}.{domain}", Publishes::Instance),
    ("_{tag}._sub._{service}._{proto}.{domain}", Publishes::Subtype),
    ("_services._dns-sd._udp.{domain}", Publishes::Types),
    ("b._dns-sd._udp.{domain}", Publishes::Browse),
    ("lb._dns-sd._udp.{domain}", Publishes::Browse),
];

const SPOTIFY: &[(&str, Publishes)] = &[
    ("_spotify-{service}._{proto}.services.{site}.{domain}", Publishes::Service),
    ("{service}.services.{site}.{domain}", Publishes::Addresses),
    ("{instance}.{service}.services.{site}.{domain}", Publishes::Host),
];

const CONSUL: &[(&str, Publishes)] = &[
    ("{service}.service.{domain}", Publishes::Addresses),
    ("_{service}._{proto}.service.{domain}", Publishes::Service),
    ("{tag}.{service}.service.{domain}", Publishes::Addresses),
    ("{instance}.{service}.instance.{domain}", Publishes::Host),
];

const PLACEHOLDERS: [&str; 6] = ["service", "proto", "site", "instance", "tag", "domain"];

impl Naming {
    /// The templates of `presets` in order, then `extra`.
    pub fn new(presets: &[String], extra: &[Template]) -> Result<Self, NamingError> {
        let mut templates: Vec<Template> = Vec::new();
        for preset in presets {
            let rows = match preset.as_str() {
                "plain" => PLAIN,
                "spotify" => SPOTIFY,
                "consul" => CONSUL,
                other => return Err(NamingError::UnknownPreset(other.to_owned())),
            };
            templates.extend(rows.iter().map(|&(pattern, publishes)| Template { pattern: pattern.into(), publishes }));
        }
        templates.extend_from_slice(extra);
        for template in &templates {
            template.check()?;
        }
        let patterns: Vec<Pattern> = templates.iter().filter_map(Pattern::parse).collect();
        for (at, pattern) in patterns.iter().enumerate() {
            if let Some(other) = patterns[..at].iter().find(|other| collide::collide(other, pattern)) {
                return Err(NamingError::Collision(other.text().to_owned(), pattern.text().to_owned()));
            }
        }
        if !templates.iter().any(|template| template.publishes == Publishes::Host) {
            return Err(NamingError::NoHost);
        }
        Ok(Self { templates, patterns })
    }

    /// The preset that is active when nothing is configured.
    pub fn plain() -> Self {
        Self::new(&["plain".to_owned()], &[]).expect("the plain preset is well-formed")
    }

    /// All active templates.
    pub fn templates(&self) -> &[Template] {
        &self.templates
    }

    /// The active templates taken apart, in their order.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Writes the SRV target of an instance that has addresses of its own: the first host template that applies. Says
    /// whether there is one.
    pub fn write_host(&self, values: &Values<'_>, into: &mut NameBuf) -> bool {
        let mut hosts = self.patterns.iter().filter(|pattern| pattern.publishes == Publishes::Host);
        hosts.any(|pattern| matches!(pattern.write(values, into), Some(Ok(()))))
    }
}

impl Template {
    /// The name for these values; `None` when a value that the pattern needs is missing.
    pub fn name(&self, values: &Values<'_>) -> Option<Result<Name, NameError>> {
        Pattern::parse(self)?.name(values)
    }

    /// Whether the pattern has this placeholder.
    pub fn uses(&self, placeholder: &str) -> bool {
        self.pattern.split('{').skip(1).any(|part| part.split('}').next() == Some(placeholder))
    }

    fn check(&self) -> Result<(), NamingError> {
        let pattern = || self.pattern.clone();
        let Some(labels) = self.pattern.strip_suffix(".{domain}") else { return Err(NamingError::NoDomain(pattern())) };
        for part in self.pattern.split('{').skip(1) {
            let placeholder = part.split('}').next().unwrap_or(part);
            if !PLACEHOLDERS.contains(&placeholder) {
                return Err(NamingError::UnknownPlaceholder(pattern(), placeholder.to_owned()));
            }
        }
        if let Some(label) = labels.split('.').find(|label| !pattern::Label::is_sound(label)) {
            return Err(NamingError::Label(pattern(), label.to_owned()));
        }
        let (kind, needed): (_, &[&'static str]) = match self.publishes {
            Publishes::Service => ("service", &["service", "proto"]),
            Publishes::Addresses => ("addresses", &["service"]),
            Publishes::Host => ("host", &["service", "instance"]),
            Publishes::Instance => ("instance", &["service", "proto", "instance"]),
            Publishes::Subtype => ("subtype", &["service", "proto", "tag"]),
            Publishes::Types => ("types", &[]),
            Publishes::Browse => ("browse", &[]),
        };
        match needed.iter().find(|placeholder| !self.uses(placeholder)) {
            Some(missing) => Err(NamingError::Missing(pattern(), kind, missing)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(presets: &[&str]) -> Vec<String> {
        let presets: Vec<String> = presets.iter().map(|&preset| preset.to_owned()).collect();
        let domain = Name::parse_absolute("sd.example").expect("name");
        let values = Values {
            service: "search",
            proto: Some("tcp"),
            site: Some("lon"),
            instance: Some("a1"),
            tag: Some("canary"),
            domain: &domain,
        };
        let naming = Naming::new(&presets, &[]).expect("presets");
        let names = naming.templates().iter().map(|t| t.name(&values).expect("all given").expect("name").to_string());
        names.collect()
    }

    #[test]
    fn presets_give_the_names_of_the_design() {
        assert_eq!(
            names(&["plain"]),
            [
                "_search._tcp.sd.example.",
                "_search._tcp.lon.sd.example.",
                "search.sd.example.",
                "search.lon.sd.example.",
                "a1.search.sd.example.",
                "a1._search._tcp.sd.example.",
                "_canary._sub._search._tcp.sd.example.",
                "_services._dns-sd._udp.sd.example.",
                "b._dns-sd._udp.sd.example.",
                "lb._dns-sd._udp.sd.example.",
            ]
        );
        assert!(names(&["spotify"]).contains(&"_spotify-search._tcp.services.lon.sd.example.".to_owned()));
        assert!(names(&["consul"]).contains(&"canary.search.service.sd.example.".to_owned()));
    }

    #[test]
    fn a_missing_value_gives_no_name() {
        let domain = Name::root();
        let values = Values { service: "s", proto: None, site: None, instance: None, tag: None, domain: &domain };
        let template = Template { pattern: "{service}.{site}.{domain}".into(), publishes: Publishes::Addresses };
        assert!(template.name(&values).is_none());
    }

    #[test]
    fn bad_templates_are_refused_with_the_reason() {
        let bad = |pattern: &str, publishes| {
            Naming::new(&["plain".into()], &[Template { pattern: pattern.into(), publishes }]).expect_err("refused")
        };
        assert!(matches!(bad("{service}", Publishes::Addresses), NamingError::NoDomain(_)));
        assert!(matches!(bad("{nope}.{domain}", Publishes::Addresses), NamingError::UnknownPlaceholder(..)));
        assert!(matches!(bad("x.{domain}", Publishes::Addresses), NamingError::Missing(_, _, "service")));
        assert!(matches!(Naming::new(&["nope".into()], &[]), Err(NamingError::UnknownPreset(_))));
        for label in [
            "{service}-{site}.x.{domain}",
            "{service}..{domain}",
            "{service}.a}.{domain}",
            "{service.{domain}",
            "{domain}.{service}.{domain}",
            ".{service}.{domain}",
        ] {
            let error = bad(label, Publishes::Addresses);
            assert!(matches!(error, NamingError::Label(..) | NamingError::UnknownPlaceholder(..)), "{label}: {error}");
        }
    }

    #[test]
    fn templates_that_could_share_a_name_are_refused() {
        let with = |pattern: &str, publishes| {
            Naming::new(&["plain".into()], &[Template { pattern: pattern.into(), publishes }])
        };
        for (pattern, publishes) in [
            ("{service}.{instance}.{domain}", Publishes::Host),
            ("{tag}.{service}.{domain}", Publishes::Addresses),
            ("{service}-x.{domain}", Publishes::Addresses),
            ("{site}.{service}.{domain}", Publishes::Addresses),
            ("_x-{service}._{proto}.{domain}", Publishes::Service),
            ("{service}.{domain}", Publishes::Browse),
        ] {
            assert!(matches!(with(pattern, publishes), Err(NamingError::Collision(..))), "{pattern}");
        }
        for (pattern, publishes) in [
            ("{service}.lb.{domain}", Publishes::Addresses),
            ("_spotify-{service}._{proto}.old.{domain}", Publishes::Service),
            ("{service}.{domain}", Publishes::Addresses),
            ("{service}._x.{domain}", Publishes::Addresses),
        ] {
            with(pattern, publishes).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    #[test]
    fn presets_stand_side_by_side() {
        for presets in
            [&["plain", "spotify"][..], &["plain", "consul"], &["spotify", "consul"], &["consul", "spotify", "plain"]]
        {
            names(presets);
        }
    }
}
