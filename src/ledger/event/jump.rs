//! Passes through a bastion, and the jump passes that belong to them. Pure.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The bastion of a jump pass, and the pass that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jump {
    /// The bastion's name.
    pub bastion: String,
    /// The serial of the pass that it belongs to.
    pub pass: u64,
}

/// The bastion in front of a requested host, and the jump pass that would be issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedJumpHost {
    /// The bastion's name.
    pub bastion: String,
    /// The jump pass's principals.
    pub principals: BTreeSet<String>,
    /// The jump pass's source addresses; absent for any address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_addresses: Option<BTreeSet<IpNet>>,
}
