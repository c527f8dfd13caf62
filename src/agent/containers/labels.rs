//! Labels of a container become what a file of services says.
//!
//! ```text
//! zonebeat.port=8080 zonebeat.tags=blue,canary --lines--> port = 32768, tags = ["blue","canary"] --services--> Planned
//! ```
//!
//! A label is `zonebeat.` and a key of a file; `zonebeat.NAME.` and a key where a container has several services. Each
//! label becomes one line of such a file, with port and addresses as `place` has found them, and that file is read as
//! every other: so the keys, the rules and the errors are the same, and an error's line leads back to its label.
//!
//! Labels of an image are labels of its containers. Whoever made an image must not run commands or read files on the
//! host, nor have it ask others: checks of labels ask the container itself.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::identity::container_id;
use super::super::services::{Planned, parse};
use super::facts::{Container, Labels, PREFIX};
use super::place::{self, Asked, Place};
use crate::config::nearest;
use crate::model::{self, Finding};

/// The keys that a label may have: those of a file, and the network of the container's own addresses.
const KEYS: [&str; 13] = [
    "service",
    "id",
    "port",
    "proto",
    "addresses",
    "target",
    "site",
    "priority",
    "weight",
    "tags",
    "metadata",
    "check",
    "network",
];
/// The keys of a check.
const CHECK_KEYS: [&str; 9] =
    ["probe", "interval", "timeout", "rise", "fall", "status", "contains", "server_name", "ttl"];
/// The addresses that stand for the container's own.
const OWN: &str = "container";

/// What the container's labels plan. `network` is the container whose network it has. The error is everything that is
/// wrong; then nothing of it is planned.
pub(super) fn plan(container: &Container, network: &Container, host: &str) -> Result<Vec<Planned>, Vec<Finding>> {
    let file = source(container.called());
    let mut findings = Vec::new();
    let (groups, unknown) = group(&container.config.labels);
    findings.extend(unknown.into_iter().map(|(label, why, help)| finding(&file, &label, &why, help.as_deref())));
    let mut planned: Vec<Planned> = Vec::new();
    for (name, keys) in &groups {
        let service = Service { file: &file, name, keys };
        match service.plan(container, network, host) {
            Ok(found) => planned.extend(found),
            Err(wrong) => findings.extend(wrong),
        }
    }
    for (at, one) in planned.iter().enumerate() {
        if planned[..at].iter().any(|other| other.key == one.key) {
            let message = format!("its labels name instance {} twice; give each an id of its own", one.key);
            findings.push(Finding::error(model::Place::whole(&file), message));
        }
    }
    if findings.is_empty() { Ok(planned) } else { Err(findings) }
}

/// What a container is called where files have a name.
pub(super) fn source(name: &str) -> String {
    format!("container {name}")
}

fn finding(file: &str, label: &str, why: &str, help: Option<&str>) -> Finding {
    let finding = Finding::error(model::Place::whole(file), format!("label \"{label}\": {why}"));
    match help {
        Some(help) => finding.with_help(help),
        None => finding,
    }
}

/// Labels of one service: their values by key.
type Keys = BTreeMap<String, String>;
/// A label that is none of ours, why, and what would be.
type Unknown = (String, String, Option<String>);

/// Our labels by the name of the service that they are about; empty for labels without one.
fn group(labels: &Labels) -> (BTreeMap<String, Keys>, Vec<Unknown>) {
    let (mut groups, mut unknown) = (BTreeMap::<String, Keys>::new(), Vec::new());
    let ours = labels.iter().filter_map(|(label, value)| Some((label, label.strip_prefix(PREFIX)?, value)));
    for (label, rest, value) in ours {
        let first = rest.split('.').next().unwrap_or(rest);
        let named = rest.split_once('.').filter(|_| !KEYS.contains(&first));
        let (name, key) = named.unwrap_or(("", rest));
        match unknown_key(key) {
            None => {
                groups.entry(name.to_owned()).or_default().insert(key.to_owned(), value.clone());
            }
            Some((word, known)) => {
                // `zonebeat.chekc.interval` may be a service "chekc", or not.
                let near = nearest(first, &KEYS).filter(|_| !name.is_empty()).or_else(|| nearest(word, known));
                let help = match near {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("keys that are known here: {}", known.join(", ")),
                };
                unknown.push((label.clone(), format!("unknown key \"{word}\""), Some(help)));
            }
        }
    }
    (groups, unknown)
}

/// The part of a key that is not known, and what would be.
fn unknown_key(key: &str) -> Option<(&str, &'static [&'static str])> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    match (first, rest) {
        ("metadata", Some(name)) if !name.is_empty() => None,
        ("metadata", _) => Some((key, &["metadata.NAME"])),
        ("check", Some(rest)) => {
            let key = numbered(rest).1;
            // A file of authorities is a known key, and is refused in its own words.
            (!CHECK_KEYS.contains(&key) && key != "ca").then_some((key, &CHECK_KEYS[..]))
        }
        (first, None) if KEYS.contains(&first) => None,
        _ => Some((key, &KEYS[..])),
    }
}

/// Which check the rest of a key is about, and which of its keys: `interval`, `2`, `2.interval`.
fn numbered(rest: &str) -> (u32, &str) {
    let (first, key) = rest.split_once('.').unwrap_or((rest, "probe"));
    first.parse().map_or((0, rest), |number| (number, key))
}

/// A service that labels of a container are about.
struct Service<'l> {
    file: &'l str,
    name: &'l str,
    keys: &'l Keys,
}

