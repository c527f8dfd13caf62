//! `zonebeat token`: create, list, revoke.

mod offline;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use ipnet::IpNet;

use super::connection::ConnectionArgs;
use super::output::{eprint, print, since, table};
use super::{Failure, examples, values};
use crate::agent::{Client, ClientError};
use crate::model::api::{TokenCreated, TokenInfo, TokenRequest};
use crate::model::clock::SystemClock;
use crate::model::{Clock, Scope, Timestamp};

/// What stands where a table of tokens would.
const NO_TOKENS: &str = "no tokens yet: whoever is on the server's machine may write; \
                         create one: zonebeat token create ops --admin";

/// Create, list and revoke tokens
///
/// A token is what a writer shows; its scope limits what it may write, and a service name belongs to the first token
/// that registers it. As long as there is no token, anybody on the server's own machine may write.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat token create ops --admin",
    "zonebeat token create squad-search --service 'search*' --site lon --address 192.0.2.0/24",
    "zonebeat token list",
    "zonebeat token revoke squad-search",
])]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Create a token and print its secret, this once
///
/// The secret alone goes to standard output, so that it can be piped to where it is kept; the server stores its hash
/// only. Without scope options the token may write every name that nobody owns. The very first token must be an admin:
/// without scope options it is made one.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat token create ops --admin > ops.token",
    "zonebeat token create squad-search --service search --service 'search-*'",
    "zonebeat token create rack7 --site lon --address 192.0.2.0/24 --address 2001:db8:7::/48",
    "zonebeat token create rescue --admin --data-dir /var/lib/zonebeat",
])]
struct CreateArgs {
    /// What people call it; history names it as author
    name: String,

    /// Service names that it may write, * stands for any run of characters; repeat it for more
    #[arg(long = "service", value_name = "PATTERN")]
    services: Vec<String>,

    /// Site that its instances may name; repeat it for more
    #[arg(long = "site", value_name = "SITE", value_parser = values::site)]
    sites: Vec<String>,

    /// Prefix that its addresses must lie in; repeat it for more
    #[arg(long = "address", value_name = "PREFIX", value_parser = prefix)]
    addresses: Vec<IpNet>,

    /// May create and revoke tokens, and write names that others own
    #[arg(long)]
    admin: bool,

