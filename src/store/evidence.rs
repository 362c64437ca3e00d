//! Evidence for `daypass signer`: events, and the proofs that they are in a ledger that goes on
//! from the checkpoint that it remembers. The root of an earlier ledger.

use super::{Error, Store, ledger};
use crate::ledger::{
    evidence::{Evidence, Recorded},
    tree::{Hash, Plan},
};

impl Store {
    /// The events at these indices, with their proofs, in a ledger of at least `known` events.
    ///
    /// If the ledger is smaller than `known`, the evidence says so: it has no proof.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the database does not answer, and [`Error::Range`] if an
    /// event is not there.
    pub(crate) async fn evidence(&self, known: u64, indices: &[u64]) -> Result<Evidence, Error> {
        let least = indices.iter().map(|index| index.saturating_add(1)).max();
        if self.size() < known.max(least.unwrap_or_default()) {
            self.follow().await?;
        }
        let head = self.head();
        let size = head.size();
        let range = || Error::Range { size };
        let mut plans = Vec::with_capacity(indices.len() + 1);
        for index in indices {
            plans.push(Plan::inclusion(*index, size).ok_or_else(range)?);
        }
        plans.extend(Plan::consistency(known, size));
        let read = self.read(|| async {
            let mut reader = self.reader().await?;
            let proofs = ledger::proofs(&mut reader, &plans).await?;
            Ok((proofs, ledger::leaves(&mut reader, indices).await?))
        });
        let (mut proofs, leaves) = read.await?;
        let consistency = match plans.len() > indices.len() {
            true => proofs.pop().unwrap_or_default(),
            false => Vec::new(),
        };
        if leaves.len() != indices.len() {
            return Err(range());
        }
        let recorded = leaves.into_iter().zip(proofs);
        Ok(Evidence {
            known,
            checkpoint: self.0.signed.note(&head, &self.handovers())?,
            size,
            consistency,
            recorded: recorded
                .map(|((index, leaf), inclusion)| Recorded {
                    index,
                    leaf,
                    inclusion,
                })
                .collect(),
        })
    }

    /// The root over the first `size` leaves.
    ///
    /// # Errors
    /// Returns [`Error::Range`] if there is no such size.
    pub(crate) async fn root_at(&self, size: u64) -> Result<Hash, Error> {
        let range = Error::Range { size: self.size() };
        if size > self.size() {
            return Err(range);
        }
        let read = || async { ledger::stored_frontier(&mut self.reader().await?, size).await };
        let frontier = self.read(read).await?;
        frontier.map(|frontier| frontier.root()).ok_or(range)
    }
}
