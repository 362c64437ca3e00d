//! The state of a host that the checks look at.

use super::account::Accounts;
use crate::{
    host::{Settings, files::Layout, keys::CaKeys, sshd::Effective},
    unix_seconds::UnixSeconds,
};

/// The state of this host that the checks look at.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) layout: &'a Layout,
    pub(super) settings: &'a Settings,
    /// sshd's configuration in force.
    pub(super) effective: &'a Effective,
    /// The trusted CA keys; none if the file is missing or broken.
    pub(super) keys: Option<&'a CaKeys>,
    /// The keys of another CA that are trusted too.
    pub(super) other_keys: Option<&'a CaKeys>,
    /// The login name that was asked about.
    pub(super) user: Option<&'a str>,
    /// The client address that was asked about.
    pub(super) address: Option<&'a str>,
    /// The accounts of this machine.
    pub(super) accounts: &'a Accounts,
    /// Unix seconds.
    pub(super) now: UnixSeconds,
}

/// The login that was asked about, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Examined<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) address: Option<&'a str>,
}
