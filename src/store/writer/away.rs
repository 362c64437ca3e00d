//! A shared database that is away for a moment, as during a failover: callers wait for it, and what
//! became of their events is found out when it is back.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Append, Connection, Error, Writer, ledger};

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

    /// True if callers are to wait: the database is shared, and has been away for a moment.
    pub(super) fn may_come_back(&self, error: &Error) -> bool {
        let since = self.away_since.filter(|_| self.announcements.is_some());
        let is_recent = since.is_some_and(|since| since.elapsed() < WAIT);
        is_recent && matches!(error, Error::Unavailable(_))
    }

    /// Notes that the database failed.
    pub(super) fn is_away(&mut self) {
        self.away_since.get_or_insert_with(Instant::now);
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
