//! Orders about the CA's keys, as events record them. Pure.
//!
//! From the first order on, the ledger says which key signs; before it, each server's configuration
//! does.

use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    ca_key_steps::{CaKeyState, CaKeyStep},
    target::Target,
};
use crate::{
    ledger::{approval::fingerprint, order::Proof},
    ssh::key,
};

/// A key and its state before the first order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaKeyNamed {
    /// The public key in OpenSSH form, without comment.
    pub key: String,
    /// Its state: not [`CaKeyState::Retired`].
    pub state: CaKeyState,
}

/// An order about a key of the CA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaKeyOrdered {
    /// The administrator.
    pub who: Actor,
    /// The step.
    pub step: CaKeyStep,
    /// The public key in OpenSSH form, without comment.
    pub key: String,
    /// Whether the administrator did not wait: for hosts that do not trust the key yet, or for
    /// passes of it that are still valid. Needs a reason.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub anyway: bool,
    /// Known hosts that were not waited for: the first names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub behind: Vec<String>,
    /// For the first order: all keys as they were, but for the one that it stages.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub from: Vec<CaKeyNamed>,
    /// The administrator's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}

impl CaKeyOrdered {
    /// The target that the administrator signed.
    pub(crate) fn target(&self) -> Target {
        Target::CaKey {
            key: fingerprint(&self.key).unwrap_or_default(),
            anyway: self.anyway,
        }
    }
}

/// The fingerprint of a CA key in exactly the form in which events have it; none for other text.
pub fn ca_key_fingerprint(text: &str) -> Option<String> {
    let key = ssh_key::PublicKey::from_openssh(text).ok()?;
    let bare = ssh_key::PublicKey::from(key.key_data().clone());
    let is_canonical = bare.to_openssh().is_ok_and(|again| again == text);
    is_canonical.then(|| key::fingerprint(&key))
}
