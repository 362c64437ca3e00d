//! What a caller asks for, and the moment of asking.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ipnet::IpNet;
use time::OffsetDateTime;

use crate::ssh::options::Extension;

/// What the caller wants.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The role's name.
    pub role: String,
    /// The host as the user spells it.
    pub host: Option<String>,
    /// Values for the holes of the role's command.
    pub params: BTreeMap<String, String>,
    /// Why access is needed.
    pub reason: Option<String>,
    /// Wished; only ever shortens.
    pub ttl: Option<Duration>,
    /// Wished; only ever narrows. Empty: the role's own.
    pub source: Vec<IpNet>,
    /// Wished; only ever narrows. Empty: the role's own.
    pub extensions: BTreeSet<Extension>,
    /// The approved request that this ask redeems.
    pub request: Option<u64>,
    /// By the role's `emergency`: no waiting, a reason always, a review afterwards.
    pub emergency: bool,
}

/// What the server knows of the moment of asking.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The time of asking.
    pub now: OffsetDateTime,
    /// The caller's address, where there is one.
    pub caller: Option<IpAddr>,
}

/// An ask for nothing.
pub(super) static NOTHING: Ask = Ask {
    role: String::new(),
    host: None,
    params: BTreeMap::new(),
    reason: None,
    ttl: None,
    source: Vec::new(),
    extensions: BTreeSet::new(),
    request: None,
    emergency: false,
};
