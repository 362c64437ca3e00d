//! A caller's ask, as an event records it. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An ask, as the caller sent it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestDetails {
    /// The role's name.
    pub role: String,
    /// The host, as the user typed it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// Values for the parameters of the role's command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub params: BTreeMap<String, String>,
    /// The caller's reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Requested lifetime, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl_seconds: Option<u64>,
    /// Requested source addresses.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub source_addresses: Vec<String>,
    /// Requested extensions.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub extensions: Vec<String>,
    /// The caller's address as the server saw it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caller: Option<String>,
    /// Id of the approved request to redeem.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<u64>,
    /// Whether the ask is an emergency. Its pass needs a review afterwards.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub emergency: bool,
}
