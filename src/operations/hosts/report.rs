//! What a host says of itself.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{ledger::event::HostKey, unix_seconds::UnixSeconds};

/// A host's report. It is state: the last one of each host is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// When it was made, in Unix milliseconds.
    pub at: u64,
    /// The host's name.
    pub host: String,
    /// Fingerprints of the user CA keys that its sshd trusts.
    pub trusted_ca_keys: Vec<String>,
    /// The version of its revocation list, if it has one.
    pub krl_version: Option<u64>,
    /// The version of its sshd.
    pub sshd_version: String,
    /// The version of its daypass.
    pub daypass_version: String,
    /// What `daypass host doctor` found to be wrong.
    pub faults: Vec<String>,
    /// Serials of the host certificates that it has.
    pub certificates: Vec<u64>,
    /// The time up to which it has reported logins; `None` if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logins_until: Option<UnixSeconds>,
    /// Whether it cannot write new certificates, so that none are to be made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_certificates: bool,
}

/// A report as its row keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeptReport {
    /// What it says, for lists.
    #[serde(flatten)]
    pub report: Report,
    /// What the host signed, for what relies on it. Rows of earlier versions have none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signed: Option<SignedReport>,
}

/// The bytes of a report, and the host's signatures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SignedReport {
    /// The bytes in base64.
    bytes: String,
    /// The host's keys in the order of the call, each with its signature.
    pub keys: Vec<HostKey>,
}

impl SignedReport {
    /// These bytes, signed by these keys.
    pub(crate) fn new(bytes: &[u8], keys: Vec<HostKey>) -> Self {
        Self {
            bytes: STANDARD.encode(bytes),
            keys,
        }
    }

    /// The signed bytes; none if the row was altered.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.bytes).ok()
    }
}
