//! The bytes that an administrator signs to lock, unlock or revoke, and their check from the ledger alone. Pure.
//!
//! A stolen token alone orders nothing, and a recorded order is good once: it names the last order
//! about the same target ([`Order::after`]), so neither a copy of it nor one that was held back is
//! accepted after that.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    What, approval,
    event::{Covered, LockTarget, RevokeTarget, Who},
};

/// The SSHSIG namespace of administrators' orders. A signature made for anything else does not count.
pub const NAMESPACE: &str = "daypass-admin@v1";

/// The last second that an order may name: 9999-12-31T23:59:59Z, the end of RFC 3339.
pub const LATEST: u64 = 253_402_300_799;

/// The kinds of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// No new passes; passes that are out are revoked.
    Lock,
    /// The end of a lock.
    Unlock,
    /// Passes that are out are revoked.
    Revoke,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Unlock => "unlock",
            Self::Revoke => "revoke",
        }
    }
}

/// The target of an order of any kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A subject or label, and everyone whom the ledger has seen under it.
    Identity(String),
    /// A subject key's fingerprint (`SHA256:...`).
    Key(String),
    /// A role's name.
    Role(String),
    /// One pass.
    Serial(u64),
    /// All passes that were issued before this time, in Unix seconds.
    Before(u64),
}

impl From<&LockTarget> for Target {
    fn from(target: &LockTarget) -> Self {
        match target {
            LockTarget::Identity(name) => Self::Identity(name.clone()),
            LockTarget::Key(key) => Self::Key(key.clone()),
            LockTarget::Role(role) => Self::Role(role.clone()),
        }
    }
}

impl From<&RevokeTarget> for Target {
    fn from(target: &RevokeTarget) -> Self {
        match target {
            RevokeTarget::Serial(serial) => Self::Serial(*serial),
            RevokeTarget::Key(key) => Self::Key(key.clone()),
            RevokeTarget::Identity(name) => Self::Identity(name.clone()),
            RevokeTarget::Before(time) => Self::Before(*time),
        }
    }
}

impl Target {
    /// Orders about the same thing follow one another. "All before a time" is one thing at
    /// any time.
    pub(super) fn chain(&self) -> Self {
        match self {
            Self::Before(_) => Self::Before(0),
            Self::Identity(_) | Self::Key(_) | Self::Role(_) | Self::Serial(_) => self.clone(),
        }
    }

    fn encoded(&self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Identity(name) => ("identity", name.clone().into_bytes()),
            Self::Key(key) => ("key", key.clone().into_bytes()),
            Self::Role(role) => ("role", role.clone().into_bytes()),
            Self::Serial(serial) => ("serial", serial.to_be_bytes().to_vec()),
            Self::Before(time) => ("before", time.to_be_bytes().to_vec()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(name) => write!(f, "identity {name}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Role(role) => write!(f, "role {role}"),
            Self::Serial(serial) => write!(f, "serial {serial}"),
            Self::Before(time) => write!(f, "all before {time}"),
        }
    }
}

/// An order and who gives it to which server.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
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

impl Order<'_> {
    /// The bytes that are signed, as length-prefixed strings (RFC 4251, 5): domain, verb, server
    /// name, SHA-256 of the token, `iss`, `sub`, kind of target, target (a text, or a number as a
    /// big-endian u64), reason, `after` as a big-endian u64.
    pub fn message(&self) -> Vec<u8> {
        let (kind, target) = self.target.encoded();
        let mut message = Vec::new();
        for part in [
            NAMESPACE.as_bytes(),
            self.verb.word().as_bytes(),
            self.server.as_bytes(),
            self.token,
            self.issuer.as_bytes(),
            self.subject.as_bytes(),
            kind.as_bytes(),
            &target,
            self.reason.as_bytes(),
            &self.after.to_be_bytes(),
        ] {
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            message.extend_from_slice(&length.to_be_bytes());
            message.extend_from_slice(part);
        }
        message
    }
}

/// An administrator's signature, as the order's event keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The administrator's public key in OpenSSH form.
    pub key: String,
    /// The SSHSIG over [`Order::message`] in base64, on one line.
    pub signature: String,
    /// SHA-256 of the administrator's token, in hex.
    pub token: String,
    /// [`Order::after`].
    pub after: u64,
}

impl Proof {
    /// The proof of an order whose signature was checked.
    pub fn new(key: String, armored: &str, token: &[u8; 32], after: u64) -> Self {
        Self {
            key,
            signature: approval::compact(armored),
            token: token.iter().map(|byte| format!("{byte:02x}")).collect(),
            after,
        }
    }

    /// The key's fingerprint (`SHA256:...`); none if it is not a key.
    pub fn fingerprint(&self) -> Option<String> {
        approval::fingerprint(&self.key)
    }
}

/// An order as an event records it.
#[derive(Clone, Debug)]
pub(super) struct Given<'a> {
    pub(super) verb: Verb,
    pub(super) who: &'a Who,
    pub(super) target: Target,
    pub(super) reason: Option<&'a str>,
    pub(super) proof: Option<&'a Proof>,
    /// The identities that it says it covers; an unlock says nothing of them.
    pub(super) covers: Option<&'a [Covered]>,
}

impl What {
    /// The order that this event records, if it is one.
    pub(super) fn order(&self) -> Option<Given<'_>> {
        match self {
            Self::Locked(it) => Some(Given {
                verb: Verb::Lock,
                who: &it.who,
                target: Target::from(&it.target),
                reason: it.reason.as_deref(),
                proof: it.proof.as_ref(),
                covers: Some(&it.covers),
            }),
            Self::Unlocked(it) => Some(Given {
                verb: Verb::Unlock,
                who: &it.who,
                target: Target::from(&it.target),
                reason: it.reason.as_deref(),
                proof: it.proof.as_ref(),
                covers: None,
            }),
            Self::Revoked(it) => Some(Given {
                verb: Verb::Revoke,
                who: &it.who,
                target: Target::from(&it.target),
                reason: it.reason.as_deref(),
                proof: it.proof.as_ref(),
                covers: Some(&it.covers),
            }),
            Self::Started { .. }
            | Self::PolicyLoaded { .. }
            | Self::Issued(_)
            | Self::SigningFailed { .. }
            | Self::Denied { .. }
            | Self::Denials(_)
            | Self::Requested(_)
            | Self::Approved(_)
            | Self::Refused(_)
            | Self::Cancelled(_)
            | Self::Reviewed(_)
            | Self::KeyStaged { .. }
            | Self::KeyActivated { .. }
            | Self::KeyRetired { .. } => None,
        }
    }
}

impl Given<'_> {
    /// Checks that the order at `server` carries its administrator's signature.
    pub(super) fn check(&self, server: &str) -> Result<(), &'static str> {
        let Some(proof) = self.proof else {
            return Err("is an order without its administrator's signature");
        };
        let Some(token) = token_hash(&proof.token) else {
            return Err("is an order without the hash of its administrator's token");
        };
        let order = Order {
            server,
            issuer: &self.who.issuer,
            subject: &self.who.subject,
            token: &token,
            verb: self.verb,
            target: &self.target,
            reason: self.reason.unwrap_or_default(),
            after: proof.after,
        };
        let (key, signature) = (&proof.key, &proof.signature);
        match approval::is_signed_for(NAMESPACE, key, &order.message(), signature) {
            true => Ok(()),
            false => Err("is an order whose signature is not its administrator's"),
        }
    }
}

/// 32 bytes from lower-case hex.
fn token_hash(hex: &str) -> Option<[u8; 32]> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.len() != 64 || !hex.bytes().all(is_hex) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
pub(crate) mod tests;
