//! A shared database that is away for a moment, as during a failover: callers wait for it, and what
//! became of their events is found out when it is back. Reads wait like appends.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Append, Connection, Error, State, Writer, ledger};
use crate::{ledger::tree::Frontier, store::Store};

/// Longest time for which callers wait for a database that is away, from the first failure on. A
/// standby is promoted sooner. Callers that come later are refused at once until it is back.
const WAIT: Duration = Duration::from_secs(6);

/// Time between two attempts.
const RETRY: Duration = Duration::from_millis(200);

impl Writer {
    /// As [`Writer::recover`]. Waits for a database that has been away for a moment only.
    pub(super) async fn recover_in_time(&mut self) -> Result<(), Error> {
        loop {
            match self.recover().await {
                Err(error) if self.may_come_back(&error) => sleep(RETRY).await,
                done => return done,
            }
        }
    }

    /// Makes sure that there is a connection. After a failure it opens the database again, makes
    /// its content durable, and takes over the events of a commit that failed in between: they must
    /// continue the known ledger.
    pub(super) async fn recover(&mut self) -> Result<(), Error> {
        if let Some(error @ Error::Tampered(_)) = &self.state.borrow().fault {
            return Err(error.clone());
        }
        if self.connection.is_some() {
            return Ok(());
        }
        // Boxed, since it is rare and large: it would be copied for each commit.
        match Box::pin(self.reopen()).await {
            Ok(head) => {
                tracing::info!(size = head.size(), "the ledger commits again");
                self.state.send_modify(|state| {
                    state.head = head;
                    state.fault = None;
                });
                Ok(())
            }
            Err(error) => {
                self.state
                    .send_modify(|state| state.fault = Some(error.clone()));
                Err(error)
            }
        }
    }

    /// True if callers are to wait: the database is shared, and has been away for a moment.
    pub(super) fn may_come_back(&self, error: &Error) -> bool {
        let is_recent = self.state.borrow().is_recent(None);
        is_recent && self.announcements.is_some() && matches!(error, Error::Unavailable(_))
    }

    /// True if the commit of an earlier attempt has happened after all. Else its jobs wait for this
    /// attempt. To be called while the ledger is locked: no commit is under way then.
    pub(super) async fn has_arrived(
        connection: &mut Connection,
        append: &mut Append,
    ) -> Result<bool, Error> {
        let Some(doubt) = &append.doubt else {
            return Ok(false);
        };
        let stored = ledger::stored_frontier(connection, doubt.size()).await?;
        append.has_arrived = stored.as_ref() == Some(doubt);
        if !append.has_arrived {
            append.again();
        }
        Ok(append.has_arrived)
    }
}

impl State {
    /// Of a database that answers.
    pub(in crate::store) fn new(head: Frontier) -> Self {
        Self {
            head,
            fault: None,
            away_since: None,
        }
    }

    /// Whether the database has been away for a moment only. `noticed`: when a read failed, of
    /// which the writer may not know yet.
    fn is_recent(&self, noticed: Option<Instant>) -> bool {
        let since = self.away_since.into_iter().chain(noticed).min();
        since.is_some_and(|since| since.elapsed() < WAIT)
    }
}

impl Store {
    /// Reads. Waits for a shared database that has been away for a moment only.
    ///
    /// # Errors
    /// As `attempt`, which is made once or more.
    pub(in crate::store) async fn read<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut noticed = None;
        loop {
            match attempt().await {
                Err(Error::Unavailable(_)) if self.is_shared() && self.is_recent(&mut noticed) => {
                    sleep(RETRY).await;
                }
                done => return done,
            }
        }
    }

    fn is_recent(&self, noticed: &mut Option<Instant>) -> bool {
        let noticed = *noticed.get_or_insert_with(Instant::now);
        self.0.state.borrow().is_recent(Some(noticed))
    }
}
