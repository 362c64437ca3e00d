//! The files that `host setup` writes.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    host::{
        Error, Settings, also_trust, drop_in,
        error::InvalidAnswer,
        files::{Changes, Layout, read, to_json},
        keys::CaKeys,
        logins,
    },
    ssh::krl::Krl,
    unix_seconds::UnixSeconds,
};

/// One file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Written {
    /// Its path.
    pub path: PathBuf,
    /// Its purpose.
    pub what: &'static str,
    /// False if it had this content already.
    pub changed: bool,
}

/// The content of the files.
pub(super) struct Content<'a> {
    pub(super) keys: &'a CaKeys,
    pub(super) others: Option<&'a CaKeys>,
    pub(super) roots: Option<&'a [u8]>,
    /// Path and text of each host certificate.
    pub(super) certificates: &'a [(PathBuf, String)],
    pub(super) now: UnixSeconds,
}

/// Writes all files. Our part of sshd's configuration comes last: the files that it names must
/// exist when sshd reads it.
///
/// # Errors
/// Returns the error of the file that cannot be written.
pub(super) fn write(
    changes: &mut Changes,
    layout: &Layout,
    settings: &Settings,
    content: &Content<'_>,
) -> Result<Vec<Written>, Error> {
    let text = drop_in::text(layout, settings)?;
    let drop_in = layout.drop_in();
    changes.folder(&layout.folder())?;
    changes.folder(drop_in.parent().unwrap_or(&drop_in))?;
    match (&settings.logins, &settings.joined) {
        (Some(_), None) => return Err(Error::Usage(logins::to_join())),
        (Some(log), Some(_)) => logins::start(changes, layout, log, content.now)?,
        (None, _) => logins::end(changes, layout)?,
    }
    let mut files = Vec::new();
    let mut file = |path: PathBuf, what: &'static str, bytes: &[u8]| {
        let changed = changes.file(&path, bytes)?;
        files.push(Written {
            path,
            what,
            changed,
        });
        Ok::<_, Error>(())
    };
    if let Some(pem) = content.roots {
        file(layout.tls_ca(), "roots for the server's TLS", pem)?;
    }
    file(
        layout.krl(),
        "revocations",
        &revocations(layout, content.now)?,
    )?;
    let keys = content.keys;
    file(layout.ca_keys(), "CA keys", keys.to_text()?.as_bytes())?;
    if let Some(others) = content.others {
        let alone = others.to_text()?;
        file(
            layout.other_ca_keys(),
            "CA keys of the other CA",
            alone.as_bytes(),
        )?;
        let both = also_trust::text(keys, others)?;
        file(layout.both_ca_keys(), "CA keys of both", both.as_bytes())?;
    }
    for (path, certificate) in content.certificates {
        file(path.clone(), "a host certificate", certificate.as_bytes())?;
    }
    file(
        layout.settings(),
        "what `sync` and `doctor` go by",
        &to_json(settings)?,
    )?;
    file(drop_in, "sshd's configuration", text.as_bytes())?;
    Ok(files)
}

/// The revocation list on disk if it is valid, else an empty one. A valid one is kept: an empty
/// list would readmit revoked passes.
fn revocations(layout: &Layout, now: UnixSeconds) -> Result<Vec<u8>, Error> {
    let on_disk = read(&layout.krl())?.filter(|bytes| Krl::parse(bytes).is_ok());
    match on_disk {
        Some(bytes) => Ok(bytes),
        None => Ok(Krl::new(0, now, [])
            .publish()
            .map_err(InvalidAnswer::from)?),
    }
}
