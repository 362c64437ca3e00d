//! Jump passes: each belongs to one valid pass and allows only forwarding through the bastion.
//! Pure.

use super::{LedgerState, PassRecord, Rejection, Rule};
use crate::{
    ledger::event::{Issued, Jump, Requested},
    ssh::{options::Extension, permissions::covers},
};

impl LedgerState {
    /// Checks that this jump pass may come next.
    pub(super) fn admit_jump(&self, issued: &Issued, jump: &Jump) -> Result<(), Rejection> {
        let serial = jump.pass;
        let main = self.passes.get(serial);
        let main = main.ok_or_else(|| refused(serial, "which is not valid now"))?;
        let has_one = || self.passes().any(|pass| pass.jump_of == Some(serial));
        let fault = fault_of_pass(main, issued)
            .or_else(|| has_one().then_some("which has one already"))
            .or_else(|| fault_of_rights(issued))
            .or_else(|| {
                let approved = self.redeemed_as(serial)?;
                (!is_subset_of(issued, jump, approved)).then_some("and was not approved with it")
            });
        match fault {
            None => Ok(()),
            Some(fault) => Err(refused(serial, fault)),
        }
    }

    /// The request that was redeemed for the pass `serial`.
    fn redeemed_as(&self, serial: u64) -> Option<&Requested> {
        let mut requests = self.requests().filter(|request| request.serial == serial);
        requests.find_map(|request| request.requested.as_deref())
    }
}

fn refused(serial: u64, fault: &str) -> Rejection {
    Rejection::new(
        Rule::Jump,
        format!("the jump pass belongs to pass {serial}, {fault}: ask again"),
    )
}

fn fault_of_pass(main: &PassRecord, issued: &Issued) -> Option<&'static str> {
    let who = &issued.who;
    let is_theirs = main.issuer == who.issuer
        && main.subject == who.subject
        && main.key == issued.key
        && main.role == issued.ask.role;
    let faults = [
        (main.jump_of.is_some(), "which is a jump pass itself"),
        (main.is_revoked, "which is revoked"),
        (!is_theirs, "which is for another identity, key or role"),
        (
            (main.policy.as_deref()).is_some_and(|policy| policy != issued.policy),
            "which was granted by another policy",
        ),
        (
            main.valid_before < issued.valid_before,
            "which ends before it",
        ),
    ];
    let fault = faults.into_iter().find(|(is_so, _)| *is_so);
    fault.map(|(_, fault)| fault)
}

/// Checks that the pass only forwards: one extension, and a force-command for sessions.
fn fault_of_rights(issued: &Issued) -> Option<&'static str> {
    let only_forwards = issued.permissions.force_command.is_some()
        && issued.permissions.extensions == [Extension::PortForwarding].into();
    (!only_forwards).then_some("and does more than forward")
}

/// Whether the jump pass is a subset of the approved one.
fn is_subset_of(issued: &Issued, jump: &Jump, approved: &Requested) -> bool {
    approved.through.as_ref().is_some_and(|through| {
        let (is, was) = (&issued.permissions, &through);
        through.bastion == jump.bastion
            && is.principals.is_subset(&was.principals)
            && covers(was.source_addresses.as_ref(), is.source_addresses.as_ref())
    })
}

#[cfg(test)]
mod tests;
