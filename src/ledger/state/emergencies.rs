//! Emergencies by registered keys: their signers and their challenge. Pure.

use super::{LedgerState, Rejection};
use crate::ledger::event::{Applicant, Issued};

impl LedgerState {
    /// Checks that an emergency's challenge was not used before and that no signer is locked.
    ///
    /// # Errors
    /// Returns the rejection by the rule that is broken.
    pub(crate) fn admit_emergency(&self, issued: &Issued) -> Result<(), Rejection> {
        self.expect_signers_unlocked(issued)?;
        match &issued.emergency_proof {
            None => Ok(()),
            Some(proof) => self.challenges.expect_fresh(proof),
        }
    }

    /// Checks that neither a signer nor a signer's key is locked.
    pub(super) fn expect_signers_unlocked(&self, issued: &Issued) -> Result<(), Rejection> {
        for one in issued.signatures() {
            let key = one.fingerprint();
            self.expect_unlocked(&Applicant::new(&one.who, key.as_deref(), None))?;
        }
        Ok(())
    }
}
