//! A caller's ask, and the context of asking.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ipnet::IpNet;
use time::OffsetDateTime;

use crate::ssh::options::Extension;

/// A caller's ask.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The role's name.
    pub role: String,
    /// The host, as the user typed it.
    pub host: Option<String>,
    /// Values for the parameters of the role's command.
    pub params: BTreeMap<String, String>,
    /// The caller's reason.
    pub reason: Option<String>,
    /// Requested lifetime. It can only shorten the role's own.
    pub ttl: Option<Duration>,
    /// Requested source networks. They can only narrow the role's own. Empty for the role's own.
    pub source: Vec<IpNet>,
    /// Requested extensions. They can only narrow the role's own. Empty for the role's own.
    pub extensions: BTreeSet<Extension>,
    /// The approved request to redeem.
    pub request: Option<u64>,
    /// Whether the ask uses the role's `emergency`: no approval, a required reason, a review
    /// afterwards.
    pub emergency: bool,
}

/// The server's view of the moment of asking.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The time of asking.
    pub now: OffsetDateTime,
    /// The caller's address, if it is known.
    pub caller: Option<IpAddr>,
}

/// An empty ask.
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
