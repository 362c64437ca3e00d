//! The rules of `daypass signer`: a CA key that signs only what the ledger has recorded.
//!
//! ```text
//! Request ─verify─▶ Approved ─written to disk─▶ Remembered
//!                       └────────── sign ◀──────────┘
//! ```
//!
//! [`verify`] decides and is pure; [`ceiling`], [`document`] and [`message`] are its parts. What is
//! not approved is never signed, and nothing is signed before the checkpoint behind it is
//! remembered: a daemon cannot show a signer two histories, not even around a crash.

pub(crate) mod ceiling;
pub(crate) mod document;
pub(crate) mod message;
pub(crate) mod refusal;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod verify;

use super::key::Key;
use message::Verdict;
use verify::{Approved, Remembered};

/// Signs each approved message of a request whose checkpoint is remembered.
///
/// A key that does not answer signs nothing: the verdict says why.
pub(crate) async fn sign(key: &Key, approved: Approved, remembered: Remembered) -> Vec<Verdict> {
    let Some(items) = approved.behind(&remembered) else {
        return Vec::new();
    };
    let mut verdicts = Vec::with_capacity(items.len());
    for item in items {
        verdicts.push(match &item {
            Err(fault) => Verdict::Refused(fault.to_string()),
            Ok(item) => match key.sign(item.to_sign()).await {
                Err(error) => Verdict::Away(error.to_string()),
                Ok(signature) => Vec::<u8>::try_from(signature)
                    .map_or_else(|error| Verdict::Away(error.to_string()), Verdict::Signed),
            },
        });
    }
    verdicts
}
