//! Handovers of the ledger from one key to the next, and the keys that follow from them. Pure.
//!
//! The old key and the new one both sign a handover. So a party that knows only the old key can
//! follow, and a key that its owner does not have takes over nothing. A head of the ledger belongs
//! to the key of its size: the new key's heads are those that contain the event of the handover.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::checkpoint::{self, Checkpoint, Signer, Verifier, beside};
use crate::ssh::wire;

/// Separates a handover from every other use of the keys.
const DOMAIN: &[u8] = b"daypass-ledger-key@v1";

/// The most handovers of one ledger.
pub const MOST: usize = 64;

/// A handover of the ledger to another key.
///
/// Both keys sign the same bytes: length-prefixed strings (RFC 4251, 5) of the domain
/// `daypass-ledger-key@v1`, the ledger's name (the origin of its checkpoints), the old and the new
/// verifier key, and `size` as a big-endian u64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// Number of events before it, which is the index of its event.
    pub size: u64,
    /// The verifier key until then.
    pub old: Verifier,
    /// The verifier key from then on.
    pub new: Verifier,
    /// The old key's Ed25519 signature in base64.
    pub old_signature: String,
    /// The new key's Ed25519 signature in base64.
    pub new_signature: String,
}

impl Handover {
    /// Signs the handover of a ledger of `size` events with both keys.
    ///
    /// # Errors
    /// Returns [`Fault`] if the keys are equal, or of two ledgers.
    pub fn sign(old: &Signer, new: &Signer, size: u64) -> Result<Self, Fault> {
        let mut handover = Self {
            size,
            old: old.verifier(),
            new: new.verifier(),
            old_signature: String::new(),
            new_signature: String::new(),
        };
        let message = handover.message();
        handover.old_signature = STANDARD.encode(old.sign_bytes(&message));
        handover.new_signature = STANDARD.encode(new.sign_bytes(&message));
        handover.check()?;
        Ok(handover)
    }

    /// Verifies both signatures.
    ///
    /// # Errors
    /// Returns [`Fault::OtherLedger`], [`Fault::SameKey`] or [`Fault::Signature`].
    pub fn check(&self) -> Result<(), Fault> {
        if self.old.origin() != self.new.origin() {
            return Err(Fault::OtherLedger {
                ours: self.old.origin().to_owned(),
                theirs: self.new.origin().to_owned(),
            });
        }
        if self.old == self.new {
            return Err(Fault::SameKey(self.new.to_string()));
        }
        let message = self.message();
        for (key, signature) in [
            (&self.old, &self.old_signature),
            (&self.new, &self.new_signature),
        ] {
            let signature = STANDARD.decode(signature).unwrap_or_default();
            if !key.has_signed(&message, &signature) {
                return Err(Fault::Signature {
                    size: self.size,
                    key: key.to_string(),
                });
            }
        }
        Ok(())
    }

    fn message(&self) -> Vec<u8> {
        wire::strings(&[
            DOMAIN,
            self.old.origin().as_bytes(),
            self.old.to_string().as_bytes(),
            self.new.to_string().as_bytes(),
            &self.size.to_be_bytes(),
        ])
    }
}

/// Bytes of [`PublishedKeys`] at most, as JSON.
pub(crate) const LONGEST: usize = 128 * 1024;

/// The keys of a ledger as a server publishes them (`/ledger-keys`). Nothing of it is verified.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PublishedKeys {
    /// The present verifier key.
    pub(crate) key: Verifier,
    /// The handovers, in their order.
    pub(crate) handovers: Vec<Handover>,
}

/// The key of a ledger of this size, by its handovers in their order; `first` if there is none.
pub(crate) fn key_at<'a>(
    handovers: &'a [Handover],
    size: u64,
    first: &'a Verifier,
) -> &'a Verifier {
    let passed = handovers.iter().rev().find(|it| size > it.size);
    let oldest = || handovers.first().map_or(first, |it| &it.old);
    passed.map_or_else(oldest, |it| &it.new)
}

