//! `zonebeat declare` and `zonebeat undeclare`: what the owner of a service says about it.

use clap::{Args, ValueEnum};

use super::connection::ConnectionArgs;
use super::output::print;
use super::{Failure, examples, values};
use crate::model::api::Amendment;

/// Declare a service: owner, contact, runbook, dependencies, tier and more
///
/// Changes what is given and leaves the rest as it was declared; --clear takes something back. A service that was not
/// declared is declared, and then DNS knows it also while it has no instance. The owner is who answers for it; which
/// token may write it is another matter (zonebeat grant).
///
/// Two things sound alike: --tier is how important the service is, --site-tier says from which sites it is answered.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat declare search --owner squad-search --contact '#search' --tier 1",
    "zonebeat declare search --runbook https://runbooks.example.org/search --reason \"moved\"",
    "zonebeat declare search --dependency index --dependency users",
    "zonebeat declare search --min 2 --site-tier lon --site-tier sto,ash",
    "zonebeat declare search --clear runbook --clear dependencies",
])]
pub struct DeclareArgs {
    /// Service to declare
    #[arg(value_parser = values::service)]
    service: String,

    /// Who answers for it: a team or squad
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,

    /// How to reach the owner
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,

    /// Where the instructions for trouble are
    #[arg(long, value_name = "TEXT")]
    runbook: Option<String>,

    /// Service that it needs; repeat it for more: these are all of them then
    #[arg(long = "dependency", value_name = "SERVICE", value_parser = values::service)]
    dependencies: Vec<String>,

    /// How important it is, 0 (the most) to 9; says nothing about sites
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9))]
    tier: Option<u32>,

    /// The fewest serving instances that are enough
    #[arg(long, value_name = "N")]
    min: Option<u32>,

    /// How long the guard holds its silent instances, in seconds; 0: not at all
    #[arg(long, value_name = "SECONDS")]
    hold: Option<u32>,

    /// TTL of its records in seconds
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,

    /// Sites that answer for it together, as in sto,ash; repeat it in the order of preference: these are all then
    #[arg(long = "site-tier", value_name = "SITES", value_parser = values::sites)]
    tiers: Vec<Tier>,

    /// The most records of one type in an answer
    #[arg(long, value_name = "N")]
    answer_limit: Option<u32>,

    /// Protocol label under which it is known before an instance registers
    #[arg(long, value_name = "PROTO", value_parser = values::proto)]
    proto: Option<String>,

    /// Take this back; repeat it for more
    #[arg(long, value_name = "FIELD")]
    clear: Vec<Field>,

    /// Why, for the history
    #[arg(long, value_name = "TEXT", value_parser = values::reason)]
    reason: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Sites of one tier. A name of its own, so that the parser takes it for one value.
type Tier = Vec<String>;

/// What can be declared, as it is called after `--clear`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Field {
    Owner,
    Contact,
    Runbook,
    Dependencies,
    Tier,
    Min,
    Hold,
    Ttl,
    SiteTiers,
    AnswerLimit,
    Proto,
}

/// Take a declaration back and give the name up
///
/// Only while no instance is registered. The name then belongs to the first token that registers or declares it again,
/// and what was granted ends. To take back a part of it use zonebeat declare --clear.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat undeclare search",
    "zonebeat undeclare search --reason \"merged into index\"",
])]
pub struct UndeclareArgs {
    /// Service to give up
    #[arg(value_parser = values::service)]
    service: String,

    /// Why, for the history
    #[arg(long, value_name = "TEXT", value_parser = values::reason)]
    reason: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Declares.
pub async fn declare(args: &DeclareArgs) -> Result<(), Failure> {
    let amendment = args.amendment()?;
    let reply = args.connection.client()?.amend(&args.service, &amendment, args.reason.as_deref()).await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    let (service, revision) = (&args.service, reply.body.revision);
    Ok(print(&match reply.body.changed {
        true => format!("{service} is declared (revision {revision})"),
        false => format!("{service} was declared so already (revision {revision})"),
    })?)
}

/// Takes a declaration back.
pub async fn undeclare(args: &UndeclareArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.give_up(&args.service, args.reason.as_deref()).await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    let (service, revision) = (&args.service, reply.body.revision);
    Ok(print(&match reply.body.changed {
        true => format!("{service} is no longer declared, and its name is free (revision {revision})"),
        false => format!("{service} was not declared (revision {revision})"),
    })?)
}

impl DeclareArgs {
    fn amendment(&self) -> Result<Amendment, Failure> {
        let list = |items: &[String]| (!items.is_empty()).then(|| Some(items.to_vec()));
        let amendment = Amendment {
            proto: self.field(Field::Proto, self.proto.clone().map(Some))?,
            owner: self.field(Field::Owner, self.owner.clone().map(Some))?,
            contact: self.field(Field::Contact, self.contact.clone().map(Some))?,
            runbook: self.field(Field::Runbook, self.runbook.clone().map(Some))?,
            dependencies: self.field(Field::Dependencies, list(&self.dependencies))?,
            tier: self.field(Field::Tier, self.tier.map(Some))?,
            min: self.field(Field::Min, self.min.map(Some))?,
            hold: self.field(Field::Hold, self.hold.map(Some))?,
            ttl: self.field(Field::Ttl, self.ttl.map(Some))?,
            tiers: self.field(Field::SiteTiers, (!self.tiers.is_empty()).then(|| Some(self.tiers.clone())))?,
            answer_limit: self.field(Field::AnswerLimit, self.answer_limit.map(Some))?,
        };
        Ok(amendment)
    }

    /// The value that was given, or that it is taken back; not both.
    fn field<T>(&self, field: Field, given: Option<Option<T>>) -> Result<Option<Option<T>>, Failure> {
        match (self.clear.contains(&field), given) {
            (false, given) => Ok(given),
            (true, None) => Ok(Some(None)),
            (true, Some(_)) => {
                let name = field.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
                Err(Failure::Usage(format!(
                    "--clear {name} takes back what another option gives; leave one of them out"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        args: DeclareArgs,
    }

    fn amendment(line: &str) -> Result<String, String> {
        let words = ["zonebeat", "search"].into_iter().chain(line.split_whitespace());
        let args = Only::try_parse_from(words).map_err(|error| error.to_string())?.args;
        let amendment = args.amendment().map_err(|failure| failure.to_string())?;
        Ok(serde_json::to_string(&amendment).expect("plain data"))
    }

    #[test]
    fn only_what_is_given_is_sent() {
        for (line, body) in [
            ("", "{}"),
            ("--owner squad --tier 0", r#"{"owner":"squad","tier":0}"#),
            ("--site-tier lon --site-tier sto,Ash", r#"{"tiers":[["lon"],["sto","ash"]]}"#),
            ("--dependency Index --clear runbook", r#"{"runbook":null,"dependencies":["index"]}"#),
            ("--clear site-tiers --clear dependencies --min 2", r#"{"dependencies":null,"min":2,"tiers":null}"#),
        ] {
            assert_eq!(amendment(line).as_deref(), Ok(body), "{line}");
        }
        assert!(amendment("--tier 10").is_err());
        assert!(amendment("--tier lon").is_err());
        assert!(amendment("--owner squad --clear owner").expect_err("both").contains("--clear owner"));
    }
}
