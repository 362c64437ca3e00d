//! Takes back what `setup` wrote, in two steps. The first takes our lines out of sshd's
//! configuration. The second, after sshd's reload, deletes the files that these lines named: a
//! running sshd that misses its `RevokedKeys` file refuses every key.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    Error, Settings, drop_in,
    files::{Changes, Layout, read},
    lock::{Lock, Wait},
    running_sshd::RunningSshd,
    sshd::{Connection, Sshd},
    sshd_files,
};

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RemoveReport {
    /// What was done.
    pub step: Step,
    /// The files that were deleted or changed.
    pub files: Vec<PathBuf>,
    /// Lines of an administrator that were left in our file.
    pub kept: Vec<String>,
}

/// The steps of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Step {
    /// sshd's configuration no longer names our files. sshd must reload.
    Configuration,
    /// The files are deleted.
    Files,
    /// There was nothing to remove.
    Nothing,
}

/// Does the next step of the removal, if need be after another command on this host.
///
/// # Errors
/// Returns the error of the step that failed; all its changes are then undone.
pub(crate) async fn remove(
    layout: &Layout,
    program: Option<&Path>,
    wait: Wait,
) -> Result<RemoveReport, Error> {
    let sshd = Sshd::new(program, &layout.sshd_config())?;
    let lock = match layout.folder().exists() {
        true => Some(Lock::wait(layout, wait).await?),
        false => None,
    };
    if let Some(text) = our_drop_in(layout)? {
        return take_out(layout, &sshd, &text).await;
    }
    let Some(lock) = lock else {
        return Ok(RemoveReport {
            step: Step::Nothing,
            files: Vec::new(),
            kept: Vec::new(),
        });
    };
    expect_unused(layout, &sshd).await?;
    delete(layout, lock)
}

/// The text of our file in `sshd_config.d`; none if it is gone, or only foreign lines are left.
fn our_drop_in(layout: &Layout) -> Result<Option<String>, Error> {
    let bytes = read(&layout.drop_in())?;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(text.filter(|text| text.contains(drop_in::FIRST_LINE)))
}

async fn take_out(layout: &Layout, sshd: &Sshd, text: &str) -> Result<RemoveReport, Error> {
    let settings = Settings::load(layout)?;
    let ours = drop_in::text(layout, &settings)?;
    let foreign = drop_in::foreign_lines(text, &ours);
    let path = layout.drop_in();
    let mut changes = Changes::default();
    match foreign.as_slice() {
        [] => {
            changes.remove(&path)?;
        }
        lines => {
            let text = lines.join("\n") + "\n";
            changes.file(&path, text.as_bytes())?;
        }
    }
    let checked = match sshd.test().await {
        Ok(()) => expect_unnamed(layout, sshd).await,
        Err(error) => Err(error),
    };
    if let Err(error) = checked {
        return Err(undo(changes, &error));
    }
    changes.keep();
    Ok(RemoveReport {
        step: Step::Configuration,
        files: vec![path],
        kept: foreign.into_iter().map(str::to_owned).collect(),
    })
}

/// Checks that sshd's configuration no longer names a file of ours: with a missing `RevokedKeys`
/// file sshd refuses every key.
async fn expect_unnamed(layout: &Layout, sshd: &Sshd) -> Result<(), Error> {
    let folder = layout.folder().display().to_string();
    for file in sshd_files::files(layout) {
        let is_named = |line: &str| {
            let line = line.split('#').next().unwrap_or_default();
            line.contains(&folder)
        };
        if let Some(at) = file.text.lines().position(is_named) {
            return Err(Error::Sshd(format!(
                "{} line {} names a file in {folder}: take that line out first",
                file.path.display(),
                at + 1
            )));
        }
    }
    let effective = sshd.effective(&Connection::unlisted()).await?;
    for keyword in ["trustedusercakeys", "revokedkeys"] {
        let value = effective.value(keyword);
        if value.starts_with(&folder) {
            return Err(Error::Sshd(format!(
                "sshd's {keyword} is still {value}: take that line out of its configuration first"
            )));
        }
    }
    Ok(())
}

/// Checks that neither the configuration nor the running sshd needs our files.
async fn expect_unused(layout: &Layout, sshd: &Sshd) -> Result<(), Error> {
    expect_unnamed(layout, sshd).await?;
    let effective = sshd.effective(&Connection::unlisted()).await?;
    let pid_file = PathBuf::from(effective.value("pidfile"));
    let Some(running) = RunningSshd::find(&pid_file, &layout.sshd_config()) else {
        return Ok(());
    };
    let path = layout.drop_in();
    let folder = path.parent().unwrap_or(&path);
    if running.missed(folder) || running.missed(&path) {
        return Err(Error::Sshd(
            "the running sshd still reads the files in its old configuration, and refuses every key without them; nothing was \
             deleted: run `systemctl reload ssh` (on some systems: sshd), then this again"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Deletes our files, and our folder if nothing else is in it.
fn delete(layout: &Layout, lock: Lock) -> Result<RemoveReport, Error> {
    let mut changes = Changes::default();
    let mut files = Vec::new();
    // Damaged settings name no certificates, and the folder then stays.
    let joined = Settings::load(layout).ok().and_then(|it| it.joined);
    let certificates = joined.iter().flat_map(|joined| &joined.keys);
    let certificates = certificates.map(|key| layout.certificate(&key.kind));
    for path in certificates.chain([
        layout.settings(),
        layout.last_sync(),
        layout.failed_sync(),
        layout.recovery(),
        layout.tls_ca(),
        layout.ca_keys(),
        layout.other_ca_keys(),
        layout.both_ca_keys(),
        layout.krl(),
        layout.reload_due(),
        layout.failed_report(),
        layout.logins(),
        layout.failed_logins(),
    ]) {
        if changes.remove(&path)? {
            files.push(path);
        }
    }
    changes.keep();
    let folder = layout.folder();
    fs::remove_file(layout.lock()).map_err(Error::file(layout.lock()))?;
    // A folder with files of others stays.
    if fs::remove_dir(&folder).is_ok() {
        files.push(folder);
    }
    drop(lock);
    let step = match files.is_empty() {
        true => Step::Nothing,
        false => Step::Files,
    };
    Ok(RemoveReport {
        step,
        files,
        kept: Vec::new(),
    })
}

fn undo(changes: Changes, error: &Error) -> Error {
    match changes.undo() {
        Ok(()) => Error::Sshd(format!("{error}\nnothing was removed")),
        Err(failed) => Error::Sshd(format!(
            "{error}\nSOME CHANGES COULD NOT BE UNDONE:\n{failed}"
        )),
    }
}
