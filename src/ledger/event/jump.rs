//! Passes through a bastion, and the jump passes that belong to them. Pure.

use serde::{Deserialize, Serialize};

/// What a jump pass is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// The bastion's name.
    pub bastion: String,
    /// The serial of the pass that it belongs to.
    pub pass: u64,
}

/// The bastion that the pass of a request would go through, and what its jump pass would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedJumpHost {
    /// The bastion's name.
    pub bastion: String,
    /// The jump pass's principals.
    pub principals: Vec<String>,
    /// Its source addresses; absent: any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_addresses: Option<Vec<String>>,
}
