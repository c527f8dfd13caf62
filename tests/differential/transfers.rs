//! Our AXFR of every zone against BIND's: the same records, whatever stands above, below or beside them.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::exchange;
use crate::message::Record;
use crate::peers::{Peer, Servers};
use crate::queries::Query;
use crate::types;
use crate::zones::{Batch, Zone};

/// What differs, zone by zone.
pub(crate) fn compare(batch: &Batch, servers: &Servers) -> Vec<String> {
    let differences = batch.zones.iter().filter_map(|zone| {
        let (ours, theirs) = (content(servers.ours(), zone), content(servers.address(Peer::Bind), zone));
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) if ours == theirs => None,
            (Ok(ours), Ok(theirs)) => {
                let only = |one: &BTreeSet<Record>, other: &BTreeSet<Record>| {
                    one.difference(other).map(|record| format!("    {record}\n")).collect::<String>()
                };
                let (more, less) = (only(&ours, &theirs), only(&theirs, &ours));
                Some(format!("--- AXFR of {}\n  only ours:\n{more}  only BIND's:\n{less}", zone.apex))
            }
            (ours, theirs) => {
                let (ours, theirs) = (ours.map(|set| set.len()), theirs.map(|set| set.len()));
                Some(format!("--- AXFR of {}: ours {ours:?}, BIND's {theirs:?}\n", zone.apex))
            }
        }
    });
    differences.collect()
}

fn content(server: SocketAddr, zone: &Zone) -> Result<BTreeSet<Record>, String> {
    let name = zone.apex.clone();
    let query = Query { qname: name.wire(), name, rtype: types::AXFR, flags: 0, edns: None, tcp: true };
    Ok(exchange::transfer(server, &query)?.into_iter().collect())
}
