//! The message that registered keys sign, and their signatures as an event keeps them. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    ledger::{approval, event::Actor},
    ssh::{sshsig::Namespace, wire},
};

/// What registered keys sign, as length-prefixed strings (RFC 4251, 5): the namespace, the registered key of whoever is let in
/// (its blob), the possession message. So nobody's signature lets in anybody else than the one they signed for.
pub fn message(holder: &[u8], possession: &[u8]) -> Vec<u8> {
    wire::strings(&[Namespace::Emergency.as_bytes(), holder, possession])
}

/// The proof behind an emergency pass that no token was shown for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The server's challenge. It is spent with this event.
    pub challenge: String,
    /// What everybody signed ([`message`]), base64.
    pub message: String,
    /// Who signed; the first is the pass's own.
    pub signatures: Vec<Signature>,
}

/// One registered person's signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Who signed.
    pub who: Actor,
    /// Their registered key in OpenSSH form.
    pub key: String,
    /// Their SSHSIG in base64, on one line.
    pub signature: String,
}

impl Signature {
    /// The registered key's fingerprint (`SHA256:...`); none where it is no key.
    pub fn fingerprint(&self) -> Option<String> {
        approval::fingerprint(&self.key)
    }
}