/// Checks that `next` may follow these handovers: it is signed, it starts at the last key, and it
/// leads to a key that the ledger never had.
///
/// # Errors
/// Returns the [`Fault`].
pub(crate) fn expect_next(handovers: &[Handover], next: &Handover) -> Result<(), Fault> {
    next.check()?;
    if handovers.len() >= MOST {
        return Err(Fault::TooMany);
    }
    let Some(last) = handovers.last() else {
        return Ok(());
    };
    if last.new != next.old || last.size >= next.size {
        return Err(Fault::Unconnected {
            key: last.new.to_string(),
        });
    }
    match handovers.iter().any(|it| it.old == next.new) {
        false => Ok(()),
        true => Err(Fault::Returned(next.new.to_string())),
    }
}

/// The keys of a ledger that a party outside the server knows: one that it trusts, and those that
/// verified handovers connect with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    /// The trusted key. If there are handovers, they name it.
    trusted: Verifier,
    handovers: Vec<Handover>,
}

impl From<Verifier> for KeyHistory {
    fn from(trusted: Verifier) -> Self {
        Self {
            trusted,
            handovers: Vec::new(),
        }
    }
}

impl KeyHistory {
    /// The history of a trusted key.
    ///
    /// # Errors
    /// Returns the first [`Fault`] of the handovers; [`Fault::Unconnected`] if none of them names
    /// the trusted key.
    pub fn new(trusted: Verifier, handovers: &[Handover]) -> Result<Self, Fault> {
        if handovers.len() > MOST {
            return Err(Fault::TooMany);
        }
        for (at, next) in handovers.iter().enumerate() {
            expect_next(handovers.get(..at).unwrap_or_default(), next)?;
        }
        let is_named = |it: &Handover| it.old == trusted || it.new == trusted;
        if !handovers.is_empty() && !handovers.iter().any(is_named) {
            let key = trusted.to_string();
            return Err(Fault::Unconnected { key });
        }
        Ok(Self {
            trusted,
            handovers: handovers.to_vec(),
        })
    }

    /// The key that is trusted by itself.
    pub(crate) fn trusted(&self) -> &Verifier {
        &self.trusted
    }

    /// The handovers, in their order.
    pub fn handovers(&self) -> &[Handover] {
        &self.handovers
    }

    /// The newest key.
    pub fn newest(&self) -> &Verifier {
        self.key_at(u64::MAX)
    }

    /// Whether this is one of the keys.
    pub(crate) fn has(&self, key: &Verifier) -> bool {
        let named = |it: &Handover| it.old == *key || it.new == *key;
        self.trusted == *key || self.handovers.iter().any(named)
    }

    /// Whether a note has a signature line by a key of this ledger's name that is none of these.
    pub(crate) fn is_beside_unknown(&self, note: &str) -> bool {
        let later = self.handovers.iter().flat_map(|it| [&it.old, &it.new]);
        let known: Vec<[u8; 4]> = later.chain([&self.trusted]).map(Verifier::hash).collect();
        beside::unverified_ids(note, self.origin()).any(|id| !known.contains(&id))
    }

    /// The ledger's name.
    pub(crate) fn origin(&self) -> &str {
        self.trusted.origin()
    }

    fn key_at(&self, size: u64) -> &Verifier {
        key_at(&self.handovers, size, &self.trusted)
    }

    /// Verifies a checkpoint with the key of its size. A head that contains a handover counts only
    /// by the new key: a stolen old one signs nothing that is believed.
    ///
    /// # Errors
    /// As [`Verifier::verify`].
    pub fn verify(&self, note: &str) -> Result<Checkpoint, checkpoint::Error> {
        self.key_at(beside::unverified_size(note)).verify(note)
    }

    /// The keys of a ledger of `size` events that holds exactly these handovers, which its events
    /// prove, and those known ones that follow later. A ledger without any has one of the known
    /// keys: that of its size.
    ///
    /// # Errors
    /// Returns [`Fault::Unconnected`] if the handovers name none of the known keys, and
    /// [`Fault::Forked`] if they contradict them, or stop before one that this size contains: a
    /// stolen old key could else be made the newest one by a handover to it.
    pub(crate) fn of_ledger(&self, handovers: &[Handover], size: u64) -> Result<Self, Fault> {
        let Some(last) = handovers.last() else {
            return Ok(self.clone());
        };
        self.expect_no_fork(handovers)?;
        let named = handovers.iter().flat_map(|it| [&it.old, &it.new]);
        let trusted = named.into_iter().find(|key| self.has(key));
        let trusted = trusted.ok_or_else(|| Fault::Unconnected {
            key: self.newest().to_string(),
        })?;
        let later = || self.handovers.iter().skip_while(|it| it.old != last.new);
        if let Some(known) = later().next().filter(|it| it.size < size) {
            return Err(forked(known, &last.new));
        }
        Ok(Self {
            trusted: trusted.clone(),
            handovers: handovers.iter().chain(later()).cloned().collect(),
        })
    }

