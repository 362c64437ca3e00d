//! A batch of jobs on its way into the ledger.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::{
    Error,
    database::Connection,
    inserts::Row,
    job::{Job, QueuedEvent},
    reports::{self, ReportChange},
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
    /// Changes of the table of reports, in the transaction.
    pub(super) reports: Vec<QueuedReport>,
    /// Bytes of events.
    pub(super) bytes: usize,
    /// The head that an attempt led to. Once it has failed, its commit may have happened.
    pub(super) doubt: Option<Frontier>,
    /// The size of the ledger before that attempt.
    before: u64,
    /// True if the commit of an earlier attempt has happened: the events are known already.
    pub(super) has_arrived: bool,
}

impl Append {
    pub(super) fn new(head: Frontier, waiting: Vec<Job>) -> Self {
        Self {
            pending: Vec::with_capacity(waiting.len()),
            before: head.size(),
            head,
            waiting,
            reports: Vec::new(),
            bytes: 0,
            doubt: None,
            has_arrived: false,
        }
    }

    /// Gives each job its index and makes its row. A job that cannot be an event is refused here
    /// and takes no index. A job that the ledger's state forbids becomes its own refusal, if that
    /// is an event and not only counted.
    pub(super) fn assign(&mut self, judge: &mut Judge, denials: &Mutex<DenialRate>) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.waiting.len());
        self.before = self.head.size();
        for job in std::mem::take(&mut self.waiting) {
            let index = self.head.size();
            let job = match job {
                Job::Report { change, answer } => {
                    self.reports.push(QueuedReport::new(change, answer));
                    continue;
                }
                job @ (Job::Issue { .. }
                | Job::Certify { .. }
                | Job::Record { .. }
                | Job::Follow { .. }) => job,
            };
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
        self.doubt = (!rows.is_empty()).then(|| self.head.clone());
        rows
    }

    /// Puts the jobs of an attempt whose commit did not happen back. A job that composed its event
    /// from a state that is no longer the last one is refused.
    pub(super) fn again(&mut self) {
        self.doubt = None;
        self.bytes = 0;
        let is_same = self.before == self.head.size();
        let error = "the database was away for a moment, and nothing was recorded: try again";
        let error = Error::Unavailable(error.to_owned());
        let reports = std::mem::take(&mut self.reports).into_iter();
        self.waiting.extend(reports.map(QueuedReport::again));
        let pending = std::mem::take(&mut self.pending).into_iter();
        self.waiting
            .extend(pending.filter_map(|queued| queued.again(is_same, &error)));
    }

    pub(super) fn refuse(self, error: &Error) {
        let waiting = self.waiting.into_iter();
        waiting.for_each(|job| job.refuse(error));
        let pending = self.pending.into_iter();
        pending.for_each(|pending| pending.answer.refuse(error.clone()));
        let reports = self.reports.into_iter().map(QueuedReport::again);
        reports.for_each(|report| report.refuse(error));
    }

    /// Changes the table of reports in the transaction that has begun.
    pub(super) async fn write_reports(&mut self, connection: &mut Connection) -> Result<(), Error> {
        for report in &mut self.reports {
            report.has_changed = reports::apply(connection, &report.change).await?;
        }
        Ok(())
    }
}

/// A change of the table of reports that is in the transaction, and the channel of its caller.
pub(super) struct QueuedReport {
    change: ReportChange,
    has_changed: bool,
    answer: oneshot::Sender<Result<bool, Error>>,
}

impl QueuedReport {
    fn new(change: ReportChange, answer: oneshot::Sender<Result<bool, Error>>) -> Self {
        Self {
            change,
            has_changed: false,
            answer,
        }
    }

    /// After COMMIT. Answers the caller.
    pub(super) fn confirm(self) {
        drop(self.answer.send(Ok(self.has_changed)));
    }

    /// The job, for another attempt: a change can be made twice.
    fn again(self) -> Job {
        Job::Report {
            change: self.change,
            answer: self.answer,
        }
    }
}

/// Counts a commit of so many events.
pub(super) fn count(events: usize) {
    metrics::counter!("daypass_ledger_commits_total").increment(1);
    metrics::counter!("daypass_ledger_events_total").increment(events as u64);
}

/// Logs that the head could not be signed.
pub(super) fn warn_unsigned(outcome: Result<String, Error>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "the ledger's head could not be signed");
    }
}
