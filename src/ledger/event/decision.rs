//! A decision about a request.

use serde::{Deserialize, Serialize};

use super::Actor;

/// A decision about a request, with the decider's signature ([`crate::ledger::approval`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestDecision {
    /// The request's id.
    pub request: u64,
    /// The role that it is for.
    pub role: String,
    /// The decider.
    pub who: Actor,
    /// The decider's public key in OpenSSH form.
    pub key: String,
    /// The decider's SSHSIG in base64, on one line.
    pub signature: String,
    /// The decider's comment, which is part of the signature.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub comment: String,
    /// Hash of the policy file that permitted the decision.
    pub policy: String,
    /// The signature that shows the approver's presence, if the policy demands it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub presence: Option<Presence>,
}

impl RequestDecision {
    /// The keys that signed, in OpenSSH form.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let presence = self.presence.iter().map(|it| it.key.as_str());
        std::iter::once(self.key.as_str()).chain(presence)
    }
}

/// A signature by a passkey or security key over the same message as the decision's own
/// ([`crate::ssh::presence`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// The public key in OpenSSH form.
    pub key: String,
    /// The SSHSIG in base64, on one line.
    pub signature: String,
}
