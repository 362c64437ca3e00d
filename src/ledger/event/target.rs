//! Locks and revocations, and whom they are aimed at. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Who;
use crate::ledger::order::{Proof, Target};

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
    /// Everyone whom the ledger knew under the target's name, in order; empty for other targets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub covers: Vec<Covered>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
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
    /// Everyone whom the ledger knew under the target's name, in order; empty for other targets.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub covers: Vec<Covered>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
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
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
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
    pub fn new(who: &'a Who, key: Option<&'a str>, role: Option<&'a str>) -> Self {
        Self {
            issuer: &who.issuer,
            subject: &who.subject,
            label: &who.label,
            key,
            role,
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
