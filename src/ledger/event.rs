//! What the ledger records. The stored JSON bytes are the leaf.
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// One leaf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub index: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(flatten)]
    pub what: What,
}

/// Who, as the ledger names them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Who {
    pub issuer: String,
    pub subject: String,
    pub label: String,
    /// The claims the decision was made over (groups and the like), for `explain` and `replay`.
    pub claims: serde_json::Value,
}

/// What was asked, as given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub role: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty", default)]
    pub params: std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub source_addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub extensions: Vec<String>,
    /// The caller's address as the server saw it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caller: Option<String>,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// A daemon started. Index 0 is always one, so no pass has serial 0.
    Started {
        version: String,
        server: String,
    },
    PolicyLoaded {
        policy: String,
    },
    /// A pass was decided; its key is used only after this is durable.
    Issued(Box<Issued>),
    /// Signing failed after `issued`.
    SigningFailed {
        serial: u64,
        cause: String,
    },
    Denied {
        who: Who,
        ask: Asked,
        key: Option<String>,
        reason: String,
        detail: String,
        policy: String,
    },
    KeyStaged {
        key: String,
    },
    KeyActivated {
        key: String,
    },
    KeyRetired {
        key: String,
    },
}

/// All of a pass but its serial, which is the event's index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issued {
    pub who: Who,
    pub ask: Asked,
    /// Fingerprint of the subject key (`SHA256:...`).
    pub key: String,
    pub binding: crate::ledger::event::BindingWord,
    pub key_id: String,
    pub principals: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_addresses: Option<Vec<String>>,
    pub extensions: Vec<String>,
    /// Unix seconds.
    pub valid_after: u64,
    pub valid_before: u64,
    /// Hash of the policy file that decided.
    pub policy: String,
    /// Fingerprint of the CA key.
    pub ca: String,
    /// Hex SHA-256 of the exact to-be-signed bytes; the writer fills it, for they hold the serial.
    pub to_be_signed: String,
}

/// The binding's word in the ledger: `nonce`, `audience`, `none`.
pub type BindingWord = String;
