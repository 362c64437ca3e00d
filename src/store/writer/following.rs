//! Follows the events that other replicas append to the same database. The writer is the only one
//! that moves the judge, so their events pass through it too.

use std::time::Duration;

use super::{Append, Connection, Error, Writer, closed, ledger, replay};
use crate::{
    ledger::{handover::Handover, keyring::SignedHead, tree::Frontier},
    store::postgres::{self, End},
};

/// The most events that are taken over in one step, because they are held in memory until the
/// signed head after them is seen. A replica that is further behind reads as after a failure.
const MOST: u64 = 4096;

/// Time for the head, which is one row. A connection that the network forgot ends without a word,
/// and callers that ask for a pass meanwhile wait.
const ANSWER: Duration = Duration::from_secs(3);

impl Writer {
    /// Takes the connection for one append, and the time that it may need.
    pub(super) async fn append(&mut self, append: &mut Append) -> Result<(), Error> {
        let mut connection = self.connection.take().ok_or_else(closed)?;
        let is_shared = connection.is_shared();
        let append = Box::pin(self.append_to(&mut connection, append));
        let outcome = bounded(is_shared, append).await;
        self.connection = Some(connection);
        outcome
    }

    /// The committed head, and the handovers of the ledger's key.
    pub(super) fn signable(&self) -> (Frontier, Vec<Handover>) {
        let head = self.state.borrow().head.clone();
        let handovers = self.shared.read().state().handovers().to_vec();
        (head, handovers)
    }

    /// Begins to read after a failure: the edge of the first `known` leaves, and the signed head.
    pub(super) async fn known_and_head(
        &self,
        connection: &mut Connection,
        known: u64,
    ) -> Result<(Option<Frontier>, Option<SignedHead>), Error> {
        let is_shared = connection.is_shared();
        let read = async {
            connection.begin_reading().await?;
            let stored = ledger::stored_frontier(connection, known).await?;
            let head = ledger::signed_head(connection, &self.signed.verifiers()).await?;
            Ok((stored, head))
        };
        bounded(is_shared, read).await
    }

    /// Looks for events of other replicas without appending. After an error nothing is issued until
    /// the database was read again.
    pub(super) async fn follow(&mut self) {
        let Some(mut connection) = self.connection.take_if(|connection| connection.is_shared())
        else {
            return;
        };
        let looked = postgres::within(postgres::APPEND, self.look(&mut connection)).await;
        self.connection = Some(connection);
        match looked {
            Ok(()) => drop(
                self.state
                    .send_if_modified(|state| state.away_since.take().is_some()),
            ),
            Err(error) => self.fail(&error).await,
        }
    }

    async fn look(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let verifiers = self.signed.verifiers();
        let head = postgres::within(ANSWER, ledger::signed_head(connection, &verifiers)).await?;
        let known = self.state.borrow().head.clone();
        if head.is_some_and(|head| head.size == known.size() && head.root == known.root()) {
            return Ok(());
        }
        connection.begin_reading().await?;
        let head = ledger::signed_head(connection, &self.signed.verifiers()).await?;
        self.catch_up(connection, head).await?;
        connection.end_reading().await
    }

    /// [`Writer::catch_up`] in an append: no other replica appends until it ends. The ledger must
    /// end in the head that its note signs.
    pub(super) async fn catch_up_locked(
        &mut self,
        connection: &mut Connection,
        end: End,
        append: &mut Append,
    ) -> Result<(), Error> {
        let head = ledger::verified(end.note, &self.signed.verifiers())?;
        self.catch_up(connection, head).await?;
        append.head = self.state.borrow().head.clone();
        ledger::expect_last(end.last.as_ref(), &append.head)
    }

    /// Verifies the events up to `head` that other replicas appended, as `ledger verify` does, and
    /// takes them over. To be called in a transaction that reads one state of the database.
    ///
    /// # Errors
    /// Returns [`Error::Tampered`] if the database has a shorter or another ledger than this
    /// replica knew, or an event that no replica with this ledger's key has committed.
    async fn catch_up(
        &mut self,
        connection: &mut Connection,
        head: Option<SignedHead>,
    ) -> Result<(), Error> {
        let known = self.state.borrow().head.clone();
        match head {
            None if known.size() == 0 => Ok(()),
            Some(head) if head.size == known.size() && head.root == known.root() => Ok(()),
            Some(head) if head.size > known.size() => self.take_over(connection, known, head).await,
            Some(_) | None => Err(Error::Tampered(format!(
                "the database has {} events and another head than the {} events that this replica knew. After a failover, \
                 a standby that lacks acknowledged commits looks like this",
                head.map_or(0, |head| head.size),
                known.size()
            ))),
        }
    }

    async fn take_over(
        &mut self,
        connection: &mut Connection,
        known: Frontier,
        head: SignedHead,
    ) -> Result<(), Error> {
        let behind = head.size - known.size();
        if behind > MOST {
            return Err(Error::Unavailable(format!(
                "{behind} events of other replicas are still to be read"
            )));
        }
        let signed = replay::Signed {
            checkpoint: Some(self.signed.checkpoint_of(&known)),
            head: Some(head),
        };
        // After an error the judge is made again from the shared one.
        let judge = std::mem::take(&mut self.judge);
        let replayed = replay::follow(connection, known, judge, &signed).await?;
        if let Some(event) = replayed.unsigned.first() {
            return Err(event.tampered());
        }
        let state = replayed.judge.state();
        self.signed.expect_keys(state, &signed.heads())?;
        self.judge = replayed.judge;
        let mut shared = self.shared.write();
        for (digest, event) in &replayed.events {
            shared.accept(*digest, event);
        }
        drop(shared);
        self.state.send_modify(|state| state.head = replayed.head);
        Ok(())
    }
}

/// Gives the work on a database over the network a deadline.
async fn bounded<T>(
    is_shared: bool,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match is_shared {
        true => postgres::within(postgres::APPEND, work).await,
        false => work.await,
    }
}
