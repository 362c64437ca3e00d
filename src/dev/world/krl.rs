//! Copies the authority's revocation list to the dev world's host, as `daypass host sync` does
//! elsewhere.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use crate::{
    dev::{Error, sshd::put_krl},
    operations::{Authority, published},
    ticks::ticks,
};

/// The longest that a revoked pass may still be taken.
const EVERY: Duration = Duration::from_secs(1);

/// A task that writes the list. It ends when it is dropped.
pub(super) struct KrlRefresher(JoinHandle<()>);

impl KrlRefresher {
    /// Writes the present list, then starts the task.
    pub(super) async fn start(authority: Arc<Authority>, file: PathBuf) -> Result<Self, Error> {
        let mut version = match write(&authority, &file, None).await {
            // As on any host while the CA's key is away.
            Err(error) if file.is_file() => {
                tracing::warn!(%error, "sshd keeps its old revocation list");
                None
            }
            written => written?,
        };
        let task = tokio::spawn(async move {
            let mut ticks = ticks(EVERY);
            loop {
                ticks.tick().await;
                match write(&authority, &file, version).await {
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

/// Writes the list if its version differs from `version`. Returns the list's version.
async fn write(
    authority: &Authority,
    file: &std::path::Path,
    version: Option<u64>,
) -> Result<Option<u64>, Error> {
    let revocations = published::revocations(authority)
        .await
        .map_err(|error| Error::Daemon("publish the revocations of", error.into()))?;
    if version != Some(revocations.version) {
        put_krl(file, &revocations.document.body)?;
    }
    Ok(Some(revocations.version))
}
