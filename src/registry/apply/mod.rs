//! Commands, applied to a draft: one file per group of actions.
//!
//! Each command is checked in this order: may the caller write at all, are labels and values well-formed, does the
//! caller's scope cover it and does the name belong to somebody else, does policy let it into DNS, has a static record
//! the name. A refused command leaves the draft as it was.

mod guard;
mod instance;
mod orders;
mod ownership;
mod place;
mod records;
mod service;
mod session;
mod timer;
mod token;
mod validate;

use std::sync::Arc;

use super::draft::{Author, Draft};
use super::update::Look;
use super::{Action, Command, Outcome};
use crate::model::{Principal, Refusal, Word};
use crate::security::{Want, authorize};

pub(super) use timer::{end_hold, end_weight, forget, lapse, reap, relieve};

/// Who asks, and how history names it.
struct Caller<'a> {
    principal: &'a Principal,
    by: Author,
}

impl Caller<'_> {
    /// Asks security, with the tokens that the draft has.
    fn may(&self, draft: &Draft, want: Want<'_>) -> Result<(), Refusal> {
        authorize(&draft.state.snapshot.tokens, self.principal, want)
    }

    /// The token that owns what the caller writes, unless it has an owner.
    fn claim(&self) -> Option<&Arc<str>> {
        self.principal.token_id()
    }
}

/// Applies one command. `view` shows the draft as it is, if the command asks for that ([`needs_view`]).
pub(super) fn apply(draft: &mut Draft, view: &dyn Look, command: &Command) -> Result<Outcome, Refusal> {
    let caller = Caller { principal: &command.principal, by: Author::new(&command.principal, &command.reason) };
    caller.may(draft, first_want(&command.action))?;
    let outcome = match &command.action {
        Action::Register { service, id, registration } => {
            instance::register(draft, &caller, service, id, registration).map_err(|refusal| refusal.of(service, id))
        }
        Action::Deregister { service, id, incarnation, force } => {
            instance::deregister(draft, &caller, service, id, *incarnation, *force)
        }
        Action::Drain { service, id, force } => orders::drain(draft, &caller, service, id, *force),
        Action::DrainMany { instances, force } => orders::drain_many(draft, &caller, instances, *force),
        Action::UndrainMany { instances } => orders::undrain_many(draft, &caller, instances),
        Action::Undrain { service, id } => orders::undrain(draft, &caller, service, id),
        Action::SetWeight { service, id, weight, seconds } => {
            orders::set_weight(draft, &caller, service, id, *weight, *seconds)
        }
        Action::Release { service, id } => guard::release(draft, &caller, service, id.as_deref()),
        Action::HoldFleet => guard::hold_fleet(draft, &caller),
        Action::ReleaseFleet => guard::release_fleet(draft, &caller),
        Action::Return { service, id, incarnation } => instance::bring_back(draft, &caller, service, id, *incarnation),
        Action::Claim { service, id, incarnation } => instance::claim(draft, &caller, service, id, *incarnation),
        Action::ClaimSession { session, epoch, hash } => {
            session::claim(draft, &caller, session, epoch, hash.as_deref())
        }
        Action::SetSession { session, set } => session::set(draft, &caller, session, set),
        Action::ReturnSession { session } => session::bring_back(draft, &caller, session),
        Action::EndSession { session, epoch, force } => session::end(draft, &caller, session, epoch.as_deref(), *force),
        Action::Declare { service, declaration } => service::declare(draft, &caller, service, declaration),
        Action::Amend { service, amendment } => service::amend(draft, &caller, service, amendment),
        Action::Grant { service, token } => ownership::grant(draft, &caller, service, token),
        Action::Revoke { service, token } => ownership::revoke(draft, &caller, service, token),
        Action::Transfer { service, token } => ownership::transfer(draft, &caller, service, token),
        Action::Undeclare { service } => service::undeclare(draft, &caller, service),
        Action::CreateToken(token) => token::create(draft, &caller, token),
        Action::RevokeToken { token } => token::revoke(draft, &caller, token),
        Action::Update(asked) => records::update(draft, &caller, view, asked),
        Action::ReloadStatics => Err(Refusal::new(Word::Internal, "zone files are reloaded outside of a batch")),
    };
    draft.settle();
    outcome.map_err(|refusal| refusal.by(caller.by.name()))
}

/// Whether the command is judged by what is published.
pub(super) fn needs_view(command: &Command) -> bool {
    matches!(command.action, Action::Update(_))
}

/// What has to be allowed before anything of the command is looked at.
fn first_want(action: &Action) -> Want<'_> {
    match action {
        Action::CreateToken(token) => Want::CreateToken(&token.scope),
        Action::RevokeToken { .. } | Action::ReloadStatics | Action::HoldFleet | Action::ReleaseFleet => {
            Want::Administer
        }
        Action::Update(_) => Want::Update,
        _ => Want::Write,
    }
}
