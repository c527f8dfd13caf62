//! What a person who has just started the server can try; not for service managers.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

use crate::model::Name;

/// Prints the first commands to try, with the real addresses.
pub(super) fn print(zones: &[Name], dns: &[SocketAddr], http: &[SocketAddr], registers_itself: bool) {
    if std::env::var_os("NOTIFY_SOCKET").is_some() {
        return;
    }
    let ([zone, ..], [dns, ..], [http, ..]) = (zones, dns, http) else { return };
    let text = text(zone.to_string().trim_end_matches('.'), dns, http, registers_itself);
    // Nobody may be reading: a closed standard output is no reason to stop.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn text(zone: &str, dns: &SocketAddr, http: &SocketAddr, registers_itself: bool) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "zonebeat".to_owned());
    let dig = format!("dig @{} -p {}", dns.ip(), dns.port());
    let mut text = format!(
        "\nzonebeat answers DNS on {dns} and HTTP on http://{http}, zone {zone}.\nTry in another terminal:\n\n"
    );
    if registers_itself {
        line(&mut text, "the server itself:", &format!("{dig} _zonebeat._tcp.{zone} SRV"));
    }
    let body = "{\"port\": 8080, \"addresses\": [\"192.0.2.7\"]}";
    line(
        &mut text,
        "register an instance:",
        &format!("curl -X PUT http://{http}/v1/services/search/instances/a1 -d '{body}'"),
    );
    line(
        &mut text,
        "see it; after 15 s without a beat it is held, as the last of its service:",
        &format!("{dig} _search._tcp.{zone} SRV"),
    );
    let server = if http.port() == 8053 { String::new() } else { format!(" --server http://{http}") };
    line(
        &mut text,
        "register and beat until Ctrl-C:",
        &format!("{program} register web --port 8000 --address 192.0.2.8 --wait{server}"),
    );
    line(&mut text, "what is registered:", &format!("{program} services{server}"));
    text.push('\n');
    text
}

fn line(text: &mut String, what: &str, command: &str) {
    writeln!(text, "  # {what}\n  {command}").expect("writing to a string");
}
