//! The certificate authority: `sign(Draft, Receipt)`.
//!
//! What comes in has been decided by policy and recorded by the store; what goes out has been linted and verified with the
//! configured key. It reads nothing but its keys and asks no clock.
//!
//! Skipping a stage does not compile. There is no holder but the one who proved to hold a key:
//!
//! ```compile_fail,E0451
//! fn holder(other: daypass::identity::Holder) -> daypass::identity::Holder {
//!     daypass::identity::Holder { ..other }
//! }
//! ```
//!
//! no grant but the policy's:
//!
//! ```compile_fail,E0451
//! fn grant(other: daypass::policy::Grant) -> daypass::policy::Grant {
//!     daypass::policy::Grant { ..other }
//! }
//! ```
//!
//! no draft but [`Draft::new`]'s:
//!
//! ```compile_fail,E0451
//! fn draft(other: daypass::ca::Draft) -> daypass::ca::Draft {
//!     daypass::ca::Draft { ..other }
//! }
//! ```
//!
//! no receipt but the store's:
//!
//! ```compile_fail,E0624
//! let receipt = daypass::ledger::Receipt::committed(1, [0; 32]);
//! ```
//!
//! and each is spent once:
//!
//! ```compile_fail,E0382
//! fn twice(ca: &daypass::ca::Ca, draft: daypass::ca::Draft, receipt: daypass::ledger::Receipt) {
//!     let first = ca.sign(draft.clone(), receipt);
//!     let second = ca.sign(draft, receipt);
//! }
//! ```

pub mod document;
pub mod draft;
pub mod key;
pub mod lint;

use serde::Deserialize;
use ssh_key::{Certificate, PublicKey};

use crate::{
    ledger::Receipt,
    ssh::{self, wire},
};
pub use draft::Draft;
use key::Key;

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

/// The CA's keys, of which exactly one is active.
#[derive(Debug)]
pub struct Ca {
    active: Key,
    others: Vec<(Key, KeyState)>,
}

impl Ca {
    /// A CA over these keys.
    ///
    /// # Errors
    /// [`Error::Keys`] unless exactly one is active and no key is there twice.
    pub fn new(keys: Vec<(Key, KeyState)>) -> Result<Self, Error> {
        let (mut active, others): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|(_, state)| *state == KeyState::Active);
        let (Some((active, _)), true) = (active.pop(), active.is_empty()) else {
            return Err(Error::Keys("exactly one key must be active"));
        };
        let ca = Self { active, others };
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

    /// Every key that hosts should trust, the active one first.
    pub fn keys(&self) -> impl Iterator<Item = (&PublicKey, KeyState)> {
        let active = std::iter::once((self.active.public(), KeyState::Active));
        let others = self
            .others
            .iter()
            .map(|(key, state)| (key.public(), *state));
        active.chain(others)
    }

    /// Signs what the receipt recorded: rebuilds the bytes at its serial, compares their hash, signs them, lints the whole
    /// certificate and verifies the signature with the configured key.
    ///
    /// # Errors
    /// [`Error::Receipt`] where the ledger recorded other bytes; [`Error::Key`] and [`Error::Signature`] where the key
    /// fails or answers with another key's signature; [`Error::Lint`] where the result is not fit to leave.
    pub fn sign(&self, draft: Draft, receipt: Receipt) -> Result<Certificate, Error> {
        let serial = receipt.serial();
        if draft.to_be_signed_hash(serial) != *receipt.tbs_hash() {
            return Err(Error::Receipt);
        }
        let mut bytes = draft.to_be_signed(serial);
        lint::to_be_signed(&bytes, self.active())?;
        let signature = self.active.sign(&bytes)?;
        if !key::is_signed_by(self.active(), &bytes, &signature) {
            return Err(Error::Signature);
        }
        let encoded = Vec::<u8>::try_from(signature).map_err(|_| Error::Signature)?;
        wire::put_string(&mut bytes, &encoded);
        Ok(lint::certificate(&bytes, self.active())?)
    }
}

/// Why there is no pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's key is one that no pass is for; another key would do.
    #[error("subject key is refused: {0}")]
    SubjectKey(#[from] ssh::key::InvalidKey),
    /// What was drafted or signed is not fit to leave.
    #[error("certificate does not pass the linter: {0}")]
    Lint(#[from] lint::Problem),
    /// The ledger recorded other bytes than these.
    #[error("receipt is not for this draft")]
    Receipt,
    /// The configured keys do not make a CA.
    #[error("CA keys are unusable: {0}")]
    Keys(&'static str),
    /// A key file cannot be used.
    #[error(transparent)]
    File(#[from] key::file::Error),
    /// The key did not sign.
    #[error("CA key failed to sign")]
    Key,
    /// The signature is not the configured key's.
    #[error("CA key answered with a signature that is not its own")]
    Signature,
}

#[cfg(test)]
mod tests;
