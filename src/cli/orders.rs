//! `zonebeat drain`, `undrain` and `weight`: what operators order.

use std::time::Duration;

use clap::Args;

use super::connection::ConnectionArgs;
use super::output::print;
use super::{Failure, examples, values};
use crate::agent::{Client, ClientError, Reply};
use crate::model::State;
use crate::model::api::{InstanceInfo, Order, Ordered, SiteOrdered, WeightOrder};

/// Take an instance, or all of a site, out of the answers until it is undrained
///
/// The instance keeps its lease, and stays drained when it registers again. Says when every cache has forgotten it, so
/// that it is safe to stop. Refused where a service would have fewer serving than its `min` (a site: or nobody).
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat drain search a1 --reason kernel",
    "zonebeat drain search a1 --wait && ssh a1.example.org reboot",
    "zonebeat drain --site lon --reason \"power work\"",
], override_usage = "zonebeat drain [OPTIONS] <SERVICE> <ID>\n       zonebeat drain [OPTIONS] --site <SITE>")]
pub struct DrainArgs {
    #[command(flatten)]
    which: Which,

    /// Return when it is safe to stop
    #[arg(long)]
    wait: bool,

    /// Also where a service would have fewer serving than it needs
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    why: Why,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Let a drained instance, or all of a site, be answered again
#[derive(Debug, Clone, Args)]
#[command(
    after_help = examples!["zonebeat undrain search a1", "zonebeat undrain --site lon"],
    override_usage = "zonebeat undrain [OPTIONS] <SERVICE> <ID>\n       zonebeat undrain [OPTIONS] --site <SITE>",
)]
pub struct UndrainArgs {
    #[command(flatten)]
    which: Which,

    #[command(flatten)]
    why: Why,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Answer another SRV weight for an instance than the registered one
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat weight search a1 10 --for 20m --reason \"cold cache\"",
    "zonebeat weight search a1 registered",
])]
pub struct WeightArgs {
    /// Service the instance belongs to
    #[arg(value_parser = values::service)]
    service: String,

    /// Instance that gets the weight
    #[arg(value_parser = values::instance)]
    id: String,

    /// SRV weight, 0 to 65535, or `registered`
    #[arg(value_name = "N", value_parser = values::weight)]
    weight: values::Weight,

    /// After how long the registered weight counts again
    #[arg(long = "for", value_name = "TIME", value_parser = values::time)]
    time: Option<values::Time>,

    #[command(flatten)]
    why: Why,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// An instance or a site.
#[derive(Debug, Clone, Args)]
struct Which {
    /// Service the instance belongs to
    #[arg(value_parser = values::service, required_unless_present = "site", requires = "id")]
    service: Option<String>,

    /// Instance that is meant
    #[arg(value_parser = values::instance)]
    id: Option<String>,

