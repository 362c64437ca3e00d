//! What a user can still use: which passes on disk are revoked, and which locks stand in the way.

use super::{
    Client, Error, Signed,
    cache::{self, PassFiles},
    clock::now,
};
use crate::proto::v1;

/// Most passes to ask about; the newest are asked about.
const MOST: usize = 256;

/// A revoked pass that was removed from disk.
pub(crate) struct Removed {
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
    pub(crate) removed: Vec<Removed>,
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
        let passes = self.live_passes()?;
        let serials = passes.iter().map(|(_, serial, _)| *serial).collect();
        let answer = signed.listed_roles(host, serials).await?;
        let mut removed = Vec::new();
        for (files, serial, role) in passes {
            if answer.revoked.contains(&serial) {
                files.remove()?;
                removed.push(Removed { serial, role });
            }
        }
        Ok(Access {
            roles: answer.roles,
            locked: Some(answer.locked).filter(|sentence| !sentence.is_empty()),
            removed,
        })
    }

    /// The unexpired passes on disk, with their serials and roles.
    fn live_passes(&self) -> Result<Vec<(PassFiles, u64, String)>, Error> {
        let passes = cache::all(&self.state)?;
        let live = passes
            .into_iter()
            .rev()
            .filter(|(_, it)| it.valid_before() > now());
        let named = live.map(|(files, certificate)| {
            let key_id = certificate.key_id();
            let role = key_id.rsplit('/').next().unwrap_or(key_id).to_owned();
            (files, certificate.serial(), role)
        });
        Ok(named.take(MOST).collect())
    }
}
