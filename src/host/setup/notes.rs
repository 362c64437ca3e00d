//! What will not work although sshd accepts the configuration, said at once and not by the next
//! sync.

use std::{fs::File, io::Read as _, path::Path};

use crate::host::{
    Error,
    error::InvalidAnswer,
    host_keys::HostKey,
    settings::{LoginLog, Settings},
    sshd::Effective,
};

/// The notes on a host that is set up.
///
/// # Errors
/// Returns the error if a host key cannot be read.
pub(super) async fn notes(
    settings: &Settings,
    effective: &Effective,
) -> Result<Vec<String>, Error> {
    let mut notes = Vec::new();
    let joined = settings.joined.iter();
    for (joined, known) in joined.flat_map(|it| it.keys.iter().map(move |key| (it, key))) {
        let key = HostKey::at(&known.file, Some(effective)).await?;
        if key.is_none_or(|key| key.joined().fingerprint != known.fingerprint) {
            let replaced = InvalidAnswer::HostKeyReplaced {
                key: known.file.clone(),
                name: joined.name.clone(),
            };
            notes.push(replaced.to_string());
        }
    }
    if let Some(LoginLog::File(path)) = &settings.logins {
        notes.extend(unreadable(path));
    }
    Ok(notes)
}

/// Why a log cannot be read now; none if it can.
fn unreadable(path: &Path) -> Option<String> {
    // A folder opens, and is not read.
    let read = File::open(path).and_then(|mut file| file.read(&mut [0]));
    let error = read.err()?;
    Some(format!(
        "{} cannot be read: {error}. No login is reported until it can; if sshd logs to another file, name it: daypass host \
         setup --logins=FILE",
        path.display()
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_missing_or_a_folder_is_said_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("auth.log");
        assert!(unreadable(&log).unwrap().contains("No such file"));
        assert!(unreadable(folder.path()).unwrap().contains("directory"));
        std::fs::write(&log, "").unwrap();
        assert_eq!(unreadable(&log), None);
    }
}
