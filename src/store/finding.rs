//! Finding events by their terms, and reading single ones.

use super::{ENTRIES_LIMIT, Error, Store, ledger, search::Found};
use crate::ledger::search::{Question, Term};

impl Store {
    /// The leaves at these indices, of which at most 1000 are read, in the order asked for.
    pub(crate) async fn leaves(&self, indices: &[u64]) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let indices: Vec<_> = indices
            .iter()
            .take(ENTRIES_LIMIT as usize)
            .copied()
            .collect();
        self.read(|| async { ledger::leaves(&mut self.reader().await?, &indices).await })
            .await
    }

    /// Searches the events below `size` from index `from` down, for `limit` that may fit the
    /// question. What the search index lacks is proposed, so each one is to be checked.
    pub(crate) async fn find(
        &self,
        question: &Question,
        (from, size): (u64, u64),
        limit: usize,
    ) -> Found {
        self.0.search.find(question, (from, size), limit).await
    }

    /// Of these indices, those whose events may have a term of each group.
    pub(crate) async fn having(&self, groups: &[&[Term]], indices: Vec<u64>) -> Vec<u64> {
        self.0.search.having(groups, indices).await
    }

    /// Events that the search index lacks: some while it is made again, few else. None: it has no
    /// file at the moment.
    pub(crate) fn unindexed(&self) -> Option<u64> {
        let indexed = self.0.search.indexed()?;
        Some(self.size().saturating_sub(indexed))
    }
}
