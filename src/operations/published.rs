//! Publishes what hosts fetch: the CA's keys and the revoked passes, each signed by the active CA
//! key and kept until it changes.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use tokio::time::Instant;

pub(crate) use super::documents::{Document, Revocations};
use super::{authority::Authority, documents::KeyList, error::Error, recovery};
use crate::{
    ca::{self, Ca, document::HostDocument},
    ledger::LedgerState,
    ssh::{
        ca_keys::version_line,
        key::fingerprint,
        krl::{Krl, Revoked},
    },
    unix_seconds::UnixSeconds,
};

/// Time after which a retiring key that did not sign the list of CA keys is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// [`revocations`] for a host, which may have asked another server of this ledger before.
///
/// # Errors
/// As [`revocations`], and [`Error::Store`] if a shared database does not answer.
pub(crate) async fn current_revocations(authority: &Authority) -> Result<Arc<Revocations>, Error> {
    authority.store.follow().await?;
    revocations(authority).await
}

/// [`ca_keys`] for a host, which may have asked another server of this ledger before.
///
/// # Errors
/// As [`ca_keys`], and [`Error::Store`] if a shared database does not answer.
pub(crate) async fn current_ca_keys(authority: &Authority) -> Result<Arc<Document>, Error> {
    authority.store.follow().await?;
    ca_keys(authority).await
}

/// The passes that hosts must refuse now. Includes every revocation that was acknowledged before
/// the call, as far as this server has heard. The list follows from the ledger and the CA's keys
/// alone, its date too: every start and every server of the same ledger publishes the same bytes.
///
/// # Errors
/// Returns [`Error::Ca`] if the key does not sign, and [`Error::Krl`] if the list does not read
/// back. Nothing is published then.
pub(crate) async fn revocations(authority: &Authority) -> Result<Arc<Revocations>, Error> {
    let mut last = authority.published.revocations().await;
    let (version, keys) = authority
        .store
        .state(|state: &LedgerState| (state.revocation_version(), state.ca_keys().version()));
    match &*last {
        // The key that signs may be another one since.
        Some(last) if (last.version, last.keys) == (version, keys) => Ok(last.clone()),
        Some(_) | None => {
            let fresh = Arc::new(list(authority).await?);
            *last = Some(fresh.clone());
            Ok(fresh)
        }
    }
}

/// Every published key, one per line below a comment with the list's version: a file for sshd's
/// `TrustedUserCAKeys`. It changes with each order about a key, with the acceptance of a restored
/// ledger and, before the first order, with a restart.
/// Servers that share a ledger and have the same keys publish the same bytes.
///
/// # Errors
/// Returns [`Error::Ca`] if the key does not sign.
pub(crate) async fn ca_keys(authority: &Authority) -> Result<Arc<Document>, Error> {
    let through = authority.store.state(LedgerState::accepted_through);
    // After a restored ledger was accepted, it is larger than every version of the lost one.
    let version = authority.keys_version().max(through);
    let mut last = authority.published.keys().await;
    let known = last.as_ref().filter(|last| last.version == version);
    let is_whole = |last: &&KeyList| last.again_at.is_none_or(|again| Instant::now() < again);
    if let Some(last) = known.filter(is_whole) {
        return Ok(last.document.clone());
    }
    let ca = authority.ca();
    let mut fresh = match known {
        Some(last) => Document::clone(&last.document),
        None => Document::signed(&ca, HostDocument::CaKeys, key_lines(&ca, version)?).await?,
    };
    let (more, may_sign_later) = ca.sign_keys_by_retired(&fresh.body).await;
    fresh.more_signatures = more;
    let fresh = Arc::new(fresh);
    *last = Some(KeyList {
        version,
        document: fresh.clone(),
        again_at: may_sign_later.then(|| Instant::now() + AGAIN),
    });
    Ok(fresh)
}

async fn list(authority: &Authority) -> Result<Revocations, Error> {
    // Before the keys: an order that comes between is noticed at the next call.
    let keys = authority.store.state(|state| state.ca_keys().version());
    let ca = authority.ca();
    let unsigned = revocations_by(authority, &ca)?;
    Ok(Revocations {
        document: Document::signed(&ca, HostDocument::Krl, unsigned.body).await?,
        version: unsigned.version,
        keys,
        made_at: unsigned.made_at,
    })
}

/// A revocation list that is not signed yet.
struct Unsigned {
    version: u64,
    made_at: UnixSeconds,
    body: Vec<u8>,
}

fn revocations_by(authority: &Authority, ca: &Ca) -> Result<Unsigned, Error> {
    let blobs = blobs(ca)?;
    let blob = |key: &str| {
        let known = blobs.iter().find(|(fingerprint, _)| fingerprint == key);
        // A CA key that is no longer configured may still be trusted by a host that is late.
        known.map(|(_, blob)| blob.clone()).unwrap_or_default()
    };
    let (version, made_at, passes) = authority.store.state(|state| {
        let passes = state.revoked().map(|pass| Revoked {
            serial: pass.serial,
            ca: blob(&pass.ca),
        });
        let passes = passes.collect::<Vec<_>>();
        let made_at = state.revocations_changed_at();
        (state.revocation_version(), made_at, passes)
    });
    let body = Krl::new(version, made_at, passes).publish()?;
    Ok(Unsigned {
        version,
        made_at,
        body,
    })
}

/// Signs the list of CA keys as `ca` would publish it, and publishes nothing.
///
/// # Errors
/// Returns [`Error::Ca`] if the key does not sign it.
pub(super) async fn rehearse(authority: &Authority, ca: &Ca) -> Result<(), Error> {
    let lines = key_lines(ca, authority.keys_version())?;
    Document::signed(ca, HostDocument::CaKeys, lines).await?;
    Ok(())
}

/// Signs all that hosts fetch as `ca` would publish it now, and publishes nothing.
///
/// # Errors
/// As [`rehearse`], and [`Error::Store`] if the ledger cannot be read.
pub(super) async fn rehearse_all(authority: &Authority, ca: &Ca) -> Result<(), Error> {
    rehearse(authority, ca).await?;
    let now = revocations_by(authority, ca)?;
    Document::signed(ca, HostDocument::Krl, now.body).await?;
    recovery::rehearse(authority, ca).await
}

/// The version is signed with the keys, so that no host accepts an older list again.
fn key_lines(ca: &Ca, version: u64) -> Result<Vec<u8>, Error> {
    let mut lines = version_line(version);
    for (key, _) in ca.keys() {
        let line = key.to_openssh().map_err(|_| ca::Error::Key)?;
        let _ = writeln!(lines, "{line}");
    }
    Ok(lines.into_bytes())
}

/// Fingerprint and blob of every published key.
fn blobs(ca: &Ca) -> Result<Vec<(String, Vec<u8>)>, ca::Error> {
    let blob = |key: &ssh_key::PublicKey| {
        let blob = key.to_bytes().map_err(|_| ca::Error::Key)?;
        Ok((fingerprint(key), blob))
    };
    ca.keys().map(|(key, _)| blob(key)).collect()
}
