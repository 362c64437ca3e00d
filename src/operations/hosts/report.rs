//! What a host says of itself.

use serde::{Deserialize, Serialize};

use crate::unix_seconds::UnixSeconds;

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
}
