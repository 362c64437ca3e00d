//! What a caller asked for, as an event records it. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What was asked, as given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestDetails {
    /// The role's name.
    pub role: String,
    /// The host that the pass is for, as the user spelt it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub host: Option<String>,
    /// Values for the holes in the role's command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub params: BTreeMap<String, String>,
    /// Why access was needed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Wished lifetime, in seconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ttl_seconds: Option<u64>,
    /// Wished source addresses.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub source_addresses: Vec<String>,
    /// Wished extensions.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub extensions: Vec<String>,
    /// The caller's address as the server saw it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub caller: Option<String>,
    /// The approved request that was to be redeemed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<u64>,
    /// Whether it was asked for as an emergency; its pass waits for a review.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub emergency: bool,
}
