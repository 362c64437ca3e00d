//! Passes on behalf of a user: who must not be locked, and that a consent counts once and in time.
//! Pure.

use super::{LedgerState, Rejection, Rule};
use crate::{
    ledger::{
        Event,
        approval::fingerprint,
        consent,
        event::{Applicant, Issued},
    },
    unix_seconds::UnixSeconds,
};

impl LedgerState {
    /// Checks that neither the asking identity nor the user's key is locked, that the consent is
    /// not void, and that it has given no pass yet. The user, the subject key and the role are
    /// those of every pass.
    pub(super) fn admit_on_behalf(&self, event: &Event, issued: &Issued) -> Result<(), Rejection> {
        let Some(on_behalf) = &issued.on_behalf else {
            return Ok(());
        };
        self.expect_unlocked(&Applicant::new(&on_behalf.by, None, None))?;
        let key = fingerprint(&on_behalf.key);
        self.expect_unlocked(&Applicant::new(&issued.who, key.as_deref(), None))?;
        // The clock may have been put back: the agreed time never says more than has passed.
        let at = UnixSeconds::from(event.at).max(self.agreed.seconds());
        if on_behalf.until < at {
            return Err(Rejection::new(
                Rule::ConsentExpired,
                "the user's consent is void by now: let the user sign a new one",
            ));
        }
        match consent::id(issued) {
            Some(id) => self.challenges.expect_unused_consent(&id),
            None => Err(Rejection::new(
                Rule::ConsentExpired,
                "the user's consent cannot be read: let the user sign a new one",
            )),
        }
    }
}
