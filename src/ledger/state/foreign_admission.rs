//! Admission of logins that the ledger does not explain. Pure.

use super::{LedgerState, Rejection, Rule, foreign::Room};
use crate::ledger::{Event, event::ForeignLogin};

impl LedgerState {
    pub(super) fn admit_foreign(
        &self,
        event: &Event,
        login: &ForeignLogin,
    ) -> Result<(), Rejection> {
        let reject = |detail: &str| Err(Rejection::new(Rule::ForeignLogin, detail));
        let host = self.host(&login.host).filter(|it| it.joined.is_some());
        let Some(host) = host else {
            return Err(Rejection::no_such_host(&login.host));
        };
        if !login.is_bounded() {
            return reject("a text of the login is too long");
        }
        if host.foreign.is_known(login) {
            return reject("the login is recorded already");
        }
        match (host.foreign.room(event.at.into(), login), login.more) {
            (Room::Full, 0) | (Room::Count, _) => Ok(()),
            (Room::Full, _) => reject("the others have room for events of their own"),
            (Room::None, _) => reject("the host has too many of them within an hour"),
        }
    }
}
