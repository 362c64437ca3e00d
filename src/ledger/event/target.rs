//! Locks and revocations, and whom they are aimed at. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Who;

/// What gets no new pass while it is locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockTarget {
    /// A subject or a label, exactly, whichever issuer it is of.
    Identity(String),
    /// A subject key's fingerprint (`SHA256:...`).
    Key(String),
    /// A role's name.
    Role(String),
}

/// Which passes hosts must refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevokeTarget {
    /// One pass.
    Serial(u64),
    /// Those for a subject key's fingerprint (`SHA256:...`).
    Key(String),
    /// Those of a subject or a label, exactly, whichever issuer it is of.
    Identity(String),
    /// All that were issued before this time, in Unix seconds.
    Before(u64),
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who revoked.
    pub who: Who,
    /// What it was aimed at.
    pub target: RevokeTarget,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The passes that this revoked, in order: those that were out and not revoked before.
    pub serials: Vec<u64>,
    /// Fingerprint of the key that they proved (`SHA256:...`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Locked {
    /// Who locked.
    pub who: Who,
    /// What is locked.
    pub target: LockTarget,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The passes that this revoked, in order: those that were out and not revoked before.
    pub serials: Vec<u64>,
    /// Fingerprint of the key that they proved (`SHA256:...`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// The end of a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unlocked {
    /// Who unlocked.
    pub who: Who,
    /// What is no longer locked.
    pub target: LockTarget,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Fingerprint of the key that they proved (`SHA256:...`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

/// Who asks for something, as far as locks go.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// The `sub` claim.
    pub subject: &'a str,
    /// The name for people.
    pub label: &'a str,
    /// The subject key's fingerprint, where there is one.
    pub key: Option<&'a str>,
    /// The role, where it is about one.
    pub role: Option<&'a str>,
}

impl<'a> Applicant<'a> {
    /// Whoever the ledger names so, with this key, about this role.
    pub fn new(who: &'a Who, key: Option<&'a str>, role: Option<&'a str>) -> Self {
        Self {
            subject: &who.subject,
            label: &who.label,
            key,
            role,
        }
    }

    /// Whether a subject or label is theirs.
    pub fn is_called(&self, identity: &str) -> bool {
        self.subject == identity || self.label == identity
    }
}

impl LockTarget {
    /// Whether this is one of the things that a lock on `self` stops.
    pub fn is_about(&self, applicant: &Applicant<'_>) -> bool {
        match self {
            Self::Identity(identity) => applicant.is_called(identity),
            Self::Key(key) => applicant.key == Some(key),
            Self::Role(role) => applicant.role == Some(role),
        }
    }
}

impl fmt::Display for LockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(identity) => write!(f, "identity {identity}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Role(role) => write!(f, "role {role}"),
        }
    }
}

impl fmt::Display for RevokeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial(serial) => write!(f, "serial {serial}"),
            Self::Key(key) => write!(f, "key {key}"),
            Self::Identity(identity) => write!(f, "identity {identity}"),
            Self::Before(time) => write!(f, "all before {time}"),
        }
    }
}
