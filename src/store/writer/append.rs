//! A batch of jobs on its way into the ledger.

use parking_lot::Mutex;

use super::super::{
    Error,
    job::{Job, QueuedEvent},
    ledger::Row,
};
use crate::ledger::{
    denials::DenialRate,
    judge::Judge,
    tree::{Frontier, leaf_hash},
};

/// A batch on its way into the ledger.
pub(super) struct Append {
    /// The head that the batch leads to.
    pub(super) head: Frontier,
    /// Not yet in the transaction.
    pub(super) waiting: Vec<Job>,
    /// In the transaction.
    pub(super) pending: Vec<QueuedEvent>,
    /// Bytes of events.
    pub(super) bytes: usize,
}

impl Append {
    pub(super) fn new(head: Frontier, waiting: Vec<Job>) -> Self {
        Self {
            head,
            pending: Vec::with_capacity(waiting.len()),
            waiting,
            bytes: 0,
        }
    }

    /// Gives each job its index and makes its row. A job that cannot be an event is refused here
    /// and takes no index. A job that the ledger's state forbids becomes its own refusal, if that
    /// is an event and not only counted.
    pub(super) fn assign(&mut self, judge: &mut Judge, denials: &Mutex<DenialRate>) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.waiting.len());
        for job in std::mem::take(&mut self.waiting) {
            let index = self.head.size();
            let Some(mut pending) = job.prepare(index, judge.state(), denials) else {
                continue;
            };
            match pending.event.to_bytes() {
                Ok(event) => {
                    pending.digest = leaf_hash(&event);
                    judge.accept(pending.digest, &pending.event);
                    pending.length = event.len();
                    self.bytes += event.len();
                    let hashes = self.head.push(pending.digest);
                    self.pending.push(pending);
                    rows.push(Row {
                        index,
                        event,
                        hashes,
                    });
                }
                Err(error) => pending.answer.refuse(Error::Unavailable(error.to_string())),
            }
        }
        rows
    }

    pub(super) fn refuse(self, error: &Error) {
        let waiting = self.waiting.into_iter();
        waiting.for_each(|job| job.refuse(error));
        let pending = self.pending.into_iter();
        pending.for_each(|pending| pending.answer.refuse(error.clone()));
    }
}
