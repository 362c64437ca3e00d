//! Reads the ledger at the start and after a failure. Checks it against its own hashes, against the
//! signed head, and from the last checkpoint on event by event, as `ledger verify` does.

use std::time::Duration;

use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::{Error, database::Connection, ledger};
use crate::ledger::{
    Event,
    judge::Judge,
    keyring::SignedHead,
    tree::{Frontier, Hash, leaf_hash},
};

/// The most events without a signed head that a start accepts. Each is named in the log and in
/// `started`.
const MOST_UNSIGNED: usize = 32;

/// The number of events between two reports of progress.
const STRIDE: u64 = 4096;

/// Longest wait for the next event.
const STALL: Duration = Duration::from_secs(60);

/// The signed heads that a ledger must agree with.
#[derive(Clone, Debug, Default)]
pub(super) struct Signed {
    /// The newest checkpoint of the file.
    pub(super) checkpoint: Option<SignedHead>,
    /// The head that the last commit signed.
    pub(super) head: Option<SignedHead>,
}

impl Signed {
    /// Both, for [`super::signed::Signed::expect_keys`].
    pub(super) fn heads(&self) -> [Option<&SignedHead>; 2] {
        [self.checkpoint.as_ref(), self.head.as_ref()]
    }
}

/// The result of reading.
#[derive(Debug)]
pub(super) struct Replayed {
    /// The head that all events lead to.
    pub(super) head: Frontier,
    /// The judge after all events.
    pub(super) judge: Judge,
    /// The number of events that were judged.
    pub(super) judged: u64,
    /// The events after the signed head, and their kinds. All are inert.
    pub(super) unsigned: Vec<Unsigned>,
    /// The events and their leaf hashes, if they were asked for ([`follow`]).
    pub(super) events: Vec<(Hash, Event)>,
}

/// An event that no signed head covers: no daemon with this ledger's key has committed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsigned {
    pub(super) index: u64,
    pub(super) kind: &'static str,
}

impl Unsigned {
    /// The refusal of a ledger with this event.
    pub(super) fn tampered(&self) -> Error {
        let Self { index, kind } = self;
        Error::Tampered(format!(
            "event {index} (`{kind}`) is not in the head that the last commit signed: no daemon with this ledger's key \
             wrote it"
        ))
    }
}

/// Reads every leaf after `head`, which `judge` knows, and returns the result. Leaves that the
/// checkpoint covers are hashed and applied. All later leaves are judged. Those after the signed
/// head must be inert.
///
/// # Errors
/// Returns [`Error::Tampered`] if a leaf is missing, changed or impossible, or if the ledger is not
/// the one that was signed.
pub(super) async fn replay(
    connection: &mut Connection,
    head: Frontier,
    judge: Judge,
    signed: &Signed,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Replayed, Error> {
    walk(connection, Walk::new(head, judge, signed), progress).await
}

/// [`replay`] of a few events, which it returns too.
///
/// # Errors
/// As [`replay`].
pub(super) async fn follow(
    connection: &mut Connection,
    head: Frontier,
    judge: Judge,
    signed: &Signed,
) -> Result<Replayed, Error> {
    let keeping = Walk {
        events: Some(Vec::new()),
        ..Walk::new(head, judge, signed)
    };
    walk(connection, keeping, &|_| ()).await
}

async fn walk(
    connection: &mut Connection,
    mut walk: Walk<'_>,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> Result<Replayed, Error> {
    walk.expect_signed()?;
    let mut rows = ledger::rows(connection, walk.head.size());
    loop {
        let next = timeout(STALL, rows.try_next()).await;
        let stalled = |_| Error::Unavailable("the database sends no more events".to_owned());
        let Some((at, event, hashes)) = next.map_err(stalled)?? else {
            break;
        };
        walk.take(at, &event, &hashes)?;
        if walk.head.size().is_multiple_of(STRIDE) {
            progress(walk.head.size());
        }
    }
    walk.finish()
}

struct Walk<'a> {
    signed: &'a Signed,
    head: Frontier,
    judge: Judge,
    /// The size that the checkpoint covers.
    covered: u64,
    judged: u64,
    unsigned: Vec<Unsigned>,
    /// Some if the events are to be kept.
    events: Option<Vec<(Hash, Event)>>,
}

