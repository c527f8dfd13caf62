//! The options that every client command has: which servers, which token, which output.

use clap::Args;
use url::Url;

use super::Failure;
use crate::agent::servers::Servers;
use crate::agent::{Client, DEFAULT_SERVER, parse_server};

/// How often a command asks all servers before it fails; retrying for ever is for `register`.
const ROUNDS: u32 = 2;

/// Servers, token, output.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Client options")]
pub struct ConnectionArgs {
    /// Server to ask; repeat it to name more, which are tried in order
    ///
    /// The next server is asked when one cannot be connected to, does not reply within a second, or replies 5xx.
    /// ZONEBEAT_SERVER may hold several, separated by commas or spaces.
    #[arg(long, value_name = "URL", env = "ZONEBEAT_SERVER", default_value = DEFAULT_SERVER, value_parser = parse_list)]
    server: Vec<ServerList>,

    /// Token to write with, as `zonebeat token create` printed it
    #[arg(long, value_name = "SECRET", env = "ZONEBEAT_TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Print JSON instead of text for people
    #[arg(long)]
    pub json: bool,
}

/// The servers of one argument or of the environment.
#[derive(Debug, Clone)]
pub struct ServerList(pub Vec<Url>);

/// Servers separated by commas or spaces.
pub fn parse_list(text: &str) -> Result<ServerList, String> {
    let parts = text.split([',', ' ', '\t', '\n']).filter(|part| !part.is_empty());
    parts.map(parse_server).collect::<Result<_, _>>().map(ServerList)
}

impl ConnectionArgs {
    /// A client for one command.
    pub fn client(&self) -> Result<Client, Failure> {
        self.client_with_rounds(ROUNDS)
    }

    /// A client that asks all servers that often before a call fails.
    pub fn client_with_rounds(&self, rounds: u32) -> Result<Client, Failure> {
        let servers = Servers::new(self.server.iter().flat_map(|list| list.0.clone()));
        let token = self.token.as_deref().map(str::trim).filter(|token| !token.is_empty());
        Client::new(servers, token, rounds).map_err(Failure::Usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_split_at_commas_and_spaces() {
        for (text, count) in [("192.0.2.1:8053, http://192.0.2.2:8053", 2), ("a.example.org b.example.org", 2), ("", 0)]
        {
            assert_eq!(parse_list(text).expect(text).0.len(), count, "{text}");
        }
        assert!(parse_list("http://192.0.2.1 ftp://192.0.2.2").is_err());
    }
}