impl Service<'_> {
    fn plan(&self, container: &Container, network: &Container, host: &str) -> Result<Vec<Planned>, Vec<Finding>> {
        let wrong = |key: &str, why: &str| vec![finding(self.file, &self.label(key), why, None)];
        if self.name.is_empty() && !self.keys.contains_key("service") {
            return Err(wrong("service", "is missing; it says which service the container is an instance of"));
        }
        // A port that is none is told below, in the words of every file.
        let place = match (!self.has_bad_port()).then(|| place::find(container, network, &self.asked())).transpose() {
            Ok(place) => place,
            Err((key, why)) => return Err(wrong(key, &why)),
        };
        let id = container_id(host, container.called());
        if id.is_none() && !self.keys.contains_key("id") {
            return Err(wrong("id", "is missing, and the container's name cannot be one; give it"));
        }
        let lines = self.lines(place.as_ref(), id).map_err(|(key, why)| wrong(&key, &why))?;
        let text: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        let told = |found: Finding| {
            let (key, _) = lines.get((found.place.line as usize).saturating_sub(1)).unwrap_or(&lines[0]);
            finding(self.file, &self.label(key), &found.message, found.help.as_deref())
        };
        parse(self.file, self.name, host, &text).map_err(|found| found.into_iter().map(told).collect())
    }

    /// The label of a key.
    fn label(&self, key: &str) -> String {
        match self.name {
            "" => format!("{PREFIX}{key}"),
            name => format!("{PREFIX}{name}.{key}"),
        }
    }

    fn asked(&self) -> Asked {
        let get = |key: &str| self.keys.get(key).map(|value| value.trim());
        let own = get("addresses") == Some(OWN);
        Asked {
            port: get("port").and_then(|port| port.parse().ok()),
            udp: get("proto").is_some_and(|proto| proto.eq_ignore_ascii_case("udp")),
            own,
            network: get("network").map(str::to_owned),
            named: !own && (get("addresses").is_some() || get("target").is_some()),
        }
    }

    fn has_bad_port(&self) -> bool {
        self.keys.contains_key("port") && self.asked().port.is_none_or(|port| port == 0)
    }

    /// The lines of a file, each with the key of the label that it comes from.
    fn lines(&self, place: Option<&Place>, id: Option<String>) -> Result<Vec<(String, String)>, (String, String)> {
        let mut top = BTreeMap::new();
        let mut checks: BTreeMap<u32, Vec<(String, String)>> = BTreeMap::new();
        top.extend(id.map(|id| ("id".to_owned(), format!("id = {}", quoted(&id)))));
        for (key, value) in self.keys {
            if let Some(rest) = key.strip_prefix("check") {
                let (number, of_check) = numbered(rest.strip_prefix('.').unwrap_or("probe"));
                let line = check_line(of_check, value, place).map_err(|why| (key.clone(), why))?;
                checks.entry(number).or_default().push((key.clone(), line));
            } else if key != "network" {
                top.insert(key.clone(), top_line(key, value));
            }
        }
        if let Some(place) = place {
            top.insert("port".to_owned(), format!("port = {}", place.port));
            let list = place.addresses.iter().map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
            top.extend(list.map(|list| ("addresses".to_owned(), format!("addresses = {}", quoted_list(&list)))));
        }
        let mut lines: Vec<(String, String)> = top.into_iter().collect();
        for of_check in checks.into_values() {
            let key = of_check[0].0.clone();
            lines.push((key, "[[check]]".to_owned()));
            lines.extend(of_check);
        }
        Ok(lines)
    }
}

/// A label as a line at the top of a file.
fn top_line(key: &str, value: &str) -> String {
    match key {
        "port" | "priority" | "weight" => format!("{key} = {}", number(value)),
        "tags" | "addresses" => {
            let parts: Vec<String> = value.split(',').map(|part| part.trim().to_owned()).collect();
            format!("{key} = {}", quoted_list(&parts))
        }
        _ => match key.strip_prefix("metadata.") {
            Some(name) => format!("metadata.{} = {}", quoted(name), quoted(value)),
            None => format!("{key} = {}", quoted(value)),
        },
    }
}

/// A label as a line of a check.
fn check_line(key: &str, value: &str, place: Option<&Place>) -> Result<String, String> {
    match key {
        "probe" => Ok(format!("probe = {}", quoted(&probe(value, place)?))),
        "rise" | "fall" => Ok(format!("{key} = {}", number(value))),
        "ca" => Err("is for files of services: labels may come from an image that somebody else made".to_owned()),
        _ => Ok(format!("{key} = {}", quoted(value))),
    }
}

/// The text of a probe that asks the container itself.
fn probe(text: &str, place: Option<&Place>) -> Result<String, String> {
    let text = text.trim();
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    if matches!(kind, "exec" | "process") {
        return Err(format!("{kind} is for files of services: labels may come from an image that somebody else made"));
    }
    if rest.starts_with("//") || (kind == "tcp" && !rest.is_empty()) {
        return Err(format!(
            "\"{text}\" names a host; checks of labels ask the container itself, as tcp or http:/path"
        ));
    }
    let Some(Place { port, probed: Some(address), .. }) = place else { return Ok(text.to_owned()) };
    let host = match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    };
    Ok(match kind {
        "tcp" => format!("tcp:{host}"),
        "http" | "https" if rest.is_empty() || rest.starts_with('/') => format!("{kind}://{host}{rest}"),
        "grpc" => format!("grpc://{host}/{rest}"),
        _ => text.to_owned(),
    })
}

/// A number, or else the text, about which the reader of files will complain.
fn number(value: &str) -> String {
    value.trim().parse::<i64>().map_or_else(|_| quoted(value), |number| number.to_string())
}

/// A text in the quotes and escapes of JSON, which are TOML's as well but for one character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn quoted_list(list: &[String]) -> String {
    let list: Vec<String> = list.iter().map(|text| quoted(text)).collect();
    format!("[{}]", list.join(", "))
}

#[cfg(test)]
mod tests;
