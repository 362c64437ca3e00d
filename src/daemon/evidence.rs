//! The ledger's proofs for a signer, from the store.

use crate::{
    ca::key::Away,
    keepers::signer::{Ledger, Proving},
    ledger::handover::Handover,
    store::Store,
};

/// The store as a signer's [`Ledger`].
pub(super) struct Evidence(pub(super) Store);

impl Ledger for Evidence {
    fn evidence<'a>(&'a self, known: u64, indices: &'a [u64]) -> Proving<'a> {
        Box::pin(async move {
            let evidence = self.0.evidence(known, indices).await;
            evidence.map_err(|error| Away(format!("no proofs for the signer: {error}")))
        })
    }

    fn handovers(&self) -> Vec<Handover> {
        self.0.handovers()
    }
}
