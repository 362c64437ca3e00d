//! The CA's keys: which one signs, and which ones hosts should trust.

use std::{fmt, sync::Arc};

use serde::Deserialize;
use ssh_key::PublicKey;

use super::{error::Error, key::Key};
use crate::ssh::{self, key::fingerprint};

/// A key's place in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// Published, so that hosts learn it, but not used yet.
    Staged,
    /// Signs new passes.
    Active,
    /// No longer used; published until its last pass has expired.
    Retired,
}

impl KeyState {
    /// The word in the configuration, in metrics and in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// The CA's keys, of which exactly one is active.
pub struct Ca {
    pub(super) active: Arc<Key>,
    pub(super) others: Vec<(Arc<Key>, KeyState)>,
    /// The blob of the active one, which is part of each certificate.
    active_blob: Vec<u8>,
    active_fingerprint: String,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca")
            .field("active", &self.active)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}

impl Ca {
    /// A CA over these keys.
    ///
    /// # Errors
    /// [`Error::Keys`] unless exactly one is active and no key is there twice.
    pub fn new(keys: Vec<(Key, KeyState)>) -> Result<Self, Error> {
        let keys = keys.into_iter();
        Self::of(keys.map(|(key, state)| (Arc::new(key), state)).collect())
    }

    /// The same keys in the states of `published`, in its order. A key that this CA lacks signs
    /// nothing ([`Ca::expect_key`]), and one that is not published is not in the result.
    ///
    /// # Errors
    /// As [`Ca::new`].
    pub(crate) fn arranged(&self, published: Vec<(PublicKey, KeyState)>) -> Result<Self, Error> {
        let keys = published.into_iter().map(|(public, state)| {
            let own = self.own(&public);
            (own.unwrap_or_else(|| Arc::new(Key::absent(public))), state)
        });
        Self::of(keys.collect())
    }

    fn own(&self, public: &PublicKey) -> Option<Arc<Key>> {
        let keys = [&self.active].into_iter();
        let mut keys = keys.chain(self.others.iter().map(|(key, _)| key));
        let own = keys.find(|key| key.public().key_data() == public.key_data());
        own.cloned()
    }

    fn of(keys: Vec<(Arc<Key>, KeyState)>) -> Result<Self, Error> {
        let (mut active, others): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|(_, state)| *state == KeyState::Active);
        let (Some((active, _)), true) = (active.pop(), active.is_empty()) else {
            return Err(Error::Keys("exactly one key must be active"));
        };
        let blob = ssh::key::blob_of(active.public());
        let ca = Self {
            active_blob: blob.map_err(|_| Error::Keys("the active key cannot be written"))?,
            active_fingerprint: fingerprint(active.public()),
            active,
            others,
        };
        let blobs: Vec<_> = ca.keys().map(|(key, _)| key.key_data()).collect();
        let is_repeated = |(at, blob)| blobs.iter().skip(at + 1).any(|other| other == blob);
        if blobs.iter().enumerate().any(is_repeated) {
            return Err(Error::Keys("a key is listed twice"));
        }
        Ok(ca)
    }

    /// The key that new passes are signed with.
    pub fn active(&self) -> &PublicKey {
        self.active.public()
    }

    /// Its blob.
    pub(super) fn active_blob(&self) -> &[u8] {
        &self.active_blob
    }

    /// Its fingerprint.
    pub(super) fn active_fingerprint(&self) -> &str {
        &self.active_fingerprint
    }

    /// Whether this CA could sign with a key: it has the private half, or a way to it.
    pub(crate) fn has(&self, public: &PublicKey) -> bool {
        self.own(public).is_some_and(|key| !key.is_absent())
    }

    /// Looks for the key that signs, if another program keeps it. From now on [`Ca::expect_key`]
    /// knows whether it answers.
    pub(crate) async fn start(&self) {
        self.active.start().await;
    }

    /// Asks whether the key that signs is still there, if another program keeps it: to be called
    /// each second, so that [`Ca::expect_key`] knows before a pass fails.
    pub(crate) async fn look(&self) {
        self.active.look().await;
    }

    /// Looks for the key that signs once, also if it did not answer the last time.
    ///
    /// # Errors
    /// [`Error::Away`] and [`Error::Absent`].
    pub(crate) async fn find(&self) -> Result<(), Error> {
        self.active.find().await
    }

    /// Whether the key that signs answers, as far as is known.
    ///
    /// # Errors
    /// [`Error::Away`] with the key and the cause, and [`Error::Absent`] if this server lacks it.
    pub(crate) fn expect_key(&self) -> Result<(), Error> {
        self.active.expect_here()
    }

    /// Every key that hosts should trust, the active one first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&PublicKey, KeyState)> {
        let active = std::iter::once((self.active.public(), KeyState::Active));
        let others = self
            .others
            .iter()
            .map(|(key, state)| (key.public(), *state));
        active.chain(others)
    }
}
