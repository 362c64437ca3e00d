//! Facts that every client and host may read without a token.

use std::time::Duration;

use ssh_key::PublicKey;
use tokio::time::timeout;

use super::{
    authority::Authority,
    error::Error,
    hosts::{self, HostTrust},
    keyring::published_as,
};
use crate::{
    ca::{self, KeyState},
    ledger::{checkpoint::Verifier, handover::Handover, tile::Tile},
    policy::bastion::Bastion,
    ssh::key::fingerprint,
};

/// Facts that a client or a host needs to trust this CA's passes and its ledger.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The name that possession proofs are made for.
    pub server_name: String,
    /// The CA's keys, the active one first.
    pub keys: Vec<(PublicKey, KeyState)>,
    /// The key that checkpoints are signed with; its name is the ledger's origin.
    pub verifier: Verifier,
    /// The handovers that led to it.
    pub handovers: Vec<Handover>,
    /// Host-name patterns that passes are for.
    pub host_patterns: Vec<String>,
    /// The bastions, in the policy's order.
    pub bastions: Vec<Bastion>,
    /// What users need to trust known hosts.
    pub hosts: HostTrust,
    /// Version of the list of revoked host certificates; 0 if there is none.
    pub host_revocations_version: u64,
}

/// Time to look for what other servers of the ledger recorded. While the database is away, an older
/// answer is better than none.
const LOOKING: Duration = Duration::from_secs(2);

/// [`trust`], as new as everything that another server of the ledger has shown: else a client takes
/// a server that is a moment behind for one whose list of revocations was put back.
pub(crate) async fn current_trust(authority: &Authority) -> Trust {
    if let Ok(Err(error)) = timeout(LOOKING, authority.store.follow()).await {
        tracing::debug!(%error, "the public facts may be older than those of another server");
    }
    trust(authority)
}

/// Answers every caller.
pub(crate) fn trust(authority: &Authority) -> Trust {
    let policy = authority.policy();
    let patterns = policy.host_patterns();
    let ledger_keys = authority.store.published_keys();
    Trust {
        server_name: authority.server_name.clone(),
        keys: authority
            .ca()
            .keys()
            .map(|(key, state)| (key.clone(), state))
            .collect(),
        verifier: ledger_keys.key,
        handovers: ledger_keys.handovers,
        host_patterns: patterns.into_iter().map(str::to_owned).collect(),
        bastions: policy.bastions().to_vec(),
        hosts: hosts::trust(authority),
        host_revocations_version: hosts::revoked::version(authority),
    }
}

/// The ledger's head, signed (C2SP tlog-checkpoint).
///
/// # Errors
/// Returns [`Error::Store`] if it cannot be stored before it is shown.
pub(crate) async fn checkpoint(authority: &Authority) -> Result<String, Error> {
    Ok(authority.store.checkpoint().await?)
}

/// A tile of the ledger's tree (C2SP tlog-tiles): hashes, never events. None if it is beyond the
/// head.
///
/// # Errors
/// Returns [`Error::Store`] if it cannot be read.
pub(crate) async fn tile(authority: &Authority, tile: Tile) -> Result<Option<Vec<u8>>, Error> {
    Ok(authority.store.tile(tile).await?)
}

/// The state of this CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// Whether events can be recorded now. If not, no pass is issued.
    pub store: bool,
    /// The sentence about the ledger's key that this server lacks.
    pub lacking_key: Option<String>,
    /// Whether the ledger turned out to be another one than this server knows, while it ran.
    pub is_changed: bool,
    /// Whether another server of this ledger has other CA keys in its configuration.
    pub has_other_keys: bool,
    /// Whether the ledger names the policy that this server uses. If not, no pass is issued.
    pub policy: bool,
    /// The ledger's size.
    pub ledger_size: u64,
    /// Events that the scrub has read in this round.
    pub scrubbed: u64,
    /// Events that the scrub reads in this round; 0 if the start read them all.
    pub scrubbed_of: u64,
    /// Whether neither the scrub nor an append has found damage.
    pub is_intact: bool,
    /// Events that the search index lacks; none while it has no file.
    pub unindexed: Option<u64>,
}

impl Health {
    /// Events that the search index has.
    pub(crate) fn indexed(&self) -> u64 {
        let lacking = self.unindexed.unwrap_or(self.ledger_size);
        self.ledger_size.saturating_sub(lacking)
    }
}

/// The CA keys that orders are about, by fingerprint, with their states; none if it is published no
/// more.
pub(crate) fn ordered_keys(authority: &Authority) -> Vec<(String, Option<KeyState>)> {
    authority.store.state(|state| {
        let keys = state.ca_keys().iter();
        keys.map(|it| (it.fingerprint.clone(), published_as(it.state)))
            .collect()
    })
}

/// A CA key that should sign and cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingKey {
    /// Its fingerprint.
    pub key: String,
    /// Whether this server does not have it. Else another program keeps it, and does not answer.
    pub is_absent: bool,
}

/// The CA key that signs, if it is not here or does not answer. No pass is issued then.
pub(crate) fn missing_key(authority: &Authority) -> Option<MissingKey> {
    let ca = authority.ca();
    match ca.expect_key() {
        Ok(()) => None,
        Err(error) => Some(MissingKey {
            key: fingerprint(ca.active()),
            is_absent: matches!(error, ca::Error::Absent { .. }),
        }),
    }
}

/// The same of the key that signs host certificates. No host gets a certificate then.
pub(crate) fn missing_host_key(authority: &Authority) -> Option<String> {
    let ca = authority.hosts.as_ref()?.ca();
    match ca.expect_key() {
        Ok(()) => None,
        Err(_) => Some(fingerprint(ca.active())),
    }
}

/// Asks the store. Reads no database.
pub(crate) fn health(authority: &Authority) -> Health {
    let scrubbed = authority.store.scrubbed();
    let is_changed = authority.store.is_changed();
    Health {
        store: authority.store.is_ready(),
        lacking_key: authority.store.lacking_key(),
        is_changed,
        has_other_keys: authority.has_keys_elsewhere(),
        policy: authority.policy_elsewhere().is_none(),
        ledger_size: authority.store.size(),
        scrubbed: scrubbed.read,
        scrubbed_of: scrubbed.of,
        is_intact: scrubbed.damage.is_none() && !is_changed,
        unindexed: authority.store.unindexed(),
    }
}