    /// Checks that none of the handovers starts at a known key and leads to another one than is
    /// known, or leads to a known key from another one.
    fn expect_no_fork(&self, handovers: &[Handover]) -> Result<(), Fault> {
        for known in &self.handovers {
            let differs = |it: &&Handover| (it.old == known.old) != (it.new == known.new);
            if let Some(it) = handovers.iter().find(differs) {
                it.check()?;
                return Err(forked(
                    known,
                    match it.new == known.new {
                        true => &it.old,
                        false => &it.new,
                    },
                ));
            }
        }
        Ok(())
    }

    /// Follows the handovers of a ledger, all that there are, to the last of their keys. None if
    /// that is the newest key already.
    ///
    /// # Errors
    /// As [`KeyHistory::follow`].
    pub(crate) fn after(&self, offered: &[Handover]) -> Result<Option<Self>, Fault> {
        match offered.last() {
            Some(last) => self.follow(&last.new, offered),
            None => Ok(None),
        }
    }

    /// Follows a server to the key `named` that it shows, by the handovers that it offers. None if
    /// that is the newest key already.
    ///
    /// # Errors
    /// Returns [`Fault::Returned`] if the ledger was handed over from `named` before,
    /// [`Fault::Forked`] if the offered handovers contradict the known ones, and the first fault of
    /// the new ones otherwise.
    pub fn follow(&self, named: &Verifier, offered: &[Handover]) -> Result<Option<Self>, Fault> {
        if named == self.newest() {
            return Ok(None);
        }
        if self.has(named) {
            return Err(Fault::Returned(named.to_string()));
        }
        if offered.len() > MOST {
            return Err(Fault::TooMany);
        }
        self.expect_no_fork(offered)?;
        let mut next = self.clone();
        let start = offered.iter().position(|it| it.old == *self.newest());
        for handover in offered.iter().skip(start.unwrap_or(offered.len())) {
            expect_next(&next.handovers, handover)?;
            next.handovers.push(handover.clone());
        }
        match next.newest() == named && next.handovers.len() > self.handovers.len() {
            true => Ok(Some(next)),
            false => Err(Fault::Unconnected {
                key: self.newest().to_string(),
            }),
        }
    }
}

fn forked(known: &Handover, shown: &Verifier) -> Fault {
    Fault::Forked {
        from: known.old.to_string(),
        known: known.new.to_string(),
        shown: shown.to_string(),
    }
}

/// Reason why a handover, or a chain of them, is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The two keys are of different ledgers.
    #[error("it hands over from the ledger {ours:?} to {theirs:?}")]
    OtherLedger {
        /// The old key's ledger.
        ours: String,
        /// The new key's ledger.
        theirs: String,
    },
    /// A key is handed over to itself.
    #[error("the ledger has the key {0} already")]
    SameKey(String),
    /// A signature is missing or invalid.
    #[error("the handover at entry {size} is not signed by {key}")]
    Signature {
        /// The index of the handover's event.
        size: u64,
        /// The key.
        key: String,
    },
    /// There are more than [`MOST`].
    #[error("the ledger was handed over more than {MOST} times")]
    TooMany,
    /// No chain of handovers starts at the known key and ends at the named one.
    #[error("no chain of handovers leads on from the key {key}")]
    Unconnected {
        /// The known key.
        key: String,
    },
    /// The ledger was handed over from this key before.
    #[error(
        "the ledger was handed over from the key {0} to another one before, so it signs nothing any more"
    )]
    Returned(String),
    /// One key handed the ledger over to two.
    #[error("the key {from} handed the ledger over to {known}, and another handover names {shown}")]
    Forked {
        /// The old key.
        from: String,
        /// The key that is known.
        known: String,
        /// The other one.
        shown: String,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
