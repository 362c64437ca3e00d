//! Denials: recorded one by one within a rate, counted beyond it (`ledger::denials`).

use time::OffsetDateTime;

use super::{Error, Store, job::is_recorded};
use crate::ledger::{EventKind, event::Denials};

impl Store {
    /// Records a denial, cut to its bounds, or counts it beyond the rate. The count is recorded by
    /// [`Store::record_denials`].
    ///
    /// # Errors
    /// As [`Store::record`].
    pub(crate) async fn refuse(&self, denial: EventKind, now: OffsetDateTime) -> Result<(), Error> {
        let denial = denial.bounded();
        if is_recorded(&self.0.denials, &denial, now) {
            self.record(denial, now).await?;
        }
        Ok(())
    }

    /// Records the counts of denials whose window is over. To be called every few seconds.
    ///
    /// # Errors
    /// As [`Store::record`]. Counts that were not recorded are kept.
    pub(crate) async fn record_denials(&self, now: OffsetDateTime) -> Result<(), Error> {
        let due = self.0.denials.lock().due(now);
        self.record_counts(due, now).await
    }

    /// Records all counts before the store closes.
    pub(super) async fn record_last_denials(&self) {
        let rest = self.0.denials.lock().rest();
        let Some((last, counts)) = rest else { return };
        if let Err(error) = self.record_counts(counts, last).await {
            tracing::warn!(%error, "the last counts of denials could not be recorded");
        }
    }

    async fn record_counts(&self, counts: Vec<Denials>, now: OffsetDateTime) -> Result<(), Error> {
        let mut counts = counts.into_iter();
        while let Some(count) = counts.next() {
            let what = EventKind::Denials(Box::new(count.clone()));
            if let Err(error) = self.record(what, now).await {
                let lost = std::iter::once(count).chain(counts).collect();
                self.0.denials.lock().give_back(lost, now);
                return Err(error);
            }
        }
        Ok(())
    }
}
