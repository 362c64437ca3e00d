//! The host certificates that users must refuse: the list for `RevokedHostKeys` of their ssh.

use bytes::Bytes;
use ssh_key::PublicKey;

use crate::{
    ledger::LedgerState,
    operations::{authority::Authority, error::Error, host_authority::HostAuthority},
    ssh::{
        key::fingerprint,
        krl::{Krl, Revoked},
    },
};

/// Version of the list; 0 if no host certificate was ever revoked, or this server knows no hosts.
/// After a restored ledger was accepted, it is larger than every version of the lost one.
pub(crate) fn version(authority: &Authority) -> u64 {
    match authority.hosts {
        Some(_) => authority.store.state(version_of),
        None => 0,
    }
}

fn version_of(state: &LedgerState) -> u64 {
    let (version, _) = state.host_revocation_version();
    version.max(state.accepted_through())
}

/// The list, kept until it changes. It needs no signature: users have the keys that sign host
/// certificates from the same server, over the same TLS.
///
/// # Errors
/// Returns [`Error::NotFound`] if this server knows no hosts, [`Error::Store`] if a shared database
/// does not answer, and [`Error::Krl`] if the list does not read back.
pub(crate) async fn list(authority: &Authority) -> Result<Bytes, Error> {
    let hosts = super::known(authority)?;
    authority.store.follow().await?;
    let version = version(authority);
    if let Some((known, list)) = &*hosts.revoked.lock()
        && *known == version
    {
        return Ok(list.clone());
    }
    let (version, list) = fresh(authority, hosts);
    let list = Bytes::from(list.publish()?);
    *hosts.revoked.lock() = Some((version, list.clone()));
    Ok(list)
}

fn fresh(authority: &Authority, hosts: &HostAuthority) -> (u64, Krl) {
    let blob = |key: &PublicKey| (fingerprint(key), key.to_bytes().unwrap_or_default());
    let blobs: Vec<_> = hosts.ca.keys().map(|(key, _)| blob(key)).collect();
    authority.store.state(|state| {
        let revoked = state.revoked_host_certificates();
        let revoked = revoked.filter_map(|(serial, certificate)| {
            // Who fetches this list trusts the configured CA keys alone, so it needs no other. A
            // list without a CA would revoke the serials of another server's hosts, too.
            let (_, blob) = blobs.iter().find(|(key, _)| *key == certificate.ca)?;
            let ca = blob.clone();
            Some(Revoked { serial, ca })
        });
        let revoked = revoked.chain(state.lost_host_certificates().flat_map(|serial| {
            let keys = blobs.iter().map(|(_, blob)| blob.clone());
            keys.map(move |ca| Revoked { serial, ca })
        }));
        let (version, (_, at)) = (version_of(state), state.host_revocation_version());
        (version, Krl::new(version, at, revoked))
    })
}
