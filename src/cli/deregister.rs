//! `zonebeat deregister`.

use clap::Args;

use super::connection::ConnectionArgs;
use super::output::print;
use super::{Failure, examples, values};
use crate::agent::ClientError;
use crate::model::Word;

/// Take an instance out of the answers now
///
/// Leaving on purpose applies at once. A process that still beats for the instance is told that it is unknown and
/// registers it again: stop it first, or it comes back.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat deregister search a1",
    "zonebeat deregister search a1 --reason \"disk replaced\"",
    "zonebeat deregister search a1 --incarnation 1842",
    "zonebeat deregister search a1 --force",
])]
pub struct DeregisterArgs {
    /// Service the instance belongs to
    #[arg(value_parser = values::service)]
    service: String,

    /// Instance that leaves
    #[arg(value_parser = values::instance)]
    id: String,

    /// Only if this is still its incarnation; without it whichever runs now
    #[arg(long, value_name = "N")]
    incarnation: Option<u64>,

    /// Also where the service would have fewer serving than its `min`
    #[arg(long)]
    force: bool,

    /// Why, for the history
    #[arg(long, value_name = "TEXT", value_parser = values::reason)]
    reason: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Deregisters.
pub async fn run(args: &DeregisterArgs) -> Result<(), Failure> {
    let (service, id) = (&args.service, &args.id);
    let client = args.connection.client()?;
    let left = match args.force {
        true => client.deregister_anyway(service, id, args.incarnation, args.reason.as_deref()).await,
        false => client.deregister(service, id, args.incarnation, args.reason.as_deref()).await,
    };
    match left {
        Ok(reply) if args.connection.json => print(&reply.text)?,
        Ok(reply) => print(&format!("{service}/{id} has left (revision {})", reply.body.revision))?,
        Err(ClientError::Refused(refused)) if refused.repeated && refused.word == Word::UnknownInstance.as_str() => {
            print(&format!("{service}/{id} has left (the first attempt was done, but its reply got lost)"))?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