    /// Data directory of a stopped server, to make the token there: the way back when every admin token is lost
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// List tokens with their scopes; secrets are never shown again
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat token list", "zonebeat token list --json"])]
struct ListArgs {
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Revoke a token; the names that it owned are free again
#[derive(Debug, Clone, Args)]
#[command(after_help = examples!["zonebeat token revoke squad-search"])]
struct RevokeArgs {
    /// Id or name of the token
    #[arg(value_name = "TOKEN")]
    revoked: String,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// A prefix, or one address as the prefix of itself.
fn prefix(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    let net = text.parse::<IpNet>().or_else(|_| address());
    net.map_err(|_| format!("\"{text}\" is not an address prefix, as in 192.0.2.0/24 or 2001:db8::/32"))
}

/// Runs the subcommand.
pub async fn run(args: &TokenArgs) -> Result<(), Failure> {
    match &args.command {
        TokenCommand::Create(args) => create(args).await,
        TokenCommand::List(args) => list(args).await,
        TokenCommand::Revoke(args) => revoke(args).await,
    }
}

async fn create(args: &CreateArgs) -> Result<(), Failure> {
    let scope = Scope {
        services: args.services.clone(),
        sites: args.sites.clone(),
        addresses: args.addresses.clone(),
        admin: args.admin,
    };
    if let Some(data_dir) = &args.data_dir {
        return tell(args, &offline::create(data_dir, &args.name, scope)?);
    }
    let client = args.connection.client()?;
    let first = scope == Scope::default() && is_first(&client).await?;
    let scope = Scope { admin: scope.admin || first, ..scope };
    let reply = client.create_token(&TokenRequest { name: args.name.clone(), scope }).await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    print(&reply.body.secret)?;
    eprint(&explanation(&reply.body, first));
    Ok(())
}

/// Shows a token that was made without a server.
fn tell(args: &CreateArgs, created: &TokenCreated) -> Result<(), Failure> {
    if args.connection.json {
        let text = serde_json::to_string(created).map_err(|error| Failure::Failed(error.to_string()))?;
        return Ok(print(&text)?);
    }
    print(&created.secret)?;
    eprint(&explanation(created, false));
    Ok(())
}

/// Whether there is no token yet. Who may not list tokens knows that there is one.
async fn is_first(client: &Client) -> Result<bool, ClientError> {
    match client.tokens().await {
        Ok(reply) => Ok(reply.body.tokens.is_empty()),
        Err(ClientError::Refused(_)) => Ok(false),
        Err(unreachable) => Err(unreachable),
    }
}

fn explanation(created: &TokenCreated, first: bool) -> String {
    let TokenCreated { id, name, scope, .. } = created;
    let mut text = format!("token {name} (id {id}) may write: {}", scope_words(scope));
    if first {
        text.push_str("\nIt is the first token and so an admin. From now on every write needs a token.");
    }
    text.push_str("\nThe line on standard output is its secret. It is not shown again: keep it, and pass it as");
    text.push_str("\nZONEBEAT_TOKEN, with --token, or behind \"Authorization: Bearer\".");
    text
}

async fn list(args: &ListArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.tokens().await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    if reply.body.tokens.is_empty() {
        return Ok(print(NO_TOKENS)?);
    }
    Ok(print(&tokens_table(&reply.body.tokens, SystemClock::new().wall()))?)
}

async fn revoke(args: &RevokeArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.revoke_token(&args.revoked).await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    Ok(print(&format!("token {} is revoked (revision {})", args.revoked, reply.body.revision))?)
}

fn tokens_table(tokens: &[TokenInfo], now: Timestamp) -> String {
    let row = |token: &TokenInfo| {
        let owns = token.owns.to_string();
        [token.id.clone(), token.name.clone(), scope_words(&token.scope), owns, since(token.created, now)]
    };
    table(["ID", "NAME", "MAY WRITE", "OWNS", "CREATED"], tokens.iter().map(row))
}

/// A scope in words: `admin; services search*; sites lon`.
fn scope_words(scope: &Scope) -> String {
    let addresses: Vec<_> = scope.addresses.iter().map(ToString::to_string).collect();
    let limits = [("services", &scope.services), ("sites", &scope.sites), ("addresses", &addresses)];
    let limits = limits.iter().filter(|(_, list)| !list.is_empty());
    let admin = scope.admin.then(|| "everything, as admin".to_owned());
    let words: Vec<_> =
        admin.into_iter().chain(limits.map(|(kind, list)| format!("{kind} {}", list.join(" ")))).collect();
    if words.is_empty() { "every service".to_owned() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_words() {
        let some = |list: &[&str]| list.iter().map(|text| text.to_string()).collect();
        let scope = Scope {
            services: some(&["search*", "index"]),
            sites: some(&["lon"]),
            addresses: vec![prefix("192.0.2.0/24").expect("prefix")],
            admin: false,
        };
        assert_eq!(scope_words(&scope), "services search* index; sites lon; addresses 192.0.2.0/24");
        assert_eq!(scope_words(&Scope::default()), "every service");
        assert_eq!(scope_words(&Scope { admin: true, ..Scope::default() }), "everything, as admin");
    }

    #[test]
    fn one_address_is_a_prefix_too() {
        assert_eq!(prefix("192.0.2.7").expect("address").to_string(), "192.0.2.7/32");
        assert!(prefix("192.0.2.0/33").expect_err("long").contains("192.0.2.0/24"));
    }

    #[test]
    fn tokens_are_a_table() {
        let token = TokenInfo {
            id: "k3".into(),
            name: "ops".into(),
            scope: Scope { admin: true, ..Scope::default() },
            created: Timestamp(0),
            owns: 2,
        };
        let expected = "\
ID  NAME  MAY WRITE             OWNS  CREATED
k3  ops   everything, as admin  2     5 s ago";
        assert_eq!(tokens_table(&[token], Timestamp(5_000)), expected);
    }
}
