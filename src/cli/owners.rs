//! `zonebeat grant`, `revoke` and `transfer`: which tokens may write a service.

use clap::Args;

use super::connection::ConnectionArgs;
use super::output::print;
use super::{Failure, examples, values};
use crate::agent::{ClientError, Reply};
use crate::model::Word;
use crate::model::api::Applied;

/// Let another token write a service: register, update, deregister, declare
///
/// For the token that owns the service, or an admin. The other token stays within its own scope, and may not grant,
/// transfer or give the name up.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat grant search squad-web",
    "zonebeat grant search squad-web --reason \"they move it to their hosts\"",
])]
pub struct GrantArgs {
    #[command(flatten)]
    to: To,
}

/// Take back that another token may write a service
///
/// For the token that owns the service, or an admin. What the other token registered stays until its leases run out,
/// because nothing can beat for it any more. To revoke a token as a whole use zonebeat token revoke.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat revoke search squad-web"])]
pub struct RevokeArgs {
    #[command(flatten)]
    to: To,
}

/// Make a service another token's
///
/// For the token that owns the service, or an admin. The token that owned it is granted it, so that what beats with it
/// lives on; the new owner takes that back with zonebeat revoke.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat transfer search squad-web --reason \"team split\""])]
pub struct TransferArgs {
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Clone, Args)]
struct To {
    /// Service it is about
    #[arg(value_parser = values::service)]
    service: String,

    /// Name or id of the token
    #[arg(value_name = "TOKEN")]
    grantee: String,

    /// Why, for the history
    #[arg(long, value_name = "TEXT", value_parser = values::reason)]
    reason: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Grants.
pub async fn grant(args: &GrantArgs) -> Result<(), Failure> {
    let To { service, grantee, reason, connection } = &args.to;
    let reply = connection.client()?.grant(service, grantee, reason.as_deref()).await;
    tell(connection, reply, |changed| match changed {
        true => format!("token {grantee} may write {service}"),
        false => format!("token {grantee} might write {service} already"),
    })
}

/// Takes a grant back.
pub async fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let To { service, grantee, reason, connection } = &args.to;
    let reply = connection.client()?.revoke_grant(service, grantee, reason.as_deref()).await;
    tell(connection, reply, |changed| match changed {
        true => format!("token {grantee} may no longer write {service}"),
        false => format!("{service} was not granted to token {grantee}"),
    })
}

/// Transfers.
pub async fn transfer(args: &TransferArgs) -> Result<(), Failure> {
    let To { service, grantee, reason, connection } = &args.to;
    let reply = connection.client()?.transfer(service, grantee, reason.as_deref()).await;
    if let Err(ClientError::Refused(refused)) = &reply
        && refused.repeated
        && refused.word == Word::NameOwned.as_str()
    {
        return Ok(print(&format!(
            "{service} belongs to token {grantee} (the first attempt was done, but its reply got lost)"
        ))?);
    }
    tell(connection, reply, |changed| match changed {
        true => {
            format!("{service} belongs to token {grantee}; the token that owned it may write it until it is revoked")
        }
        false => format!("{service} belonged to token {grantee} already"),
    })
}

fn tell(
    connection: &ConnectionArgs,
    reply: Result<Reply<Applied>, ClientError>,
    words: impl FnOnce(bool) -> String,
) -> Result<(), Failure> {
    let reply = reply?;
    if connection.json {
        return Ok(print(&reply.text)?);
    }
    Ok(print(&format!("{} (revision {})", words(reply.body.changed), reply.body.revision))?)
}
