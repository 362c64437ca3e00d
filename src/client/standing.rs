//! What a user can still use: which passes on disk are revoked, and which locks stand in the way.

use super::{
    Client, Error, Signed,
    cache::{self, PassFiles},
    clock::now,
};
use crate::{proto::v1, ssh::certificate::role_of};

/// Most passes to ask about; the newest are asked about.
const MOST: usize = 256;

/// A pass on disk.
pub(crate) struct OnDisk {
    /// Its serial.
    pub(crate) serial: u64,
    /// Its role.
    pub(crate) role: String,
}

/// The roles that are open to this user, and what stands in the way.
pub(crate) struct Access {
    /// The open roles.
    pub(crate) roles: Vec<v1::Role>,
    /// Why the user gets no pass, as the server says; none if no lock covers the user.
    pub(crate) locked: Option<String>,
    /// The revoked passes, which are removed from disk: hosts refuse them, and the next command
    /// gets new ones.
    pub(crate) removed: Vec<OnDisk>,
}

impl Client {
    /// Asks the server for the open roles, on `host` if one is given, for locks, and for the passes
    /// on disk; removes those that are revoked.
    ///
    /// # Errors
    /// Returns the server's refusal, and [`Error::File`] if a revoked pass cannot be removed.
    pub(crate) async fn access(
        &self,
        signed: &Signed,
        host: Option<&str>,
    ) -> Result<Access, Error> {
        let serials = self.live_passes()?;
        let serials = serials.iter().map(|(_, pass)| pass.serial).collect();
        let answer = signed.listed_roles(host, serials).await?;
        let removed = match answer.revoked.as_slice() {
            [] => Vec::new(),
            revoked => self.remove(revoked).await?,
        };
        Ok(Access {
            roles: answer.roles,
            locked: Some(answer.locked).filter(|sentence| !sentence.is_empty()),
            removed,
        })
    }

    /// Removes the passes with these serials. What another command has written in their place since
    /// stays.
    async fn remove(&self, serials: &[u64]) -> Result<Vec<OnDisk>, Error> {
        let _lock = self.state.lock(self.settings().say).await?;
        let mut removed = Vec::new();
        for (files, pass) in self.live_passes()? {
            if serials.contains(&pass.serial) {
                files.remove()?;
                removed.push(pass);
            }
        }
        Ok(removed)
    }

    /// The unexpired passes on disk.
    fn live_passes(&self) -> Result<Vec<(PassFiles, OnDisk)>, Error> {
        let passes = cache::all(&self.state)?.into_iter().rev();
        let live = passes.filter(|(_, it)| it.valid_before() > now());
        let named = live.map(|(files, certificate)| {
            let key_id = certificate.key_id();
            let role = role_of(key_id).unwrap_or(key_id).to_owned();
            let serial = certificate.serial();
            (files, OnDisk { serial, role })
        });
        Ok(named.take(MOST).collect())
    }
}
