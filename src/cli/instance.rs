//! The options that describe one instance: the same for `register` and `run`.

use std::net::IpAddr;

use clap::Args;

use super::{Failure, values};
use crate::agent::identity;
use crate::model::Name;
use crate::model::api::Registration;

/// What is registered.
#[derive(Debug, Clone, Args)]
pub struct InstanceArgs {
    /// Port it listens on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,

    /// Protocol label
    #[arg(long, value_name = "PROTO", default_value = "tcp", value_parser = values::proto)]
    pub proto: String,

    /// Instance label; the machine's host label, a hyphen and the port if missing
    #[arg(long, value_parser = values::instance)]
    pub id: Option<String>,

    /// Address it is reached at; repeat it for more; the one that the server sees if missing
    #[arg(long = "address", value_name = "IP")]
    pub addresses: Vec<IpAddr>,

    /// Existing host to point to, instead of addresses
    #[arg(long, value_name = "HOST", conflicts_with = "addresses", value_parser = values::target)]
    pub target: Option<Name>,

    /// Data centre or region it runs in
    #[arg(long, value_parser = values::site)]
    pub site: Option<String>,

    /// Label that selects a subset; repeat it for more
    #[arg(long = "tag", value_name = "TAG", value_parser = values::tag)]
    pub tags: Vec<String>,

    /// Fact for the TXT record; repeat it for more
    #[arg(long = "meta", value_name = "KEY=VALUE", value_parser = values::fact)]
    pub metadata: Vec<(String, String)>,

    /// SRV priority, lower is preferred; the server's default if missing
    #[arg(long, value_name = "N")]
    pub priority: Option<u16>,

    /// SRV weight among equal priorities; the server's default if missing
    #[arg(long, value_name = "N")]
    pub weight: Option<u16>,

    /// How long it may be silent before it leaves the answers
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = values::lease)]
    pub lease: i64,
}

impl InstanceArgs {
    /// What is registered, without lease and epoch: a lone instance has its own, a session has them for all.
    pub fn registration(&self) -> Registration {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        Registration {
            port: self.port.into(),
            proto: Some(self.proto.clone()),
            addresses: (!addresses.is_empty()).then_some(addresses),
            target: self.target.as_ref().map(ToString::to_string),
            site: self.site.clone(),
            priority: self.priority.map(i64::from),
            weight: self.weight.map(i64::from),
            tags: self.tags.clone(),
            metadata: self.metadata.iter().cloned().collect(),
            lease_seconds: None,
            epoch: None,
            out: None,
            incarnation: None,
        }
    }

    /// The label that was given, or the one of this machine and the port.
    pub fn id(&self) -> Result<String, Failure> {
        let made = || identity::default_id(&identity::host_name(), self.port);
        let failed = |error| Failure::Usage(format!("{error} with --id"));
        self.id.clone().map_or_else(|| made().map_err(failed), Ok)
    }
}
