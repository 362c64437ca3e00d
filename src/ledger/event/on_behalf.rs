//! A pass that another identity asked for on behalf of its holder. Pure.

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use crate::unix_seconds::UnixSeconds;

/// The identity that asked and holds the subject key, and the holder's consent: all that its
/// signature covers is here or elsewhere in the event ([`crate::ledger::consent`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OnBehalf {
    /// The identity that asked, such as a bastion.
    pub by: Actor,
    /// Binding of its token to the subject key: `nonce`, `audience` or `refreshed`.
    pub binding: String,
    /// The subject key in OpenSSH form.
    pub subject_key: String,
    /// Hex SHA-256 of the holder's token.
    pub token: String,
    /// Time after which the consent was void.
    pub until: UnixSeconds,
    /// The holder's key in OpenSSH form.
    pub key: String,
    /// The holder's SSHSIG in base64, on one line.
    pub signature: String,
}
