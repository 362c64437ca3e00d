//! Durable state. The only writer of the ledger.
pub mod ledger;
pub mod writer;

use crate::{
    ca::Draft,
    ledger::{Receipt, What, checkpoint::Signer, event::Issued, tree::Hash},
};
use std::path::Path;
use time::OffsetDateTime;

/// The store over one database. Cheap to clone.
#[derive(Clone)]
pub struct Store;

impl Store {
    /// Opens `folder/ledger.db` (SQLite), takes the lock against a second daemon, checks the whole ledger against what
    /// was last signed (`folder/checkpoint`), starts the writer and appends `started` as its first event.
    pub async fn open(
        _folder: &Path,
        _signer: Signer,
        _started: What,
        _now: OffsetDateTime,
    ) -> Result<Self, Error> {
        todo!()
    }
    /// Records the pass that `draft` will be: durable when it returns.
    pub async fn issue(
        &self,
        _draft: Draft,
        _issued: Issued,
        _now: OffsetDateTime,
    ) -> Result<(Draft, Receipt), Error> {
        todo!()
    }
    /// Records any other event; its index.
    pub async fn record(&self, _what: What, _now: OffsetDateTime) -> Result<u64, Error> {
        todo!()
    }
    /// The current head, signed; written to disk before it is shown.
    pub async fn checkpoint(&self) -> Result<String, Error> {
        todo!()
    }
    pub fn size(&self) -> u64 {
        todo!()
    }
    /// Leaves [from, from+limit) in order: (index, stored bytes).
    pub async fn entries(&self, _from: u64, _limit: u32) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        todo!()
    }
    pub async fn inclusion_proof(&self, _index: u64, _size: u64) -> Result<Vec<Hash>, Error> {
        todo!()
    }
    pub async fn consistency_proof(&self, _old: u64, _new: u64) -> Result<Vec<Hash>, Error> {
        todo!()
    }
    pub fn verifier(&self) -> crate::ledger::checkpoint::Verifier {
        todo!()
    }
    /// Whether appends can work now (readiness).
    pub fn is_ready(&self) -> bool {
        todo!()
    }
    /// Commits what waits, checkpoints the WAL, releases the lock.
    pub async fn close(&self) {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("database is unavailable: {0}")]
    Unavailable(String),
    #[error("{0} is in use by another daypass daemon")]
    Locked(String),
    #[error("ledger is not the one that was last signed: {0}")]
    Tampered(String),
    #[error("no such entry: the ledger's size is {size}")]
    Range { size: u64 },
}
