//! Locks and revocations, and whom they are aimed at. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::actor::Actor;

/// What gets no new pass while it is locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockTarget {
    /// A subject or a label, exactly, at any issuer, and everyone whom the ledger has seen under it.
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
    /// Those of a subject or a label, exactly, at any issuer, and of everyone whom the ledger has
    /// seen under it.
    Identity(String),
    /// All that were issued before this time, in Unix seconds.
    Before(u64),
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
    pub(in crate::ledger) fn chain(&self) -> Self {
        match self {
            Self::Before(_) => Self::Before(0),
            Self::Identity(_) | Self::Key(_) | Self::Role(_) | Self::Serial(_) => self.clone(),
        }
    }

    pub(in crate::ledger) fn encoded(&self) -> (&'static str, Vec<u8>) {
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

/// An identity that the name of a target stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Covered {
    /// The `iss` claim.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The name for people that the ledger saw last.
    pub label: String,
}

/// Who asks for something, as far as locks go.
#[derive(Clone, Copy, Debug)]
pub struct Applicant<'a> {
    /// The `iss` claim.
    pub issuer: &'a str,
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
    /// The identity that the ledger names so, with this key, about this role.
    pub fn new(who: &'a Actor, key: Option<&'a str>, role: Option<&'a str>) -> Self {
        Self {
            issuer: &who.issuer,
            subject: &who.subject,
            label: &who.label,
            key,
            role,
        }
    }
}
