//! What is held, and released.

use std::sync::Arc;

use super::super::draft::Draft;
use super::super::{FleetHold, Outcome};
use super::Caller;
use super::instance::find;
use super::timer::let_lapse;
use crate::model::change::FLEET;
use crate::model::label::{LabelKind, parse_label};
use crate::model::{Refusal, State, Transition, Word};

/// Lets an instance lapse that is held, or all of a service.
pub(super) fn release(
    draft: &mut Draft,
    caller: &Caller<'_>,
    service: &str,
    id: Option<&str>,
) -> Result<Outcome, Refusal> {
    let ids = match id {
        Some(id) => vec![id.to_owned()],
        None => {
            let name = parse_label(LabelKind::Service, service)?;
            if draft.state.service(&name).is_none() {
                return Err(Refusal::new(Word::UnknownService, format!("no service {name}; nothing of it is held")));
            }
            draft.state.snapshot.held.of(&name)
        }
    };
    let found = ids.iter().map(|id| find(draft, caller, service, id, None)).collect::<Result<Vec<_>, _>>()?;
    let mut changed = false;
    for (service, before) in found.into_iter().filter(|(_, before)| before.state == State::Held) {
        let_lapse(draft, &caller.by, Transition::Release, &service, before);
        changed = true;
    }
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}

/// Holds the lapses of the fleet.
pub(super) fn hold_fleet(draft: &mut Draft, caller: &Caller<'_>) -> Result<Outcome, Refusal> {
    let changed = draft.state.snapshot.fleet_hold.is_none();
    if changed {
        draft.record(&caller.by, Transition::Hold, Arc::from(FLEET), None, None, None);
        let (since, revision) = (draft.now, draft.state.snapshot.revision);
        draft.state.snapshot.fleet_hold = Some(FleetHold { since, revision });
    }
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}

/// Holds them no more.
pub(super) fn release_fleet(draft: &mut Draft, caller: &Caller<'_>) -> Result<Outcome, Refusal> {
    let changed = draft.state.snapshot.fleet_hold.take().is_some();
    if changed {
        draft.record(&caller.by, Transition::Release, Arc::from(FLEET), None, None, None);
    }
    Ok(Outcome::Applied { revision: draft.state.snapshot.revision, changed })
}
