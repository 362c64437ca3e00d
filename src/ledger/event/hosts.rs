//! Known hosts, as events record them. Pure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    actor::Actor,
    target::{NewHost, Target},
};
use crate::{ledger::order::Proof, unix_seconds::UnixSeconds};

/// An order that lets a host join.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostAdded {
    /// The administrator.
    pub who: Actor,
    /// The host's name.
    pub host: String,
    /// Its group. Empty with `rekey`.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub group: String,
    /// Its other names. Empty with `rekey`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub aliases: Vec<String>,
    /// Hex SHA-256 of the join code.
    pub code: String,
    /// First second at which the code is no longer taken.
    pub expires_at: UnixSeconds,
    /// Whether a known host may join again with other keys.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub rekey: bool,
    /// The administrator's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}

/// A host that joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostJoined {
    /// The host's name.
    pub host: String,
    /// Its group.
    pub group: String,
    /// Its other names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub aliases: Vec<String>,
    /// Its keys, each with its signature ([`crate::ssh::host_proof`]).
    pub keys: Vec<HostKey>,
    /// Hex SHA-256 of the join code, or of the machine's token.
    pub digest: String,
    /// The machine identity, if it joined without a code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub who: Option<Actor>,
    /// Hash of the policy file that let the machine join.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
}

/// A host key, with its proof of possession.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostKey {
    /// The public key in OpenSSH form, without comment.
    pub key: String,
    /// The SSHSIG in base64, on one line.
    pub signature: String,
}

/// An order that removes a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostRemoved {
    /// The administrator.
    pub who: Actor,
    /// The host's name.
    pub host: String,
    /// The administrator's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The administrator's signature. An event without one is not admitted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proof: Option<Proof>,
}

/// A host certificate, except its serial, which is the event's index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostCertified {
    /// The host's name.
    pub host: String,
    /// Fingerprint of the host key (`SHA256:...`).
    pub key: String,
    /// The certificate's key id.
    pub key_id: String,
    /// The host's name and aliases.
    pub principals: BTreeSet<String>,
    /// First second of validity.
    pub valid_after: UnixSeconds,
    /// First second after validity.
    pub valid_before: UnixSeconds,
    /// Fingerprint of the host CA key.
    pub ca: String,
    /// Hex SHA-256 of the exact to-be-signed bytes. The writer fills it in.
    pub to_be_signed: String,
}

/// A host that fell behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostBehind {
    /// Its name.
    pub host: String,
    /// Why, a sentence each.
    pub why: Vec<String>,
}

impl From<&HostAdded> for Target {
    fn from(added: &HostAdded) -> Self {
        Self::NewHost(Box::new(NewHost {
            name: added.host.clone(),
            group: added.group.clone(),
            aliases: added.aliases.clone(),
            code: added.code.clone(),
            expires_at: added.expires_at,
            rekey: added.rekey,
        }))
    }
}
