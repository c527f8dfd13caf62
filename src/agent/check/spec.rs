//! What a check is: `http:/health` and its numbers become a [`Spec`].

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::super::services::CheckTable;

/// What a probe may take as interval or timeout.
const TIMES: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(3600);
/// How many in a row a verdict may need.
const COUNTS: RangeInclusive<u32> = 1..=100;
/// The failures in a row after which a check fails that asks again and again.
const FALL: u32 = 3;

/// One check of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// As it was written: `http:/health`.
    pub text: String,
    /// What to do.
    pub probe: Probe,
    /// Time between two probes.
    pub interval: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// Passes in a row that end a failure.
    pub rise: u32,
    /// Failures in a row that end passing.
    pub fall: u32,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A connection can be made.
    Tcp(Target),
    /// `GET` is answered as expected.
    Http(HttpProbe),
    /// `grpc.health.v1.Health/Check` says `SERVING`.
    Grpc(GrpcProbe),
    /// A shell command exits with 0.
    Exec(String),
    /// The process whose number stands in this file lives.
    Process(PathBuf),
    /// The service has reported itself well, not longer ago than this.
    Report(Duration),
}

/// Whom a network probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// An HTTP request and what it must be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProbe {
    /// Whom to ask.
    pub target: Target,
    /// Path and query.
    pub path: String,
    /// Over TLS.
    pub tls: Option<TlsProbe>,
    /// Status codes that pass.
    pub status: (u16, u16),
    /// Text that the body has to contain.
    pub contains: Option<String>,
}

/// Whose gRPC health is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcProbe {
    /// Whom to ask.
    pub target: Target,
    /// The service that is asked for; the empty one is the server itself.
    pub service: String,
    /// Over TLS.
    pub tls: Option<TlsProbe>,
}

/// Whom TLS has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProbe {
    /// The name that is asked for.
    pub server_name: String,
    /// PEM file of the authorities; the certificate is not verified without.
    pub ca: Option<PathBuf>,
}

/// The key of a table that is wrong, and why.
type Wrong = (&'static str, String);

impl Spec {
    /// The check that a table describes, for an instance on this port.
    pub fn of(table: &CheckTable, port: u16) -> Result<Self, Wrong> {
        for (key, time) in [("interval", table.interval), ("timeout", table.timeout), ("ttl", table.ttl)] {
            if !TIMES.contains(&time) {
                return Err((key, format!("{time:?} is out of range; use 50ms to 1h")));
            }
        }
        let probe = probe(table, port)?;
        let at_once = matches!(probe, Probe::Process(_) | Probe::Report(_));
        let fall = table.fall.unwrap_or(if at_once { 1 } else { FALL });
        for (key, count) in [("rise", table.rise), ("fall", fall)] {
            if !COUNTS.contains(&count) {
                return Err((key, format!("{count} is out of range; use 1 to 100")));
            }
        }
        let CheckTable { interval, timeout, rise, .. } = *table;
        Ok(Self { text: table.probe.clone(), probe, interval, timeout, rise, fall })
    }
}

/// Reads the text of a probe.
fn probe(table: &CheckTable, port: u16) -> Result<Probe, Wrong> {
    let text = table.probe.trim();
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let wrong = |why: String| ("probe", why);
    let (is_http, is_tls) = (matches!(kind, "http" | "https"), matches!(kind, "https" | "grpcs"));
    for (key, given, fits, whose) in [
        ("status", table.status.is_some(), is_http, "http and https"),
        ("contains", table.contains.is_some(), is_http, "http and https"),
        ("ca", table.ca.is_some(), is_tls, "https and grpcs"),
        ("server_name", table.server_name.is_some(), is_tls, "https and grpcs"),
    ] {
        if given && !fits {
            return Err((key, format!("is for {whose}, not for \"{text}\"")));
        }
    }
    match kind {
        "tcp" if rest.is_empty() => Ok(Probe::Tcp(own(port))),
        "tcp" => target(rest, None).map(Probe::Tcp).map_err(wrong),
        "http" | "https" => http(table, kind == "https", rest, port).map(Probe::Http),
        "grpc" | "grpcs" => {
            let (target, service) = match rest.strip_prefix("//") {
                Some(named) => {
                    let (host, service) = named.split_once('/').unwrap_or((named, ""));
                    (target(host, None).map_err(wrong)?, service)
                }
                None => (own(port), rest),
            };
            let tls = is_tls.then(|| tls(table, &target));
            Ok(Probe::Grpc(GrpcProbe { target, service: service.to_owned(), tls }))
        }
        "exec" if !rest.trim().is_empty() => Ok(Probe::Exec(rest.trim().to_owned())),
        "process" if rest.starts_with('/') => Ok(Probe::Process(rest.into())),
        "ttl" if rest.is_empty() => Ok(Probe::Report(table.ttl)),
        _ => Err(wrong(format!(
            "\"{text}\" is not a check; write tcp, http:/path, https:/path, grpc, grpcs, exec:COMMAND, process:/PIDFILE or \
             ttl"
        ))),
    }
}

fn http(table: &CheckTable, secure: bool, rest: &str, port: u16) -> Result<HttpProbe, Wrong> {
    let (target, path) = match rest.strip_prefix("//") {
        Some(named) => {
            let (host, path) = named.find('/').map_or((named, ""), |at| named.split_at(at));
            let default = if secure { 443 } else { 80 };
            (target(host, Some(default)).map_err(|why| ("probe", why))?, path)
        }
        None => (own(port), rest),
    };
    let path = if path.is_empty() { "/" } else { path };
    if !path.starts_with('/') || path.contains(|c: char| c.is_control() || c == ' ') || !path.is_ascii() {
        return Err(("probe", format!("\"{path}\" is not a path; write it as http:/health")));
    }
    let tls = secure.then(|| tls(table, &target));
    let status = status(table.status.as_deref().unwrap_or("200-299")).map_err(|why| ("status", why))?;
    Ok(HttpProbe { target, path: path.to_owned(), tls, status, contains: table.contains.clone() })
}

fn tls(table: &CheckTable, target: &Target) -> TlsProbe {
    let server_name = table.server_name.clone().unwrap_or_else(|| match target.host.as_str() {
        "127.0.0.1" => "localhost".to_owned(),
        host => host.to_owned(),
    });
    TlsProbe { server_name, ca: table.ca.clone() }
}

fn own(port: u16) -> Target {
    Target { host: "127.0.0.1".to_owned(), port }
}

/// `HOST:PORT`, `[ADDRESS]:PORT`, or a host alone where there is a default.
fn target(text: &str, default: Option<u16>) -> Result<Target, String> {
    let wrong = || format!("\"{text}\" is not a host and port; write 192.0.2.7:8080, [2001:db8::1]:8080 or a name");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().map_err(|_| wrong())?)),
        _ => (text, default),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_right = match bare {
        Some(address) => address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
        None => !host.is_empty() && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet)),
    };
    match port {
        Some(port) if is_right && port > 0 => Ok(Target { host: bare.unwrap_or(host).to_owned(), port }),
        _ => Err(wrong()),
    }
}

