//! The single writer with group commit: takes all writes in the queue, appends them in one
//! transaction, commits once, answers each caller. The only place that makes a [`Receipt`], and
//! only after COMMIT.

mod append;
mod away;
mod following;
mod gather;

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    Error,
    database::{Connection, Database},
    inserts::Inserts,
    job::{Answer, Job, QueuedEvent},
    ledger,
    lock::Lock,
    postgres::Announcements,
    recent::{Committed, Recent},
    replay,
    signed::Signed,
    snapshots::Snapshots,
    sqlite::Flush,
};
use crate::ledger::{Receipt, denials::DenialRate, judge::Judge, tree::Frontier};
use append::{Append, QueuedReport, count, warn_unsigned};

/// The most writes that share one commit.
const BATCH: usize = 256;

/// The idle time after which the writer moves the log into the database and signs the head.
const QUIET: Duration = Duration::from_millis(500);

/// The idle time after which the writer looks for the appends of other replicas, if none was
/// announced. It bounds the delay by a lost announcement, and what an idle server costs.
const LOOK: Duration = Duration::from_secs(1);

/// The head is signed this often even if the writer is never idle. Rows that are removed from the
/// end of the database are noticed only back to the last signed head, so this bounds what could go
/// unnoticed.
const SIGN_EVERY: Duration = Duration::from_secs(1);

/// The log is moved after so many bytes of events even under load, because it must not grow without
/// bound.
const LOG_LIMIT: usize = 32 * 1024 * 1024;

/// The judge after the last commit, whose state readers see.
pub(super) type Shared = Arc<RwLock<Judge>>;

/// State that the writer publishes to the rest of the store.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The committed head.
    pub(super) head: Frontier,
    /// The reason why appends fail now, if they do.
    pub(super) fault: Option<Error>,
    /// The first failure since the last success.
    pub(super) away_since: Option<Instant>,
}

/// The writer. It owns the writing connection, the head and the lock.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) lock: Lock,
    pub(super) signed: Arc<Signed>,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) state: watch::Sender<State>,
    /// The judge after the last event that was given an index.
    pub(super) judge: Judge,
    pub(super) shared: Shared,
    /// What the search index has not yet taken.
    pub(super) recent: Recent,
    /// The rate of recorded denials. Denials beyond it are counted.
    pub(super) denials: Arc<Mutex<DenialRate>>,
    /// None after a failure, until [`Writer::recover`] has read the head again.
    pub(super) connection: Option<Connection>,
    /// The appends of other replicas; none if there are no replicas.
    pub(super) announcements: Option<Announcements>,
    pub(super) inserts: Inserts,
    pub(super) snapshots: Snapshots,
    /// Bytes of events since the log was last moved.
    pub(super) unflushed: usize,
    /// The last time at which the head was signed.
    pub(super) signed_at: Instant,
}

