//! An instance for tests, fuzzing and measurements of what is published; callers replace what matters to them.

use std::net::IpAddr;

use zonebeat::model::{Endpoint, Instance, Revision, State, Timestamp};

/// A serving instance without site, tags and metadata.
#[allow(unreachable_pub)] // `pub` is what the tests may use; there is no crate around it
pub fn instance(id: &str, port: u16, addresses: &[IpAddr]) -> Instance {
    Instance {
        id: id.into(),
        proto: "tcp".into(),
        port,
        priority: 10,
        weight: 100,
        site: None,
        endpoint: Endpoint::Addresses(addresses.into()),
        tags: [].into(),
        metadata: [].into(),
        lease_seconds: 15,
        session: None,
        epoch: None,
        owner: Default::default(),
        out: None,
        orders: None,
        incarnation: Revision(1),
        state: State::Serving,
        site_only: false,
        since: Timestamp(0),
        revision: Revision(1),
    }
}
