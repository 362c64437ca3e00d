//! Emergencies by registered keys: who signed, over which challenge. Pure.

use super::{LedgerState, Rejection};
use crate::ledger::event::{Applicant, Issued};

impl LedgerState {
    /// An emergency by registered keys answers a fresh challenge, and nobody who signed for it is locked.
    ///
    /// # Errors
    /// The rule that is against it.
    pub fn admit_emergency(&self, issued: &Issued) -> Result<(), Rejection> {
        self.expect_signers_unlocked(issued)?;
        match &issued.emergency_proof {
            None => Ok(()),
            Some(proof) => self.challenges.expect_fresh(proof),
        }
    }

    /// Nobody who signed for it is locked, nor is their key.
    pub(super) fn expect_signers_unlocked(&self, issued: &Issued) -> Result<(), Rejection> {
        for one in issued.signatures() {
            let key = one.fingerprint();
            self.expect_unlocked(&Applicant::new(&one.who, key.as_deref(), None))?;
        }
        Ok(())
    }
}
