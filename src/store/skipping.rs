//! Fills a restored ledger with `skipped` events.

use time::OffsetDateTime;
use tokio::task::JoinSet;

use super::{Error, QUEUE, Store};
use crate::ledger::EventKind;

impl Store {
    /// Fills a restored ledger up to the size that an administrator named, as far as it is not yet.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the disk fails. The next start goes on.
    pub(crate) async fn skip(&self, now: OffsetDateTime) -> Result<(), Error> {
        loop {
            let left = self.state(|state| state.to_skip(self.size()));
            let mut batch = JoinSet::new();
            for _ in 0..left.min(QUEUE as u64) {
                let store = self.clone();
                batch.spawn(async move { store.record(EventKind::Skipped, now).await });
            }
            if batch.is_empty() {
                return Ok(());
            }
            for skipped in batch.join_all().await {
                match skipped {
                    // Other events took some of the places.
                    Ok(_) | Err(Error::Rejection(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}
