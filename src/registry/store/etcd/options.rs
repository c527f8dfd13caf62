//! How a server reaches its etcd, and how long it waits for it.

use std::path::PathBuf;
use std::time::Duration;

/// Where the store is, and who opens it.
#[derive(Debug, Clone)]
pub struct Options {
    /// `http://` or `https://` with host and port, in the order of preference.
    pub endpoints: Vec<String>,
    /// What all keys begin with; several registries may share one etcd.
    pub prefix: String,
    /// Certificates for `https://`.
    pub tls: Option<Tls>,
    /// The name of this server, which no other one has.
    pub server: String,
    /// Where the copy is kept, from which the server starts while etcd is away.
    pub data_dir: PathBuf,
    /// How many keys the leader may write per second when it brings frames into rows; 0: this server never leads.
    pub keys_per_second: u32,
    /// Intervals and time-outs.
    pub timings: Timings,
}

impl Options {
    /// The defaults for these endpoints and this directory.
    pub fn new(endpoints: Vec<String>, server: &str, data_dir: PathBuf) -> Self {
        let (prefix, server) = ("/zonebeat".to_owned(), server.to_owned());
        Self { endpoints, prefix, tls: None, server, data_dir, keys_per_second: 2000, timings: Timings::default() }
    }
}

/// Certificates and keys, in PEM.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Whom to believe.
    pub authorities: Vec<u8>,
    /// This server's certificate and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that the members' certificates have, if it is not the host of the endpoint.
    pub server_name: Option<String>,
}

/// Intervals and time-outs. Tests make them short.
#[derive(Debug, Clone)]
pub struct Timings {
    /// One call to one member; then the next member is asked.
    pub call: Duration,
    /// All attempts of one commit; then its outcome is unknown.
    pub commit: Duration,
    /// Between two canaries.
    pub canary: Duration,
    /// A canary that the watch has not brought by then makes it be built again, at another member.
    pub silent: Duration,
    /// The lease of the leader's key.
    pub lease: Duration,
    /// Between two looks for frames that the copy does not have.
    pub copy: Duration,
    /// Between two looks for frames that are no rows yet.
    pub fold: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            call: seconds(2),
            commit: seconds(6),
            canary: seconds(2),
            silent: seconds(5),
            lease: seconds(10),
            copy: seconds(1),
            fold: seconds(1),
        }
    }
}
