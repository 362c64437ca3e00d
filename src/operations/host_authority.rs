//! The part of an authority that knows hosts: their CA and their settings.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{ca::HostCa, ledger::bucket::Buckets};

/// Host certificates that one host may get at once: eight times one for each of four keys.
const CERTIFIED_AT_ONCE: u32 = 32;

/// Time after which it may get one more. Each server counts for itself.
const CERTIFIED_EVERY: time::Duration = time::Duration::minutes(5);

/// The part of an authority that knows hosts.
pub struct HostAuthority {
    pub(super) ca: HostCa,
    pub(super) settings: Settings,
    /// Certificates that each host has got lately.
    pub(super) certified: Mutex<Buckets>,
    /// The list of revoked host certificates that was made last, and its version.
    pub(super) revoked: Mutex<Option<(u64, Bytes)>>,
}

/// Settings of known hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Patterns of the names that a host may have; none: those of the policy's host groups.
    pub names: Option<Vec<String>>,
    /// How long a host certificate is valid.
    pub lifetime: Duration,
    /// Time without a report after which a host is behind.
    pub behind_after: Duration,
}

impl HostAuthority {
    /// Knows hosts by this CA and these settings.
    pub fn new(ca: HostCa, settings: Settings) -> Self {
        let buckets = Buckets::new(CERTIFIED_AT_ONCE, CERTIFIED_EVERY);
        Self {
            ca,
            settings,
            certified: Mutex::new(buckets),
            revoked: Mutex::default(),
        }
    }

    /// The keys that sign host certificates.
    pub(crate) fn ca(&self) -> &HostCa {
        &self.ca
    }
}