/// `200` or `200-399`.
fn status(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first @ 100..=599), Ok(last @ 100..=599)) if first <= last => Ok((first, last)),
        _ => Err(format!("\"{text}\" is not a status; write 200 or a range such as 200-399")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Probe, Wrong> {
        Spec::of(&CheckTable::new(text), 8080).map(|spec| spec.probe)
    }

    fn to(host: &str, port: u16) -> Target {
        Target { host: host.to_owned(), port }
    }

    fn grpc(target: Target, service: &str, tls: Option<&str>) -> Probe {
        let tls = tls.map(|name| TlsProbe { server_name: name.to_owned(), ca: None });
        Probe::Grpc(GrpcProbe { target, service: service.to_owned(), tls })
    }

    #[test]
    fn probes_go_to_the_instance_unless_they_name_a_host() {
        let cases = [
            ("tcp", Probe::Tcp(to("127.0.0.1", 8080))),
            ("tcp:192.0.2.7:53", Probe::Tcp(to("192.0.2.7", 53))),
            ("tcp:[2001:db8::1]:53", Probe::Tcp(to("2001:db8::1", 53))),
            ("grpc", grpc(to("127.0.0.1", 8080), "", None)),
            ("grpc:a.B", grpc(to("127.0.0.1", 8080), "a.B", None)),
            ("grpc://h:1/a.B", grpc(to("h", 1), "a.B", None)),
            ("grpcs", grpc(to("127.0.0.1", 8080), "", Some("localhost"))),
            ("grpcs://h:1/a.B", grpc(to("h", 1), "a.B", Some("h"))),
            ("exec:test -e /run/ok", Probe::Exec("test -e /run/ok".into())),
            ("process:/run/s.pid", Probe::Process("/run/s.pid".into())),
            ("ttl", Probe::Report(Duration::from_secs(30))),
        ];
        for (text, probe) in cases {
            assert_eq!(read(text), Ok(probe), "{text}");
        }
    }

    #[test]
    fn http_has_url_and_path() {
        for (text, target, path, tls) in [
            ("http:/health", to("127.0.0.1", 8080), "/health", None),
            ("https:", to("127.0.0.1", 8080), "/", Some("localhost")),
            ("http://h.example.org/a?b=c", to("h.example.org", 80), "/a?b=c", None),
            ("https://h.example.org:8443", to("h.example.org", 8443), "/", Some("h.example.org")),
        ] {
            let Ok(Probe::Http(probe)) = read(text) else { panic!("{text}") };
            assert_eq!((probe.target, probe.path.as_str()), (target, path), "{text}");
            assert_eq!(probe.tls.as_ref().map(|tls| tls.server_name.as_str()), tls, "{text}");
        }
    }

    #[test]
    fn what_is_no_check_says_what_would_be() {
        for bad in
            ["", "htp:/x", "http:health", "tcp:host", "tcp:h:0", "tcp:[192.0.2.1]:1", "exec:", "process:x", "ttl:1"]
        {
            let (key, why) = read(bad).expect_err(bad);
            assert!(key == "probe" && why.contains("write"), "{bad}: {why}");
        }
        let table = CheckTable { status: Some("200-100".into()), ..CheckTable::new("http:/") };
        assert_eq!(Spec::of(&table, 1).expect_err("status").0, "status");
        let table = CheckTable { contains: Some("ok".into()), ..CheckTable::new("tcp") };
        assert_eq!(Spec::of(&table, 1).expect_err("contains").0, "contains");
        for probe in ["http:/", "grpc", "tcp"] {
            let table = CheckTable { ca: Some("/ca.pem".into()), ..CheckTable::new(probe) };
            assert_eq!(Spec::of(&table, 1).expect_err("ca").0, "ca");
            let table = CheckTable { server_name: Some("h".into()), ..CheckTable::new(probe) };
            assert_eq!(Spec::of(&table, 1).expect_err("server_name").0, "server_name");
        }
        let table = CheckTable { rise: 0, ..CheckTable::new("tcp") };
        assert_eq!(Spec::of(&table, 1).expect_err("rise").0, "rise");
    }
}
