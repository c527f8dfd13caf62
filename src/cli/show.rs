//! `zonebeat show`: everything about one service on one page.

use clap::Args;
use serde_json::{Value, json};

use super::connection::ConnectionArgs;
use super::list::{instances_table, no_instances};
use super::output::{print, printable, since, table};
use super::{Failure, examples, values};
use crate::agent::{Client, ClientError, Reply};
use crate::model::api::{ChangeList, InstanceInfo, InstanceList, ServiceInfo};
use crate::model::clock::SystemClock;
use crate::model::{Change, Clock, Declaration, Item, Revision, Timestamp, Word};

/// How far back in the registry's history the recent changes are looked for.
const LOOK_BACK: u64 = 2000;
/// The changes of one page.
const PAGE: usize = 500;
/// The most changes that are shown, and the most names.
const SHOWN: usize = 10;
const NAMES_SHOWN: usize = 20;

/// Show a service: declaration, owner, instances, names and recent changes
///
/// The recent changes are those among the last two thousand of the registry before the service's last; each with its
/// author, time and reason.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat show search", "zonebeat show search --json"])]
pub struct ShowArgs {
    /// Service to show
    #[arg(value_parser = values::service)]
    service: String,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints the page.
pub async fn run(args: &ShowArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let service = client.service(&args.service).await?;
    let instances = client.instances(&args.service).await?;
    let changes = recent_changes(&client, &service.body).await?;
    if args.connection.json {
        return Ok(print(&as_json(&service, &instances, &changes))?);
    }
    Ok(print(&page(&service.body, &instances.body.instances, &changes, SystemClock::new().wall()))?)
}

/// The service's changes, newest first; none when history does not reach back to them.
async fn recent_changes(client: &Client, service: &ServiceInfo) -> Result<Vec<Change>, ClientError> {
    match changes_before(client, service).await {
        Err(ClientError::Refused(refused)) if refused.word == Word::UnknownRevision.as_str() => Ok(Vec::new()),
        changes => changes,
    }
}

async fn changes_before(client: &Client, service: &ServiceInfo) -> Result<Vec<Change>, ClientError> {
    let end = service.revision;
    let oldest = client.changes(None, 1).await?.body.oldest;
    let mut since = Revision(end.0.saturating_sub(LOOK_BACK).max(oldest.0.saturating_sub(1)));
    let mut found = Vec::new();
    while since < end {
        let ChangeList { changes, next, more, .. } = client.changes(Some(since), PAGE).await?.body;
        found.extend(changes.into_iter().filter(|change| is_about(change, service) && change.revision <= end));
        if !more || next <= since {
            break;
        }
        since = next;
    }
    found.reverse();
    Ok(found)
}

fn is_about(change: &Change, service: &ServiceInfo) -> bool {
    use crate::model::Transition::{Records, Static, TokenCreate, TokenRevoke};
    *change.subject == *service.service && !matches!(change.transition, Static | Records | TokenCreate | TokenRevoke)
}

/// The server's own bodies under one roof.
fn as_json(service: &Reply<ServiceInfo>, instances: &Reply<InstanceList>, changes: &[Change]) -> String {
    let body = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let instances = body(&instances.text)["instances"].take();
    json!({ "service": body(&service.text), "instances": instances, "changes": changes }).to_string()
}

fn page(service: &ServiceInfo, instances: &[InstanceInfo], changes: &[Change], now: Timestamp) -> String {
    let mut parts = vec![facts(service)];
    parts.push(match instances {
        [] => no_instances(&service.service),
        some => instances_table(some),
    });
    parts.extend(names(instances));
    if !changes.is_empty() {
        parts.push(changes_table(changes, now));
    }
    parts.join("\n\n")
}

/// What is declared and counted, one fact a line.
fn facts(service: &ServiceInfo) -> String {
    let none = Declaration::default();
    let declared = service.declaration.as_ref().unwrap_or(&none);
    let number = |value: Option<u32>, unit: &str| value.map(|value| format!("{value}{unit}"));
    let tiers: Vec<_> = declared.tiers.iter().map(|tier| tier.join(" ")).collect();
    let lines = [
        ("service", Some(service.service.clone())),
        ("owner", declared.owner.clone()),
        ("contact", declared.contact.clone()),
        ("runbook", declared.runbook.clone()),
        ("dependencies", list(&declared.dependencies)),
        ("tier", declared.tier.map(|tier| format!("{tier} (0 is the most important)"))),
        ("min", number(declared.min, " serving")),
        ("hold", number(declared.hold, " s")),
        ("ttl", number(declared.ttl, " s")),
        ("site tiers", list(&tiers)),
        ("answer limit", number(declared.answer_limit, " records")),
        ("name owned by", service.owned_by.as_ref().map(|token| format!("token {token}"))),
        ("granted to", list(&service.granted)),
        ("sites", list(&service.sites)),
        ("instances", Some(format!("{} serving, {} held, {} out", service.serving, service.held, service.out))),
        ("revision", Some(service.revision.to_string())),
    ];
    let shown = lines.iter().filter_map(|(key, value)| Some(format!("{key:<13}  {}", printable(value.as_ref()?))));
    shown.collect::<Vec<_>>().join("\n")
}

fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(", "))
}