impl<'a> Walk<'a> {
    fn new(head: Frontier, judge: Judge, signed: &'a Signed) -> Self {
        let checkpoint = signed.checkpoint.as_ref();
        Self {
            signed,
            head,
            judge,
            covered: checkpoint.map_or(0, |checkpoint| checkpoint.size),
            judged: 0,
            unsigned: Vec::new(),
            events: None,
        }
    }

    fn take(&mut self, at: u64, leaf: &[u8], hashes: &[u8]) -> Result<(), Error> {
        if at != self.head.size() {
            return Err(Error::Tampered(format!(
                "event {} is missing",
                self.head.size()
            )));
        }
        let digest = leaf_hash(leaf);
        if self.head.push(digest).concat() != hashes {
            return Err(Error::Tampered(format!(
                "event {at} was changed after it was written"
            )));
        }
        self.expect_signed()?;
        if at < self.covered {
            let taken = self.judge.take_covered(leaf, digest);
            return taken.map_err(|fault| Error::Tampered(format!("event {at}: {fault}")));
        }
        self.judge(at, leaf, digest)
    }

    fn judge(&mut self, at: u64, leaf: &[u8], digest: Hash) -> Result<(), Error> {
        let event = self
            .judge
            .take(leaf)
            .map_err(|fault| Error::Tampered(format!("event {at} {fault}")))?;
        self.judged += 1;
        let (kind, is_inert) = (event.what.kind(), event.what.is_inert());
        if let Some(events) = &mut self.events {
            events.push((digest, event));
        }
        let signed = self.signed.head.as_ref();
        if signed.is_none_or(|signed| at < signed.size) {
            return Ok(());
        }
        let unsigned = Unsigned { index: at, kind };
        if !is_inert {
            return Err(unsigned.tampered());
        }
        if self.unsigned.len() >= MOST_UNSIGNED {
            return Err(Error::Tampered(format!(
                "more than {MOST_UNSIGNED} events are not in the head that the last commit signed"
            )));
        }
        self.unsigned.push(unsigned);
        Ok(())
    }

    /// Compares the root at each size that was signed.
    fn expect_signed(&self) -> Result<(), Error> {
        let size = self.head.size();
        let marks = [&self.signed.checkpoint, &self.signed.head];
        let mut here = marks.into_iter().flatten().filter(|mark| mark.size == size);
        match here.any(|mark| mark.root != self.head.root()) {
            false => Ok(()),
            true => Err(Error::Tampered(format!(
                "its first {size} events are not the ones that were signed"
            ))),
        }
    }

    fn finish(self) -> Result<Replayed, Error> {
        let size = self.head.size();
        let marks = [&self.signed.checkpoint, &self.signed.head];
        let longest = marks.into_iter().flatten().map(|mark| mark.size).max();
        if let Some(signed) = longest.filter(|signed| *signed > size) {
            return Err(Error::Tampered(format!(
                "it has {size} events, and {signed} were signed"
            )));
        }
        self.expect_a_head()?;
        Ok(Replayed {
            head: self.head,
            judge: self.judge,
            judged: self.judged,
            unsigned: self.unsigned,
            events: self.events.unwrap_or_default(),
        })
    }

    /// Only a database of a version that signed no heads has none. No event may follow its
    /// checkpoint then.
    fn expect_a_head(&self) -> Result<(), Error> {
        let both = self
            .signed
            .checkpoint
            .as_ref()
            .zip(self.signed.head.as_ref());
        let is_older = both.is_some_and(|(checkpoint, head)| head.size < checkpoint.size);
        if is_older {
            return Err(Error::Tampered(
                "the head that the last commit signed is older than the file `checkpoint`"
                    .to_owned(),
            ));
        }
        match self.signed.head {
            None if self.judge.signs_heads() => Err(Error::Tampered(
                "the head that the last commit signed is missing (table `head`)".to_owned(),
            )),
            None if self.judged > 0 => Err(Error::Tampered(ledger::unsigned_tail(self.judged))),
            None | Some(_) => Ok(()),
        }
    }
}
