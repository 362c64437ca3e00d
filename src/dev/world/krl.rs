//! The dev world's host keeps its revocation list as fresh as the authority's, as `daypass host sync` does elsewhere.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    dev::{Error, now, sshd::put_krl},
    operations::{Authority, published},
};

/// How long a pass may still be taken after it was revoked.
const EVERY: Duration = Duration::from_secs(1);

/// Writes the list until it is dropped.
pub(super) struct KrlRefresher(JoinHandle<()>);

impl KrlRefresher {
    /// Writes what is revoked already, then keeps it fresh.
    pub(super) fn start(authority: Arc<Authority>, file: PathBuf) -> Result<Self, Error> {
        let mut version = write(&authority, &file, None)?;
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                match write(&authority, &file, version) {
                    Ok(written) => version = written,
                    Err(error) => tracing::warn!(%error, "sshd keeps its old revocation list"),
                }
            }
        });
        Ok(Self(task))
    }
}

impl Drop for KrlRefresher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Writes the list where it is not the one of this version; answers with its version.
fn write(
    authority: &Authority,
    file: &std::path::Path,
    version: Option<u64>,
) -> Result<Option<u64>, Error> {
    let revocations = published::revocations(authority, now())
        .map_err(|error| Error::Daemon("publish the revocations of", error.into()))?;
    if version != Some(revocations.version) {
        put_krl(file, &revocations.document.body)?;
    }
    Ok(Some(revocations.version))
}
