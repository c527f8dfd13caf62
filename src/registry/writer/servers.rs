//! The writer hears which servers share the registry.
//!
//! Their leases are not counted here while they are there, and run in full from the moment that they are gone. Nothing
//! is committed: the first lapse, or the first claim, says who is faster. Until the store has said who is there,
//! everybody is.

use super::super::lease::{Key, Servers};
use super::Writer;
use crate::model::ServerRow;

impl Writer {
    /// These servers are there now. What ran out here of one that is back is left to it again.
    pub fn set_servers(&mut self, there: &[ServerRow]) {
        let Some(store) = &self.store else { return };
        let leases = &self.shared.leases;
        self.shared.set_servers(Servers::new(store.number(), there));
        let mut out: Vec<Key> = std::mem::take(&mut self.out).into();
        leases.retain_out(&mut out);
        self.out = out.into();
        self.fleet.retain_out(|keys| leases.retain_out(keys));
    }
}