/// The names that several instances share come first: they are what clients use.
fn names(instances: &[InstanceInfo]) -> Option<String> {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    let mut position = std::collections::HashMap::new();
    for name in instances.iter().flat_map(|instance| &instance.names) {
        let at = *position.entry(name.as_str()).or_insert(counted.len());
        match counted.get_mut(at) {
            Some((_, count)) => *count += 1,
            None => counted.push((name, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut lines: Vec<_> = counted.iter().take(NAMES_SHOWN).map(|(name, _)| printable(name)).collect();
    if counted.len() > NAMES_SHOWN {
        lines.push(format!("... and {} more; --json shows all", counted.len() - NAMES_SHOWN));
    }
    (!lines.is_empty()).then(|| format!("NAMES\n{}", lines.join("\n")))
}

fn changes_table(changes: &[Change], now: Timestamp) -> String {
    let row = |change: &Change| {
        let about = change.instance.as_ref().or(change.token.as_ref()).map(|about| &**about).unwrap_or_default();
        [
            change.revision.to_string(),
            since(change.time, now),
            format!("{} {about}", change.transition.as_str()).trim_end().to_owned(),
            change.author.to_string(),
            change.source.to_string(),
            reason(change),
        ]
    };
    table(["REVISION", "WHEN", "CHANGE", "BY", "FROM", "REASON"], changes.iter().take(SHOWN).map(row))
}

/// Why, as its author said; or why its client took the instance out of the answers.
fn reason(change: &Change) -> String {
    let out = |item: &Option<Item>| match item {
        Some(Item::Instance(instance)) => instance.out.clone(),
        _ => None,
    };
    match (out(&change.before), out(&change.after)) {
        (before, Some(why)) if change.reason.is_empty() && before.as_ref() != Some(&why) => format!("out: {why}"),
        (Some(_), None) if change.reason.is_empty() && change.after.is_some() => "no longer out".to_owned(),
        _ => change.reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_facts_instances_names_and_changes() {
        let service = r#"{"service":"search","protos":["tcp"],"serving":1,"held":0,"out":0,"sites":["lon"],
            "declaration":{"owner":"search team","tier":1,"min":2,"tiers":[["lon"],["sto","ash"]],"dependencies":["index","users"]},
            "owned_by":"squad-search","granted":["squad-web"],"revision":9}"#;
        let instance = r#"{"service":"search","id":"a1","state":"serving","since":"1970-01-01T00:01:00Z","age_seconds":4,
            "proto":"tcp","port":8080,"priority":10,"weight":100,"addresses":["192.0.2.7"],"lease_seconds":15,
            "incarnation":7,"revision":9,"names":["_search._tcp.sd.example.org."]}"#;
        let change = r#"{"revision":9,"time":"1970-01-01T00:01:00Z","author":"token ops","source":"192.0.2.9",
            "reason":"first","transition":"register","subject":"search","instance":"a1"}"#;
        let expected = "\
service        search
owner          search team
dependencies   index, users
tier           1 (0 is the most important)
min            2 serving
site tiers     lon, sto ash
name owned by  token squad-search
granted to     squad-web
sites          lon
instances      1 serving, 0 held, 0 out
revision       9

ID  STATE    SINCE    LAST BEAT  PROTO  ENDPOINT        SITE  PRIO  WEIGHT  TAGS  REASON
a1  serving  4 s ago             tcp    192.0.2.7:8080        10    100

NAMES
_search._tcp.sd.example.org.

REVISION  WHEN     CHANGE       BY         FROM       REASON
9         5 s ago  register a1  token ops  192.0.2.9  first";
        let service = serde_json::from_str(service).expect("service");
        let instances: Vec<InstanceInfo> = vec![serde_json::from_str(instance).expect("instance")];
        let changes: Vec<Change> = vec![serde_json::from_str(change).expect("change")];
        assert_eq!(page(&service, &instances, &changes, Timestamp(65_000)), expected);
    }

    #[test]
    fn shared_names_come_first_and_long_lists_are_cut() {
        let instance = |id: usize| -> InstanceInfo {
            let own = format!("a{id}.search.sd.example.org.");
            let body = json!({"service": "search", "id": format!("a{id}"), "state": "serving", "age_seconds": 1.0,
                "since": "1970-01-01T00:01:00Z", "proto": "tcp", "port": 8080, "priority": 10, "weight": 100,
                "lease_seconds": 15, "incarnation": 7, "revision": 9, "names": [own, "_search._tcp.sd.example.org."]});
            serde_json::from_value(body).expect("instance")
        };
        let text = names(&(0..30).map(instance).collect::<Vec<_>>()).expect("names");
        assert!(text.starts_with("NAMES\n_search._tcp.sd.example.org.\na0.search.sd.example.org.\n"), "{text}");
        assert!(text.ends_with("... and 11 more; --json shows all"), "{text}");
    }
}
