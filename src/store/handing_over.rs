//! Hands the ledger over to its next key.

use time::OffsetDateTime;

use super::{Error, Store};
use crate::ledger::{
    EventKind,
    checkpoint::Verifier,
    event::{Actor, LedgerKeyChanged},
    handover::{Handover, PublishedKeys},
    order::Proof,
};

impl Store {
    /// The handovers of the ledger's key, in their order.
    pub fn handovers(&self) -> Vec<Handover> {
        self.state(|state| state.handovers().to_vec())
    }

    /// The present key and the handovers that led to it, read at once: of two reads, the second
    /// could be of after a handover.
    pub(crate) fn published_keys(&self) -> PublishedKeys {
        let handovers = self.handovers();
        PublishedKeys {
            key: self.0.signed.verifier(&handovers),
            handovers,
        }
    }

    /// Records the handover to `new`, signed by both keys, by an administrator's order. Every head
    /// from this event on is signed by the new key. Returns the event's index.
    ///
    /// # Errors
    /// As [`Store::record`]; returns [`Error::Rejection`] if the key is not configured here, or
    /// cannot be the next one.
    pub async fn hand_over(
        &self,
        new: Verifier,
        (who, reason, proof): (Actor, Option<String>, Proof),
        now: OffsetDateTime,
    ) -> Result<u64, Error> {
        let signed = self.0.signed.clone();
        let compose = move |index, state: &_| {
            let handover = signed.hand_over(state, index, &new)?;
            Ok(EventKind::LedgerKeyChanged(Box::new(LedgerKeyChanged {
                who,
                handover,
                reason,
                proof: Some(proof),
            })))
        };
        Ok(self.compose_at(compose, now).await?.index)
    }

    /// The sentence about the key that this server lacks, if the ledger was handed over to one.
    pub(crate) fn lacking_key(&self) -> Option<String> {
        match &self.0.state.borrow().fault {
            Some(error @ Error::Lacking(_)) => Some(error.to_string()),
            Some(_) | None => None,
        }
    }

    /// Whether the database was found to have another history than the one that this server knows.
    pub(crate) fn is_changed(&self) -> bool {
        matches!(self.0.state.borrow().fault, Some(Error::Tampered(_)))
    }

    /// Takes over what other servers of this ledger appended, if one of them may have handed it
    /// over to the next key by now.
    pub(crate) async fn follow_handover(&self) {
        if self.0.signed.expects_handover(&self.handovers()) {
            // An older answer is better than none while the database is away.
            self.follow().await.ok();
        }
    }
}
