//! `zonebeat serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, examples, values};
use crate::config::Overrides;
use crate::model::Name;
use crate::server::{self, ServeError, ServeOptions};

/// Run the server
///
/// Answers DNS over UDP and TCP from zone files and from what is registered over HTTP. Works without any file; flags
/// override the configuration file, the file overrides the defaults. SIGHUP loads the zone files again, SIGTERM drains
/// and stops.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat serve --zone sd.example.org --listen 127.0.0.1:5300 --data-dir var/zonebeat",
    "zonebeat serve --config /etc/zonebeat/zonebeat.toml",
    "zonebeat serve --zones-dir zones --listen 192.0.2.53:53 --listen [2001:db8::53]:53",
])]
pub struct ServeArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Zone that registrations are published in; repeat it for more
    #[arg(long = "zone", value_name = "NAME", value_parser = values::target)]
    pub zones: Vec<Name>,

    /// Directory of zone files, one for each zone: NAME.zone, db.NAME or NAME.db
    #[arg(long, value_name = "DIR")]
    pub zones_dir: Option<PathBuf>,

    /// Address and port to answer DNS on, over UDP and TCP; repeat it for more
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Vec<SocketAddr>,

    /// Address and port to answer HTTP on; repeat it for more
    #[arg(long, value_name = "IP:PORT")]
    pub http: Vec<SocketAddr>,

    /// Directory of the embedded store
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Runs the server until it is told to stop; calls `loaded` when it has its data.
pub fn run(args: ServeArgs, loaded: fn()) -> Result<(), Failure> {
    let ServeArgs { config, zones, zones_dir, listen, http, data_dir } = args;
    let overrides = Overrides { zones, zones_dir, listen, http, data_dir };
    server::run(ServeOptions { config, overrides, loaded }).map_err(|error| match error {
        ServeError::Config(error) => Failure::Usage(format!("the configuration cannot work\n{error}")),
        other => Failure::Failed(other.to_string()),
    })
}