impl Writer {
    /// Runs until every sender is dropped, then tidies up and releases the lock.
    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            match self.receive(&mut batch).await {
                Some(0) => break,
                Some(_) => {
                    gather::gather(&mut self.jobs, &mut batch, gather::BOUNDS).await;
                    self.take(std::mem::take(&mut batch)).await;
                }
                None => self.rest().await,
            }
        }
        self.finish().await;
    }

    /// Waits for jobs. `Some(0)` is the end; none means that the writer is idle and has something
    /// to tidy up.
    async fn receive(&mut self, batch: &mut Vec<Job>) -> Option<usize> {
        let jobs = self.jobs.recv_many(batch, BATCH);
        if let Some(announcements) = &self.announcements {
            return tokio::select! {
                biased;
                count = jobs => Some(count),
                () = announcements.heard() => None,
                // An announcement may be lost.
                () = sleep(LOOK) => None,
            };
        }
        if self.unflushed == 0 && self.connection.is_some() {
            return Some(jobs.await);
        }
        timeout(QUIET, jobs).await.ok()
    }

    async fn take(&mut self, batch: Vec<Job>) {
        if let Err(error) = self.recover_in_time().await {
            batch.into_iter().for_each(|job| job.refuse(&error));
            return;
        }
        self.commit(batch).await;
        self.keep_snapshot();
        if self.unflushed > LOG_LIMIT {
            self.flush(Flush::Some).await;
        }
        self.keep_signed();
    }

    /// Commits the batch and answers it. After an error the commit may or may not have happened:
    /// the head is read again before the next attempt. Callers get no receipt, unless a shared
    /// database is back within a moment.
    async fn commit(&mut self, batch: Vec<Job>) {
        let head = self.state.borrow().head.clone();
        let mut append = Append::new(head, batch);
        while let Err(error) = self.append(&mut append).await {
            self.fail(&error).await;
            let back = match self.may_come_back(&error) {
                true => self.recover_in_time().await,
                false => Err(error),
            };
            if let Err(error) = back {
                append.refuse(&error);
                return;
            }
        }
        self.unflushed += append.bytes;
        if !append.has_arrived {
            self.share(&append.pending);
        }
        self.state.send_modify(|state| {
            state.head = append.head;
            state.away_since = None;
        });
        count(append.pending.len());
        append.reports.drain(..).for_each(QueuedReport::confirm);
        let pending = append.pending.into_iter();
        self.recent.put(pending.map(QueuedEvent::confirm));
    }

    async fn append_to(
        &mut self,
        connection: &mut Connection,
        append: &mut Append,
    ) -> Result<(), Error> {
        let locked = connection.begin_locked().await?;
        let is_begun = locked.is_some();
        if let Some(end) = locked {
            Box::pin(self.catch_up_locked(connection, end, append)).await?;
            if Self::has_arrived(connection, append).await? {
                return connection.commit_again().await;
            }
            self.fill_up(append);
        }
        let before = (!is_begun).then(|| append.head.clone());
        let rows = append.assign(&mut self.judge, &self.denials);
        if rows.is_empty() {
            if let Some(head) = &before {
                ledger::begin_at(connection, head).await?;
            }
            append.write_reports(connection).await?;
            return connection.end_unchanged().await;
        }
        let note = Some(self.signed.sign_head(&append.head, self.judge.state())?);
        let at = before.as_ref();
        self.inserts.append(connection, at, rows, note).await?;
        append.write_reports(connection).await?;
        #[cfg(feature = "deliberate-bugs")]
        if crate::deliberate::signs_before_commit() {
            return self.confirm_and_commit(connection, append).await;
        }
        connection.commit().await
    }

    /// Takes the jobs that came while another replica appended, so that they need no commit of
    /// their own.
    fn fill_up(&mut self, append: &mut Append) {
        while append.waiting.len() < BATCH
            && let Ok(job) = self.jobs.try_recv()
        {
            append.waiting.push(job);
        }
    }

    /// The deliberate bug: receipts before COMMIT. The state is right again after a failure.
    #[cfg(feature = "deliberate-bugs")]
    async fn confirm_and_commit(
        &self,
        connection: &mut Connection,
        append: &mut Append,
    ) -> Result<(), Error> {
        let before = self.committed();
        self.share(&append.pending);
        append.pending.drain(..).for_each(|it| drop(it.confirm()));
        let committed = connection.commit().await;
        if committed.is_err() {
            *self.shared.write() = before;
        }
        committed
    }

    /// Lets readers see what the committed events changed.
    fn share(&self, committed: &[QueuedEvent]) {
        let mut shared = self.shared.write();
        for pending in committed {
            shared.accept(pending.digest, &pending.event);
        }
    }

    async fn fail(&mut self, error: &Error) {
        match error {
            Error::Tampered(_) => tracing::error!(
                %error,
                "nothing is issued: stop every server of this ledger, keep a copy of the database as evidence, and put \
                 back the newest good one"
            ),
            _ => {
                tracing::error!(%error, "the ledger cannot commit; nothing is issued until it can")
            }
        }
        if let Some(connection) = self.connection.take() {
            connection.close_hard().await;
        }
        self.state.send_modify(|state| {
            state.fault = Some(error.clone());
            state.away_since.get_or_insert_with(Instant::now);
        });
    }

    async fn reopen(&mut self) -> Result<Frontier, Error> {
        let known = self.state.borrow().head.clone();
        let mut connection = self.database.open_writer().await?;
        let (stored, head) = self.known_and_head(&mut connection, known.size()).await?;
        if stored.as_ref() != Some(&known) {
            return Err(Error::Tampered(format!(
                "after an error the database has lost some of the {} events that it had committed. \
                 Check the disk, then put back the newest copy of the database",
                known.size()
            )));
        }
        let signed = replay::Signed {
            checkpoint: Some(self.signed.checkpoint_of(&known)),
            head,
        };
        let judge = self.committed();
        let replayed = replay::replay(&mut connection, known, judge, &signed, &|_| ()).await?;
        if let Some(event) = replayed.unsigned.first() {
            return Err(event.tampered());
        }
        let state = replayed.judge.state();
        self.signed.expect_keys(state, &signed.heads())?;
        connection.end_reading().await?;
        *self.shared.write() = replayed.judge.clone();
        self.judge = replayed.judge;
        self.connection = Some(connection);
        Ok(replayed.head)
    }

    fn committed(&self) -> Judge {
        self.shared.read().clone()
    }

    /// Does the work that waits until the writer is idle.
    async fn rest(&mut self) {
        if self.recover().await.is_err() {
            return;
        }
        if self.announcements.is_some() {
            self.follow().await;
            self.keep_snapshot();
            self.keep_signed();
        } else {
            self.flush(Flush::Some).await;
            self.sign().await;
        }
    }

    async fn flush(&mut self, how: Flush) {
        self.unflushed = 0;
        if let Some(connection) = &mut self.connection
            && let Err(error) = connection.flush(how).await
        {
            self.fail(&error).await;
        }
    }

    /// As [`Writer::sign`], beside the commits of a busy ledger.
    fn keep_signed(&mut self) {
        if self.signed_at.elapsed() < SIGN_EVERY {
            return;
        }
        self.signed_at = Instant::now();
        let (signed, head) = (self.signed.clone(), self.signable());
        tokio::spawn(async move { warn_unsigned(signed.sign(|| head.clone()).await) });
    }

    /// Writes a snapshot if it is time for it. After a failure the judge may be ahead of the head.
    fn keep_snapshot(&mut self) {
        if self.connection.is_some() {
            let head = self.state.borrow().head.clone();
            self.snapshots.keep(&head, &self.judge);
        }
    }

    /// Keeps the signed head near the real one, so that an old backup is noticed even if no client
    /// asked for a checkpoint.
    async fn sign(&self) {
        warn_unsigned(self.signed.sign(|| self.signable()).await);
    }

    async fn finish(mut self) {
        self.sign().await;
        let head = self.state.borrow().head.clone();
        let committed = self.committed();
        self.snapshots.finish(&head, &committed).await;
        self.flush(Flush::Whole).await;
        if let Some(connection) = self.connection.take() {
            connection.close().await.ok();
        }
        self.state.send_modify(|state| state.fault = Some(closed()));
        drop(self.lock);
    }
}

/// The error of a closed store.
pub(super) fn closed() -> Error {
    Error::Unavailable("the store is closed".to_owned())
}

impl QueuedEvent {
    /// After COMMIT. Answers the caller.
    fn confirm(self) -> Committed {
        match self.answer {
            Answer::Pass(draft, tbs_hash, answer) => {
                let receipt = Receipt::committed(self.event.index, tbs_hash);
                drop(answer.send(Ok((draft, receipt))));
            }
            Answer::Certificate(draft, tbs_hash, answer) => {
                let receipt = Receipt::committed(self.event.index, tbs_hash);
                drop(answer.send(Ok((draft, receipt))));
            }
            Answer::Event(answer) => drop(answer.send(Ok(self.event.clone()))),
            Answer::Rejection(rejection, answer) => answer.refuse(Error::Rejection(rejection)),
        }
        Committed {
            event: self.event,
            digest: self.digest,
            length: self.length,
        }
    }
}
