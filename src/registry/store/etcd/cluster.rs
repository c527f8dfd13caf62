//! The members of etcd: a client each, our own order, and a time-out on every call.
//!
//! The library never ejects a member, and nothing of it times out by itself: a member that is stopped in the middle of
//! its work would hold a call for ever. So each member has a client of its own; a call that fails there or takes too
//! long goes to the next one, and calls after it begin there. Only an answer that says what is wrong with the request
//! itself ends the round.
//!
//! Each answer names its cluster; the first one is remembered, and another one is a fault.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, GetOptions, GetResponse, Identity, KvClient, LeaseClient,
    ResponseHeader, TlsOptions, Txn, TxnResponse, WatchClient,
};

use super::fault::{Fault, Result};
use super::options::Options;

/// Octets of an answer that are taken; the library's own limit is 4 MB.
const MOST: usize = 64 << 20;
/// etcd's least interval between pings is 5 s; a client that pings more often is thrown out.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

pub(super) struct Cluster {
    members: Vec<Member>,
    /// Where the next call begins.
    first: AtomicUsize,
    call: Duration,
    /// The cluster that has answered first; 0 before.
    id: AtomicU64,
}

struct Member {
    endpoint: String,
    client: Client,
}

impl Cluster {
    /// Prepares the clients; nothing is asked yet.
    pub(super) async fn connect(options: &Options) -> Result<Self> {
        let connect = connect_options(options);
        let mut members = Vec::new();
        for endpoint in &options.endpoints {
            let client = Client::connect([endpoint], Some(connect.clone())).await;
            let client = client.map_err(|error| Fault::Refused(format!("endpoint {endpoint}: {}", words(&error))))?;
            members.push(Member { endpoint: endpoint.clone(), client });
        }
        if members.is_empty() {
            return Err(Fault::Refused("no endpoint is configured".into()));
        }
        let (first, id) = (AtomicUsize::new(0), AtomicU64::new(0));
        Ok(Self { members, first, call: options.timings.call, id })
    }

    /// The id of the cluster; 0 before the first answer.
    pub(super) fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    pub(super) async fn get(&self, key: Vec<u8>, options: Option<GetOptions>) -> Result<GetResponse> {
        let work = |mut client: KvClient| {
            let (key, options) = (key.clone(), options.clone());
            async move { client.get(key, options).await }
        };
        let response = self.each(|client| work(client.kv_client().max_decoding_message_size(MOST))).await?;
        self.check(response.header())?;
        Ok(response)
    }

    /// A transaction that may be sent again: it does nothing twice, because of what it compares.
    pub(super) async fn transact(&self, txn: &Txn) -> Result<TxnResponse> {
        let work = |mut client: KvClient| {
            let txn = txn.clone();
            async move { client.txn(txn).await }
        };
        let response = self.each(|client| work(client.kv_client().max_decoding_message_size(MOST))).await?;
        self.check(response.header())?;
        Ok(response)
    }

    /// A call about leases.
    pub(super) async fn lease<T, F>(&self, work: impl Fn(LeaseClient) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, Error>>,
    {
        self.each(|client| work(client.lease_client())).await
    }

    /// The client for watches of a member, and its endpoint.
    pub(super) fn watcher(&self, index: usize) -> (WatchClient, &str) {
        let member = &self.members[index % self.members.len()];
        (member.client.watch_client().max_decoding_message_size(MOST), &member.endpoint)
    }

    /// Asks the members one after the other, each once.
    async fn each<T, F>(&self, work: impl Fn(&Client) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, Error>>,
    {
        let first = self.first.load(Ordering::Relaxed);
        let mut faults = Vec::new();
        for index in (first..first + self.members.len()).map(|index| index % self.members.len()) {
            let Member { endpoint, client } = &self.members[index];
            match tokio::time::timeout(self.call, work(client)).await {
                Ok(Ok(done)) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(done);
                }
                Ok(Err(error)) if is_final(&error) => return Err(Fault::Refused(words(&error))),
                Ok(Err(error)) => faults.push(format!("{endpoint}: {}", words(&error))),
                Err(_) => faults.push(format!("{endpoint}: nothing within {:?}", self.call)),
            }
        }
        Err(Fault::Away(faults.join("; ")))
    }

    /// Fails if another cluster has answered than before.
    pub(super) fn check(&self, header: Option<&ResponseHeader>) -> Result<()> {
        let found = header.map_or(0, ResponseHeader::cluster_id);
        match self.id.compare_exchange(0, found, Ordering::Relaxed, Ordering::Relaxed) {
            Err(known) if known != found => {
                Err(Fault::Strange(format!("etcd is another cluster now: {found:x}, not {known:x}")))
            }
            _ => Ok(()),
        }
    }

    /// Knows a cluster from earlier.
    pub(super) fn expect(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
    }
}

fn connect_options(options: &Options) -> ConnectOptions {
    let connect = ConnectOptions::new()
        .with_connect_timeout(options.timings.call)
        .with_keep_alive(PING, PONG)
        .with_keep_alive_while_idle(true)
        .with_require_leader(true);
    let Some(tls) = &options.tls else { return connect };
    let mut with = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.authorities));
    if let Some((certificate, key)) = &tls.identity {
        with = with.identity(Identity::from_pem(certificate, key));
    }
    if let Some(name) = &tls.server_name {
        with = with.domain_name(name);
    }
    connect.with_tls(with)
}

/// Whether every member would say the same.
fn is_final(error: &Error) -> bool {
    // The numbers of gRPC: invalid argument, permission denied, resource exhausted (too large, no space), failed
    // precondition, out of range (compacted), unauthenticated.
    let refusals = [3, 7, 8, 9, 11, 16];
    match error {
        Error::GRpcStatus(status) => refusals.contains(&(status.code() as i32)),
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => true,
        _ => false,
    }
}

/// An error with its causes, which the library leaves out.
pub(super) fn words(error: &Error) -> String {
    let mut text = match error {
        Error::GRpcStatus(status) => status.message().to_owned(),
        other => other.to_string(),
    };
    let mut cause = match error {
        Error::GRpcStatus(status) => std::error::Error::source(status),
        Error::TransportError(error) => std::error::Error::source(error),
        _ => None,
    };
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
