//! `zonebeat services` and `zonebeat instances`: tables of what is registered.

use clap::Args;

use super::connection::ConnectionArgs;
use super::output::{print, seconds_ago, since, table};
use super::{Failure, examples, values};
use crate::model::api::{InstanceInfo, ServiceInfo};
use crate::model::clock::SystemClock;
use crate::model::{Clock, Timestamp};

/// List services: how many of their instances serve, and what changed last
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat services",
    "zonebeat services --unowned",
    "zonebeat services --server http://192.0.2.1:8053 --server http://192.0.2.2:8053",
    "zonebeat services --json",
])]
pub struct ServicesArgs {
    /// Only services whose owner nobody has declared; the token that may write a name is not its owner
    #[arg(long)]
    unowned: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// List the instances of a service, with state and age
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat instances search", "zonebeat instances search --json"])]
pub struct InstancesArgs {
    /// Service to list
    #[arg(value_parser = values::service)]
    service: String,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints all services.
pub async fn services(args: &ServicesArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let reply = if args.unowned { client.unowned_services().await? } else { client.services().await? };
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    if reply.body.services.is_empty() && args.unowned {
        return Ok(print("every service has a declared owner")?);
    }
    if reply.body.services.is_empty() {
        return Ok(print("no services yet; register one: zonebeat register search --port 8080")?);
    }
    Ok(print(&services_table(&reply.body.services, SystemClock::new().wall()))?)
}

/// Prints the instances of one service.
pub async fn instances(args: &InstancesArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.instances(&args.service).await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    if reply.body.instances.is_empty() {
        return Ok(print(&no_instances(&args.service))?);
    }
    Ok(print(&instances_table(&reply.body.instances))?)
}

/// What stands where a table of instances would.
pub(super) fn no_instances(service: &str) -> String {
    format!("no instances of {service}; register one: zonebeat register {service} --port 8080")
}

fn services_table(services: &[ServiceInfo], now: Timestamp) -> String {
    let header = ["SERVICE", "PROTO", "SERVING", "HELD", "OUT", "SITES", "OWNER", "LAST CHANGE"];
    let row = |info: &ServiceInfo| {
        let last = info.last_change.as_ref();
        [
            info.service.clone(),
            info.protos.join(" "),
            info.serving.to_string(),
            info.held.to_string(),
            info.out.to_string(),
            info.sites.join(" "),
            owner(info).unwrap_or_default().to_owned(),
            last.map(|change| format!("{}: {}", since(change.time, now), change.text)).unwrap_or_default(),
        ]
    };
    table(header, services.iter().map(row))
}

/// Who answers for it as declared; else the token that owns the name.
fn owner(info: &ServiceInfo) -> Option<&str> {
    let declared = info.declaration.as_ref().and_then(|declaration| declaration.owner.as_deref());
    declared.or(info.owned_by.as_deref())
}

/// One line per instance.
pub(super) fn instances_table(instances: &[InstanceInfo]) -> String {
    let header = ["ID", "STATE", "SINCE", "LAST BEAT", "PROTO", "ENDPOINT", "SITE", "PRIO", "WEIGHT", "TAGS", "REASON"];
    let row = |info: &InstanceInfo| {
        [
            info.id.clone(),
            info.state.clone(),
            seconds_ago(info.age_seconds),
            info.beat_age_seconds.map(seconds_ago).unwrap_or_default(),
            info.proto.clone(),
            endpoint(info),
            info.site.clone().unwrap_or_default(),
            info.priority.to_string(),
            weight(info),
            info.tags.join(" "),
            info.reason.clone().unwrap_or_default(),
        ]
    };
    table(header, instances.iter().map(row))
}

/// The weight that is answered, and behind it the registered one if that is another.
fn weight(info: &InstanceInfo) -> String {
    match &info.set_weight {
        Some(set) => format!("{} ({})", set.weight, info.weight),
        None => info.weight.to_string(),
    }
}

/// Its addresses or target, each with the port.
fn endpoint(info: &InstanceInfo) -> String {
    let hosts = info.addresses.iter().chain(&info.target);
    let with_port = |host: &String| match host.contains(':') {
        true => format!("[{host}]:{}", info.port),
        false => format!("{host}:{}", info.port),
    };
    hosts.map(with_port).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Revision;
    use crate::model::api::LastChange;

    fn service(name: &str) -> ServiceInfo {
        ServiceInfo {
            service: name.into(),
            protos: vec!["tcp".into()],
            serving: 3,
            held: 0,
            out: 1,
            sites: vec!["lon".into(), "sto".into()],
            declaration: None,
            owned_by: Some("squad-search".into()),
            granted: Vec::new(),
            revision: Revision(1842),
            last_change: Some(LastChange { time: Timestamp(96_000), text: "a4 lapsed".into() }),
        }
    }

    #[test]
    fn services_look_as_designed() {
        let expected = "\
SERVICE  PROTO  SERVING  HELD  OUT  SITES    OWNER         LAST CHANGE
search   tcp    3        0     1    lon sto  squad-search  4 s ago: a4 lapsed";
        assert_eq!(services_table(&[service("search")], Timestamp(100_000)), expected);
    }

    #[test]
    fn a_declared_owner_stands_before_the_token() {
        let mut info = service("search");
        info.declaration = Some(crate::model::Declaration { owner: Some("search team".into()), ..Default::default() });
        assert_eq!(owner(&info), Some("search team"));
    }

    #[test]
    fn instances_show_state_age_and_endpoint() {
        let text = r#"{"service":"search","id":"a1","state":"serving","since":"2026-01-01T00:00:00Z","age_seconds":185.2,
            "beat_age_seconds":0.4,"proto":"tcp","port":8080,"priority":10,"weight":100,"site":"lon",
            "addresses":["192.0.2.7","2001:db8::7"],"tags":["canary"],"lease_seconds":15,"incarnation":7,
            "revision":9,"names":[]}"#;
        let info: InstanceInfo = serde_json::from_str(text).expect("body");
        let expected = "\
ID  STATE    SINCE      LAST BEAT  PROTO  ENDPOINT                           SITE  PRIO  WEIGHT  TAGS    REASON
a1  serving  3 min ago  0.4 s ago  tcp    192.0.2.7:8080 [2001:db8::7]:8080  lon   10    100     canary";
        assert_eq!(instances_table(&[info]), expected);
    }
}
