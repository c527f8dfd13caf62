//! The writer asks the guard of the fleet, once a tick and before anything lapses.

use super::super::guard::Verdict;
use super::super::{Action, Command};
use super::Writer;
use super::pipeline::Request;
use crate::model::Principal;

impl Writer {
    /// Keeps the leases that ran out from lapsing while the fleet's lapses are held; begins and ends that.
    pub(super) fn guard_fleet(&mut self) {
        if self.fleet.holds() && !self.is_fleet_held_ahead() {
            self.fleet.release(&mut self.out);
        }
        if !self.fleet.holds() && self.is_hold_foreign() {
            self.fleet.follow(self.shared.leases.clock());
        }
        if !self.fleet.holds() && self.is_fleet_held_ahead() {
            let reason = "every lease is full once more, because the store was away";
            self.order_fleet(Action::ReleaseFleet, reason.to_owned());
        }
        let (shared, now) = (self.shared.clone(), self.shared.leases.clock());
        let verdict = self.fleet.judge(&shared.options.guard, now, &mut self.out, || shared.leases.silence());
        match verdict {
            Verdict::Same => {}
            Verdict::Hold { silent, all } => {
                let share = shared.options.guard.share;
                let reason = format!("{silent} of {all} sessions fell silent together, more than {share} %");
                self.order_fleet(Action::HoldFleet, reason);
            }
            Verdict::Over { silent, waiting } => {
                shared.leases.grant(&waiting);
                self.order_fleet(Action::ReleaseFleet, format!("{silent} sessions are silent, the others beat"));
            }
            Verdict::Expired => {
                self.order_fleet(Action::ReleaseFleet, "held for its time; what is still silent has lapsed".into());
            }
        }
        if self.fleet.holds() {
            self.fleet.sweep(shared.leases.silence().silent, |keys| shared.leases.retain_out(keys));
        }
        shared.set_fleet_held(self.fleet.waiting());
    }

    fn order_fleet(&mut self, action: Action, reason: String) {
        let (request, _) = Request::new(Command { principal: Principal::Server, reason, action });
        self.take(vec![request]);
    }
}
