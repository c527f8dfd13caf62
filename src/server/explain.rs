//! Explanations over DNS: what `GET /v1/explain` gives, in lines of text.

use std::sync::{Arc, Mutex, PoisonError};

use super::zones::SharedZones;
use crate::model::{Clock, Name};
use crate::registry::Registry;
use crate::registry::explain::{Asked, OVER_DNS, explain};
use crate::wire::Explain;

/// Explains names to those who ask over DNS, one after the other: a look through all services takes tens of
/// milliseconds of a core, and answers have to have the others.
pub(super) struct DnsExplainer {
    registry: Registry,
    zones: SharedZones,
    clock: Arc<dyn Clock>,
    turn: Mutex<()>,
}

impl DnsExplainer {
    pub(super) fn new(registry: Registry, zones: SharedZones, clock: Arc<dyn Clock>) -> Self {
        Self { registry, zones, clock, turn: Mutex::default() }
    }
}

impl Explain for DnsExplainer {
    fn explain(&self, name: &Name) -> Result<Vec<String>, String> {
        if !self.registry.health().loaded {
            return Err("the registry has not been loaded yet".to_owned());
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = Asked { name: name.clone(), rtype: None, limit: OVER_DNS };
        Ok(explain(&self.registry, &self.zones, &asked, self.clock.wall()).lines())
    }
}
