//! Proofs about the tree, from the hashes that are stored beside the leaves.

use super::{Error, Store, ledger};
use crate::ledger::tree::{Hash, Plan};

impl Store {
    /// The audit path of the leaf at `index` in the tree of the first `size` leaves.
    ///
    /// # Errors
    /// Returns [`Error::Range`] if there is no such leaf or no such size.
    pub(crate) async fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, Error> {
        self.prove(size, Plan::inclusion(index, size)).await
    }

    /// The proof that the first `old` leaves are the beginning of the first `new`.
    ///
    /// # Errors
    /// [`Error::Range`] if `old` is over `new` or `new` over the size.
    pub(crate) async fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, Error> {
        self.prove(new, Plan::consistency(old, new)).await
    }

    async fn prove(&self, wanted: u64, plan: Option<Plan>) -> Result<Vec<Hash>, Error> {
        let size = self.size();
        let plan = plan
            .filter(|_| wanted <= size)
            .ok_or(Error::Range { size })?;
        self.read(|| async { ledger::proof(&mut self.reader().await?, plan.clone()).await })
            .await
    }
}
