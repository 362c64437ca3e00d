//! Host certificates: each is recorded, then signed.

use sha2::{Digest, Sha256};
use ssh_key::{Certificate, PublicKey};
use time::OffsetDateTime;

use super::known;
use crate::{
    ca::{HostDraft, host::Subject},
    ledger::{
        EventKind,
        event::HostCertified,
        state::{HostRecord, Rejection, Rule},
    },
    operations::{authority::Authority, error::Error, host_authority::HostAuthority},
};

/// The most certificates of one host that are valid at the same time. All are remembered, to be
/// revoked. A host that renews has two of each key.
const MOST_VALID: usize = 512;

/// Makes a certificate for each of these keys of the host, in their order. `nonce` is random and
/// used once.
///
/// # Errors
/// Returns [`Error::Rejection`] if the host has got many certificates lately, [`Error::Store`] if
/// the ledger cannot be written, and [`Error::KeyAway`] or [`Error::Ca`] if the key does not sign.
pub(in crate::operations) async fn certify(
    authority: &Authority,
    host: &HostRecord,
    keys: &[PublicKey],
    nonce: [u8; 32],
    now: OffsetDateTime,
) -> Result<Vec<Certificate>, Error> {
    let hosts = known(authority)?;
    super::expect_allowed(authority, hosts, host.names())?;
    // Recorded certificates that are never signed would tell an auditor nothing.
    hosts.ca.expect_key()?;
    let drafts: Result<Vec<_>, _> = (0..)
        .zip(keys)
        .map(|(at, key)| draft(hosts, host, key, derived(&nonce, at), now))
        .collect();
    let drafts = drafts?;
    let out = authority.store.state(|state| {
        let host = state.host(&host.name);
        host.map_or(0, |host| host.valid_certificates(now.into()).len())
    });
    if out.saturating_add(drafts.len()) > MOST_VALID {
        let detail = format!(
            "this host has {out} certificates that are still valid, and gets no more: an administrator removes it, which \
             revokes them, and lets it join again"
        );
        return Err(Error::Rejection(Rejection::new(Rule::TooMany, detail)));
    }
    if let Some(pause) = hosts.failures.pause(&host.name, now) {
        let detail = format!(
            "signing the last certificate of this host failed, as the server's log says: it gets the next one in {} minutes",
            pause.whole_minutes().saturating_add(1)
        );
        return Err(Error::Rejection(Rejection::new(Rule::TooMany, detail)));
    }
    // All of them or none: a host that came for several again and again would take each one that
    // its bucket gets, and never get any.
    let has_room = {
        let mut buckets = hosts.certified.lock();
        buckets.take_many(drafts.len(), "", &host.name, now)
    };
    if !has_room {
        let detail =
            "this host has got many certificates lately: it gets the next one in some minutes";
        return Err(Error::Rejection(Rejection::new(Rule::TooMany, detail)));
    }
    let mut certificates = Vec::with_capacity(drafts.len());
    for draft in drafts {
        match sign(authority, hosts, &host.name, draft, now).await {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => {
                hosts.failures.add(&host.name, now);
                return Err(error);
            }
        }
    }
    hosts.failures.forget(&host.name);
    Ok(certificates)
}

fn draft(
    hosts: &HostAuthority,
    host: &HostRecord,
    key: &PublicKey,
    nonce: [u8; 32],
    now: OffsetDateTime,
) -> Result<HostDraft, Error> {
    let subject = Subject {
        name: &host.name,
        aliases: &host.aliases,
        key,
        lifetime: hosts.settings.lifetime,
    };
    Ok(HostDraft::new(subject, &hosts.ca, nonce, now)?)
}

/// A nonce for one of several certificates.
fn derived(nonce: &[u8; 32], at: u8) -> [u8; 32] {
    let hash = Sha256::new().chain_update(nonce).chain_update([at]);
    hash.finalize().into()
}

/// Records, then signs: the event is durable before the key is used.
async fn sign(
    authority: &Authority,
    hosts: &HostAuthority,
    host: &str,
    draft: HostDraft,
    now: OffsetDateTime,
) -> Result<Certificate, Error> {
    let certified = Box::new(HostCertified {
        host: host.to_owned(),
        key: draft.key_fingerprint().to_owned(),
        key_id: draft.key_id().to_owned(),
        principals: draft.principals().clone(),
        valid_after: draft.valid_after(),
        valid_before: draft.valid_before(),
        ca: draft.ca_fingerprint().to_owned(),
        to_be_signed: String::new(),
    });
    let store = &authority.store;
    let (draft, receipt) = store.certify(draft, certified, now).await?;
    let serial = receipt.serial();
    match hosts.ca.sign(draft, receipt).await {
        Ok(certificate) => Ok(certificate),
        Err(error) => {
            let cause = error.to_string();
            tracing::error!(serial, cause, "signing a host certificate failed");
            let failed = EventKind::SigningFailed { serial, cause };
            store.record(failed, now).await?;
            Err(error.into())
        }
    }
}
