//! Makes the running sshd read its host certificates: it reads them when it starts and reloads,
//! unlike CA keys and the revocation list. It is never asked to read a configuration that it would
//! reject, because then it would end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::Instant};

use super::{
    Error,
    files::Layout,
    running_sshd::RunningSshd,
    sshd::{Connection, Sshd},
};

/// Time for sshd to write its `PidFile` anew.
const PATIENCE: Duration = Duration::from_secs(5);
/// Delay between two looks at it.
const PAUSE: Duration = Duration::from_millis(20);
/// sshd's unit, as distributions name it.
const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];
/// It is there if systemd is the first process.
const SYSTEMD: &str = "/run/systemd/system";
/// The configuration of systemd's sshd.
const USUAL: &str = "/etc/ssh/sshd_config";

/// Reloads the running sshd, if it accepts its configuration. One that does not run reads all when
/// it starts.
///
/// # Errors
/// Returns [`Error::Sshd`] if sshd rejects its configuration, or cannot be reloaded from here.
pub(crate) async fn reload(layout: &Layout, sshd: &Sshd) -> Result<(), Error> {
    sshd.test().await?;
    let effective = sshd.effective(&Connection::unlisted()).await?;
    let pid_file = PathBuf::from(effective.value("pidfile"));
    if let Some(running) = RunningSshd::find(&pid_file, &layout.sshd_config()) {
        return hang_up(&running, &pid_file, layout).await;
    }
    if layout.sshd_config() == Path::new(USUAL) && Path::new(SYSTEMD).is_dir() {
        return by_systemd().await;
    }
    Err(Error::Sshd(format!(
        "no running sshd has written its number to {}: if one runs, reload it, so that it reads its host certificates",
        pid_file.display()
    )))
}

/// Sends SIGHUP, and waits until sshd has read its configuration.
async fn hang_up(running: &RunningSshd, pid_file: &Path, layout: &Layout) -> Result<(), Error> {
    running
        .hang_up()
        .map_err(|error| Error::Sshd(format!("sshd cannot be reloaded: {error}")))?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let now = RunningSshd::find(pid_file, &layout.sshd_config());
        if now.is_some_and(|now| now != *running) {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Error::Sshd(
        "sshd was told to reload and has not done it; look at its log".to_owned(),
    ))
}

async fn by_systemd() -> Result<(), Error> {
    for unit in UNITS {
        if !systemctl(&["is-active", "--quiet", unit]).await? {
            continue;
        }
        return match systemctl(&["reload", unit]).await? {
            true => Ok(()),
            false => Err(Error::Sshd(format!(
                "`systemctl reload {unit}` failed; look at: systemctl status {unit}"
            ))),
        };
    }
    // It waits for its first connection, or has stopped.
    Ok(())
}

async fn systemctl(words: &[&str]) -> Result<bool, Error> {
    let mut command = Command::new("systemctl");
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let status = tokio::time::timeout(PATIENCE, command.status()).await;
    let status = status.map_err(|_| Error::Sshd("systemctl does not answer".to_owned()))?;
    Ok(status.map_err(Error::file("systemctl"))?.success())
}

/// Remembers that the running sshd is to be reloaded, until [`done`].
///
/// # Errors
/// Returns [`Error::File`] if that fails.
pub(crate) fn remember(layout: &Layout) -> Result<(), Error> {
    let path = layout.reload_due();
    fs::write(&path, "").map_err(Error::file(path))
}

/// Whether the running sshd is still to be reloaded.
pub(crate) fn is_due(layout: &Layout) -> bool {
    layout.reload_due().exists()
}

/// Forgets it.
pub(crate) fn done(layout: &Layout) {
    // One that stays costs a reload too many.
    let _ = fs::remove_file(layout.reload_due());
}
