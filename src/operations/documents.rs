//! What was published last for hosts, kept until it changes.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

/// A file for hosts.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its bytes, one copy for all who fetch it.
    pub body: Bytes,
    /// The SSHSIG blob over them by the active CA key.
    pub signature: Vec<u8>,
    /// Hex SHA-256 of the bytes.
    pub digest: String,
}

/// The revoked passes, for sshd's `RevokedKeys`.
#[derive(Clone, Debug)]
pub struct Revocations {
    /// The list, never empty bytes.
    pub document: Document,
    /// Grows with every change of the list.
    pub version: u64,
}

/// What was published last.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) keys_version: u64,
    pub(super) revocations: Mutex<Option<Arc<Revocations>>>,
    pub(super) keys: Mutex<Option<Arc<Document>>>,
}

impl Published {
    /// Nothing yet. `keys_version` grows with each set of keys: the index of the event that named the last of this one.
    pub(super) fn new(keys_version: u64) -> Self {
        Self {
            keys_version,
            revocations: Mutex::default(),
            keys: Mutex::default(),
        }
    }
}