    /// All instances of this site instead
    #[arg(long, value_parser = values::site, conflicts_with = "service")]
    site: Option<String>,
}

/// A reason for history.
#[derive(Debug, Clone, Args)]
struct Why {
    /// Why, for the history
    #[arg(long, value_name = "TEXT", value_parser = values::reason)]
    reason: Option<String>,
}

impl Which {
    /// The site, or service and id.
    fn either(&self) -> Result<Result<&str, (&str, &str)>, Failure> {
        match (&self.site, &self.service, &self.id) {
            (Some(site), ..) => Ok(Ok(site)),
            (None, Some(service), Some(id)) => Ok(Err((service, id))),
            _ => Err(Failure::Usage("name a service and an instance, or a site with --site".to_owned())),
        }
    }
}

/// Drains.
pub async fn drain(args: &DrainArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let order = Order { reason: args.why.reason.clone(), force: args.force };
    let (text, json, safe) = match args.which.either()? {
        Ok(site) => {
            let Reply { body, text, .. } = client.order_site(site, "drain", &order).await?;
            (of_site(&body, "drained"), text, body.safe_seconds)
        }
        Err((service, id)) => {
            let Reply { body, text, .. } = client.order(service, id, "drain", &order).await?;
            (of_instance(&body), text, body.safe_seconds)
        }
    };
    print(if args.connection.json { &json } else { &text })?;
    if let Some(seconds) = safe.filter(|seconds| args.wait && *seconds > 0) {
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        if let Ok(Err((service, id))) = args.which.either() {
            check_still_out(&client, service, id).await?;
        }
        if !args.connection.json {
            print("every cache has forgotten it: safe to stop")?;
        }
    }
    Ok(())
}

/// Fails if an instance has come back to the answers while somebody waited for caches to forget it. One that is
/// registered no more is out of them, too.
async fn check_still_out(client: &Client, service: &str, id: &str) -> Result<(), Failure> {
    let InstanceInfo { state, .. } = match client.instance(service, id).await {
        Ok(found) => found.body,
        Err(ClientError::Refused(refused)) if refused.status == 404 => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if state == *State::Drained.as_str() {
        return Ok(());
    }
    let detail =
        format!("{service}/{id} is {state}: it was undrained meanwhile, and is not safe to stop; drain it again");
    Err(Failure::Failed(detail))
}

/// Undrains.
pub async fn undrain(args: &UndrainArgs) -> Result<(), Failure> {
    let client = args.connection.client()?;
    let order = Order { reason: args.why.reason.clone(), force: false };
    let (text, json) = match args.which.either()? {
        Ok(site) => {
            let Reply { body, text, .. } = client.order_site(site, "undrain", &order).await?;
            (of_site(&body, "undrained"), text)
        }
        Err((service, id)) => {
            let Reply { body, text, .. } = client.order(service, id, "undrain", &order).await?;
            (of_instance(&body), text)
        }
    };
    Ok(print(if args.connection.json { &json } else { &text })?)
}

/// Sets a weight.
pub async fn weight(args: &WeightArgs) -> Result<(), Failure> {
    let values::Weight(weight) = args.weight;
    if weight.is_none() && args.time.is_some() {
        return Err(Failure::Usage("--for needs a weight; the registered one counts until you say otherwise".into()));
    }
    let for_seconds = args.time.as_ref().map(|time| time.seconds);
    let order = WeightOrder { weight, for_seconds, reason: args.why.reason.clone() };
    let reply = args.connection.client()?.set_weight(&args.service, &args.id, &order).await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    let Ordered { service, id, revision, .. } = &reply.body;
    let what = match (weight, &args.time) {
        (None, _) => "has its registered weight".to_owned(),
        (Some(weight), None) => format!("has weight {weight}"),
        (Some(weight), Some(time)) => format!("has weight {weight} for {}", time.written),
    };
    Ok(print(&format!("{service}/{id} {what} (revision {revision})"))?)
}

fn of_instance(ordered: &Ordered) -> String {
    let Ordered { service, id, state, revision, .. } = ordered;
    let what = format!("{service}/{id} is {state} (revision {revision})");
    // Who is silent or checks out may be gone, and who is taken back is not to be stopped.
    match ordered.safe_seconds.filter(|_| *state == *State::Drained.as_str()) {
        None => what,
        Some(0) => format!("{what}; safe to stop"),
        Some(seconds) => format!("{what}; safe to stop in {seconds} s"),
    }
}

fn of_site(ordered: &SiteOrdered, done: &str) -> String {
    let SiteOrdered { site, instances, already, revision, .. } = ordered;
    let instances = if *instances == 1 { "1 instance".to_owned() } else { format!("{instances} instances") };
    let were = if *already == 1 { "was" } else { "were" };
    let what = format!("{instances} of {site} {done}, {already} {were} so already (revision {revision})");
    match ordered.safe_seconds {
        None => what,
        Some(seconds) => format!("{what}; safe to stop in {seconds} s"),
    }
}
