//! Documents that were published last for hosts, kept until they change.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use super::error::Error;
use crate::{
    ca::{Ca, document::HostDocument},
    ledger::{EventKind, LedgerState},
    unix_seconds::UnixSeconds,
};

/// A file for hosts.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    /// Its bytes. All callers share one copy.
    pub body: Bytes,
    /// The SSHSIG blob over them by the active CA key.
    pub signature: Vec<u8>,
    /// More of them, by keys that retire: a host that is behind trusts no other.
    pub more_signatures: Vec<Vec<u8>>,
    /// Hex SHA-256 of the bytes.
    pub digest: String,
}

impl Document {
    /// The document with the signature of the key that signs.
    ///
    /// # Errors
    /// Returns [`Error::Ca`] if the key does not sign.
    pub(super) async fn signed(
        ca: &Ca,
        document: HostDocument,
        body: Vec<u8>,
    ) -> Result<Self, Error> {
        Ok(Self {
            signature: ca.sign_document(document, &body).await?,
            more_signatures: Vec::new(),
            digest: base16ct::lower::encode_string(&Sha256::digest(&body)),
            body: body.into(),
        })
    }
}

/// The revoked passes, for sshd's `RevokedKeys`.
#[derive(Clone, Debug)]
pub(crate) struct Revocations {
    /// The list, never empty bytes.
    pub document: Document,
    /// Grows with every change of the list.
    pub version: u64,
    /// The index of the order about a CA key after which it was signed; 0 before the first.
    pub keys: u64,
    /// When its content was made.
    pub made_at: UnixSeconds,
}

/// The file of CA keys.
#[derive(Clone, Debug)]
pub(super) struct KeyList {
    /// Grows with every change of the keys.
    pub(super) version: u64,
    pub(super) document: Arc<Document>,
    /// When a retiring key that did not sign it is asked again, if one did not.
    pub(super) again_at: Option<Instant>,
}

/// Facts that the document of administrators' keys follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The index of the event that named the policy in force.
    pub(super) policy_version: u64,
    /// The number of events in the copy that was restored last.
    pub(super) copy: Option<u64>,
    /// Whether no administrator has accepted it yet.
    pub(super) is_pending: bool,
    /// The index of the last order that accepted one.
    pub(super) accepted: Option<u64>,
    /// The size up to which the ledger was filled then.
    pub(super) through: u64,
    /// The index of the last order about a CA key: it says which one signs.
    pub(super) keys: u64,
}

/// Documents that were published last.
#[derive(Debug)]
pub(super) struct Published {
    /// The events that name the CA's keys.
    keys: Vec<EventKind>,
    /// Index of the last of them, while the ledger names other keys.
    last_version: AtomicU64,
    revocations: Mutex<Option<Arc<Revocations>>>,
    keys_document: Mutex<Option<KeyList>>,
    recovery: Mutex<Option<(Facts, Arc<Document>)>>,
}

impl Published {
    /// Nothing is published yet.
    pub(super) fn new(keys: Vec<EventKind>, version: u64) -> Self {
        Self {
            keys,
            last_version: AtomicU64::new(version),
            revocations: Mutex::default(),
            keys_document: Mutex::default(),
            recovery: Mutex::default(),
        }
    }

    /// Grows with each set of CA keys: the index of the event that named the last key of this set.
    /// If another server of the ledger has named another set since, hosts refuse this one as older.
    pub(super) fn keys_version(&self, state: &LedgerState) -> u64 {
        if let Some(version) = state.keys_version(&self.keys) {
            self.last_version.store(version, Ordering::Release);
        }
        self.last_version.load(Ordering::Acquire)
    }

    /// Whether the ledger names exactly this set of CA keys.
    pub(super) fn is_named(&self, state: &LedgerState) -> bool {
        state.keys_version(&self.keys).is_some()
    }

    /// The list of revoked passes. Callers wait while one of them renews it.
    pub(super) async fn revocations(&self) -> MutexGuard<'_, Option<Arc<Revocations>>> {
        self.revocations.lock().await
    }

    /// The document about administrators' keys, and the facts that it was made from.
    pub(super) async fn recovery(&self) -> MutexGuard<'_, Option<(Facts, Arc<Document>)>> {
        self.recovery.lock().await
    }

    /// The file of CA keys.
    pub(super) async fn keys(&self) -> MutexGuard<'_, Option<KeyList>> {
        self.keys_document.lock().await
    }
}
