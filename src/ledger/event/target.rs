//! Targets of locks and revocations, and the identities that they cover. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use crate::{ssh::wire, unix_seconds::UnixSeconds};

/// The target of a lock. It gets no new pass while it is locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockTarget {
    /// A subject or label, matched exactly, at any issuer. Covers each identity that the ledger has
    /// seen under this name.
    Identity(String),
    /// A subject key's fingerprint (`SHA256:...`).
    Key(String),
    /// A role's name.
    Role(String),
}

/// The passes that hosts must refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeTarget {
    /// The pass with this serial.
    Serial(u64),
    /// Passes for a subject key's fingerprint (`SHA256:...`).
    Key(String),
    /// Passes of a subject or label, matched exactly, at any issuer. Covers each identity that the
    /// ledger has seen under this name.
    Identity(String),
    /// Passes issued before this time, in Unix seconds.
    Before(UnixSeconds),
    /// All passes, and those that a lost ledger of up to this size may have issued. The ledger goes
    /// on from this size.
    Through(u64),
}

/// The target of an administrator's order of any kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// A subject or label. Covers each identity that the ledger has seen under this name.
    Identity(String),
    /// A subject key's fingerprint (`SHA256:...`).
    Key(String),
    /// A role's name.
    Role(String),
    /// The pass with this serial.
    Serial(u64),
    /// All passes that were issued before this time, in Unix seconds.
    Before(UnixSeconds),
    /// All passes, and those of a lost ledger of up to this size.
    Through(u64),
    /// The host of this name.
    Host(String),
    /// A host that may join.
    NewHost(Box<NewHost>),
    /// A key of the CA.
    CaKey {
        /// Its fingerprint (`SHA256:...`).
        key: String,
        /// Whether the order does not wait for hosts or passes.
        anyway: bool,
    },
    /// The verifier key that the ledger gets.
    LedgerKey(String),
}

/// A host that an administrator lets join: all that the order says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NewHost {
    /// The host's name.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Hex SHA-256 of the join code.
    pub code: String,
    /// First second at which the code is no longer taken.
    pub expires_at: UnixSeconds,
    /// Whether a known host may join again with other keys.
    pub rekey: bool,
}

impl NewHost {
    /// As length-prefixed strings (RFC 4251, 5): name, group, hash of the code, `expires_at` as a
    /// big-endian u64, `rekey` as one byte, and each alias.
    fn encoded(&self) -> Vec<u8> {
        let mut bytes = wire::strings(&[
            self.name.as_bytes(),
            self.group.as_bytes(),
            self.code.as_bytes(),
            &self.expires_at.get().to_be_bytes(),
            &[u8::from(self.rekey)],
        ]);
        for alias in &self.aliases {
            wire::put_string(&mut bytes, alias.as_bytes());
        }
        bytes
    }
}

impl From<&NewHost> for Target {
    fn from(host: &NewHost) -> Self {
        Self::NewHost(Box::new(host.clone()))
    }
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
            RevokeTarget::Through(size) => Self::Through(*size),
        }
    }
}

impl Target {
    /// The chain of orders that this target belongs to. All [`Target::Before`] targets share one
    /// chain, all [`Target::Through`] ones, all [`Target::LedgerKey`] ones, all orders about one
    /// host, and all about the CA's keys: one key that is activated changes another.
    pub(in crate::ledger) fn chain(&self) -> Self {
        match self {
            Self::Before(_) => Self::Before(UnixSeconds(0)),
            Self::Through(_) => Self::Through(0),
            Self::NewHost(host) => Self::Host(host.name.clone()),
            Self::CaKey { .. } => Self::CaKey {
                key: String::new(),
                anyway: false,
            },
            Self::LedgerKey(_) => Self::LedgerKey(String::new()),
            Self::Identity(_) | Self::Key(_) | Self::Role(_) | Self::Serial(_) | Self::Host(_) => {
                self.clone()
            }
        }
    }

    pub(in crate::ledger) fn encoded(&self) -> (&'static str, Vec<u8>) {
        match self {
            Self::Identity(name) => ("identity", name.clone().into_bytes()),
            Self::Key(key) => ("key", key.clone().into_bytes()),
            Self::Role(role) => ("role", role.clone().into_bytes()),
            Self::Serial(serial) => ("serial", serial.to_be_bytes().to_vec()),
            Self::Before(time) => ("before", time.get().to_be_bytes().to_vec()),
            Self::Through(size) => ("through", size.to_be_bytes().to_vec()),
            Self::Host(name) => ("host", name.clone().into_bytes()),
            Self::NewHost(host) => ("new-host", host.encoded()),
            Self::CaKey { key, anyway } => {
                let fields = [key.as_bytes(), &[u8::from(*anyway)]];
                ("ca-key", wire::strings(&fields))
            }
            Self::LedgerKey(key) => ("ledger-key", key.clone().into_bytes()),
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
            Self::Before(time) => {
                let time = time.rfc3339().unwrap_or_else(|| time.to_string());
                write!(f, "all before {time}")
            }
            Self::Through(size) => write!(f, "all up to serial {size}"),
            Self::Host(name) => write!(f, "host {name}"),
            Self::NewHost(host) => write!(f, "host {}", host.name),
            Self::CaKey { key, .. } => write!(f, "CA key {key}"),
            Self::LedgerKey(key) => write!(f, "ledger key {key}"),
        }
    }
}

impl fmt::Display for LockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Target::from(self).fmt(f)
    }
}

impl fmt::Display for RevokeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Target::from(self).fmt(f)
    }
}

/// An identity covered by the name of a target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Covered {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The identity's last display name in the ledger.
    pub label: String,
}

/// The identity, key and role that locks are matched against.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// The `iss` claim.
    pub issuer: &'a str,
    /// The `sub` claim.
    pub subject: &'a str,
    /// The display name.
    pub label: &'a str,
    /// The subject key's fingerprint, if there is one.
    pub key: Option<&'a str>,
    /// The role, if there is one.
    pub role: Option<&'a str>,
}

impl<'a> Applicant<'a> {
    /// An identity of the ledger with this key and role.
    pub(crate) fn new(who: &'a Actor, key: Option<&'a str>, role: Option<&'a str>) -> Self {
        Self {
            issuer: &who.issuer,
            subject: &who.subject,
            label: &who.label,
            key,
            role,
        }
    }
}
