//! The message that an administrator signs, and the signature as an event records it. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    ledger::{
        approval,
        event::{CaKeyStep, Target},
    },
    ssh::{
        sshsig::{self, Namespace},
        wire,
    },
};

/// The kinds of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// No new passes; valid passes are revoked.
    Lock,
    /// The end of a lock.
    Unlock,
    /// Valid passes are revoked.
    Revoke,
    /// A host may join.
    AddHost,
    /// A host is forgotten.
    RemoveHost,
    /// A step with a key of the CA.
    CaKey(CaKeyStep),
    /// The ledger gets another key.
    ChangeLedgerKey,
}

impl Verb {
    /// The word in messages.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Revoke => "revoke",
            Self::AddHost => "add",
            Self::RemoveHost => "remove",
            Self::CaKey(step) => step.as_str(),
            Self::ChangeLedgerKey => "change",
        }
    }
}

/// An order, its administrator and its server.
#[derive(Clone, Copy, Debug)]
pub struct AdminOrder<'a> {
    /// The server's name.
    pub server: &'a str,
    /// The administrator's `iss` claim.
    pub issuer: &'a str,
    /// The administrator's `sub` claim.
    pub subject: &'a str,
    /// SHA-256 of the administrator's token.
    pub token: &'a [u8; 32],
    /// The kind of order.
    pub verb: Verb,
    /// The target.
    pub target: &'a Target,
    /// The reason; empty if none was given.
    pub reason: &'a str,
    /// One more than the index of the last order about the same target; 0 if there is none.
    pub after: u64,
}

impl AdminOrder<'_> {
    /// The signed bytes, as length-prefixed strings (RFC 4251, 5): domain, verb, server name,
    /// SHA-256 of the token, `iss`, `sub`, kind of target, target (a text, a number as a
    /// big-endian u64, the strings of a [`crate::ledger::event::NewHost`], or the fingerprint of a
    /// CA key and one byte for `anyway`), reason, `after` as a big-endian u64.
    pub fn message(&self) -> Vec<u8> {
        let (kind, target) = self.target.encoded();
        wire::strings(&[
            Namespace::Admin.as_bytes(),
            self.verb.as_str().as_bytes(),
            self.server.as_bytes(),
            self.token,
            self.issuer.as_bytes(),
            self.subject.as_bytes(),
            kind.as_bytes(),
            &target,
            self.reason.as_bytes(),
            &self.after.to_be_bytes(),
        ])
    }
}

/// An administrator's signature, as the event of the order records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The administrator's public key in OpenSSH form.
    pub key: String,
    /// The SSHSIG over [`AdminOrder::message`] in base64, on one line.
    pub signature: String,
    /// SHA-256 of the administrator's token, in hex.
    pub token: String,
    /// [`AdminOrder::after`].
    pub after: u64,
}

impl Proof {
    /// The proof of an order whose signature was verified.
    pub fn new(key: String, armored: &str, token: &[u8; 32], after: u64) -> Self {
        Self {
            key,
            signature: sshsig::compact(armored),
            token: base16ct::lower::encode_string(token),
            after,
        }
    }

    /// The key's fingerprint (`SHA256:...`); `None` if it does not parse.
    pub(crate) fn fingerprint(&self) -> Option<String> {
        approval::fingerprint(&self.key)
    }
}
