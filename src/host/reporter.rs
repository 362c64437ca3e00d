//! What a host that has joined needs for each call to the server: its host keys, and the server's
//! name.

use std::{path::Path, time::Duration};

use sha2::{Digest, Sha256};

use super::{
    Error, Settings,
    error::InvalidAnswer,
    files::Layout,
    host_keys::HostKey,
    join::prove,
    server::Server,
    settings::Joined,
    sshd::{Connection, Effective, Sshd},
};
use crate::{
    proto::v1::{GetTrustResponse, HostKeyProof},
    ssh::host_proof::HostVerb,
};

/// What each report of a host needs.
pub(super) struct Reporter<'a> {
    pub(super) layout: &'a Layout,
    pub(super) settings: &'a Settings,
    pub(super) joined: &'a Joined,
    pub(super) server: Server,
    pub(super) trust: GetTrustResponse,
    pub(super) sshd: Sshd,
    pub(super) effective: Option<Effective>,
    pub(super) keys: Vec<HostKey>,
}

impl<'a> Reporter<'a> {
    /// Asks sshd and the server.
    ///
    /// # Errors
    /// Returns the error if sshd cannot be run, a host key was replaced, or the server cannot be
    /// reached.
    pub(super) async fn new(
        layout: &'a Layout,
        settings: &'a Settings,
        joined: &'a Joined,
        sshd: Option<&Path>,
        deadline: Duration,
    ) -> Result<Self, Error> {
        let sshd = Sshd::new(sshd, &layout.sshd_config())?;
        // `faults` says what keeps sshd from reading its configuration.
        let _ = sshd.provide_run_folder().await;
        let effective = sshd.effective(&Connection::unlisted()).await.ok();
        let keys = host_keys(joined, effective.as_ref()).await?;
        // Another check reports roots that cannot be used.
        let roots = settings.roots(layout).unwrap_or(None);
        let server = Server::new(settings, roots.as_deref(), deadline)?;
        let trust = server.trust().await?;
        Ok(Self {
            layout,
            settings,
            joined,
            server,
            trust,
            sshd,
            effective,
            keys,
        })
    }

    /// The proof of each host key over these bytes.
    pub(super) async fn prove(
        &self,
        verb: HostVerb,
        bytes: &[u8],
    ) -> Result<Vec<HostKeyProof>, Error> {
        let digest = Sha256::digest(bytes).into();
        prove(&self.keys, &self.trust.server_name, (verb, &digest)).await
    }
}

/// The host keys that joined, each still the same.
async fn host_keys(joined: &Joined, effective: Option<&Effective>) -> Result<Vec<HostKey>, Error> {
    let mut keys = Vec::new();
    for known in &joined.keys {
        let key = HostKey::at(&known.file, effective).await?;
        let key = key.filter(|key| key.joined().fingerprint == known.fingerprint);
        keys.push(key.ok_or_else(|| InvalidAnswer::HostKeyReplaced {
            key: known.file.clone(),
            name: joined.name.clone(),
        })?);
    }
    Ok(keys)
}
