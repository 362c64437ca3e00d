//! Making sshd trust the CA: keys, an empty revocation list, a drop-in; then sshd itself is asked, and where it says no
//! everything is as it was. Doing it again changes nothing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use ssh_key::Fingerprint;

use super::{
    Error, Settings, drop_in,
    error::InvalidAnswer,
    files::{Changes, Layout, read},
    keys::{CaKeys, fingerprint},
    server::{Answer, Server},
    sshd::{Connection, Effective, Sshd},
    sync::to_json,
};
use crate::ssh::{krl::Krl, principal, sshsig::Namespace};

/// What the administrator asks for.
#[derive(Clone, Debug)]
pub struct SetupOptions {
    /// `https://HOST:PORT`.
    pub server: String,
    /// Host groups; none: plain login names.
    pub groups: Vec<String>,
    /// PEM roots for the server's TLS; none: the operating system's.
    pub ca_file: Option<PathBuf>,
    /// CA keys the administrator knows; none: whatever the server's TLS vouches for.
    pub pins: Vec<Fingerprint>,
    /// sshd's path; none: the usual one.
    pub sshd: Option<PathBuf>,
    /// The user sshd runs the principals command as.
    pub principals_user: String,
    /// For the request.
    pub deadline: Duration,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetupReport {
    /// The CA.
    pub server: String,
    /// Host groups.
    pub groups: Vec<String>,
    /// Why the keys are trusted.
    pub trusted_by: TrustedBy,
    /// The keys.
    pub keys: Vec<Key>,
    /// The files, in the order they were written.
    pub files: Vec<Written>,
    /// Whether any of them changed: sshd must then reload.
    pub changed: bool,
}

/// Why the CA keys are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustedBy {
    /// The administrator named them, or one that signed them all.
    Pin,
    /// Nobody but the server's TLS certificate says that they are right.
    Tls,
}

/// One CA key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// `SHA256:...`
    pub fingerprint: String,
    /// As sshd names it.
    pub algorithm: String,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Which.
    pub path: PathBuf,
    /// What for.
    pub what: &'static str,
    /// Whether it was changed, or was so already.
    pub changed: bool,
}

/// Sets this host up. `now` is Unix seconds.
///
/// # Errors
/// Where something is wrong; everything on disk is then as it was.
pub async fn setup(
    layout: &Layout,
    options: &SetupOptions,
    now: u64,
) -> Result<SetupReport, Error> {
    check_words(options)?;
    let sshd = Sshd::new(options.sshd.as_deref(), &layout.sshd_config())?;
    check_include(layout)?;
    sshd.test()
        .await
        .map_err(|error| Error::Sshd(format!("nothing was changed, for even before, {error}")))?;
    let roots = options.ca_file.as_deref().map(read_roots).transpose()?;
    let server = Server::new(&options.server, roots.as_deref(), options.deadline)?;
    let (keys, trusted_by) = check_keys(&server.ca_keys().await?, &options.pins)?;
    let settings = Settings {
        server: server.address().to_owned(),
        groups: options.groups.clone(),
        principals_user: options.principals_user.clone(),
        own_tls_ca: roots.is_some(),
    };
    let mut changes = Changes::default();
    let files = write(
        &mut changes,
        layout,
        &settings,
        (&keys, roots.as_deref()),
        now,
    )?;
    if let Err(error) = check_effect(&sshd, layout, &settings).await {
        return Err(take_back(changes, &error));
    }
    changes.keep();
    Ok(SetupReport {
        server: settings.server,
        groups: settings.groups,
        trusted_by,
        keys: keys.iter().map(Key::of).collect(),
        changed: files.iter().any(|file| file.changed),
        files,
    })
}

impl Key {
    fn of(key: &ssh_key::PublicKey) -> Self {
        Self {
            fingerprint: fingerprint(key),
            algorithm: key.algorithm().to_string(),
        }
    }
}

/// What goes into sshd's configuration as it is must not add a word to it.
fn check_words(options: &SetupOptions) -> Result<(), Error> {
    if let Some(group) = options
        .groups
        .iter()
        .find(|group| !principal::is_name(group))
    {
        return Err(Error::Usage(format!(
            "{group:?} is no host group; use letters, digits, `.`, `_` and `-`"
        )));
    }
    if !principal::is_login(&options.principals_user) {
        let user = &options.principals_user;
        return Err(Error::Usage(format!("{user:?} is no user")));
    }
    if !options.groups.is_empty() && !Path::new(drop_in::PRINTF).is_file() {
        let printf = drop_in::PRINTF;
        return Err(Error::Usage(format!(
            "host groups need {printf}, which is missing"
        )));
    }
    Ok(())
}

fn check_include(layout: &Layout) -> Result<(), Error> {
    let path = layout.sshd_config();
    let text = read(&path)?.ok_or_else(|| {
        Error::Usage(format!(
            "there is no {}: is sshd installed?",
            path.display()
        ))
    })?;
    let file = layout.drop_in();
    let folder = layout.ssh_folder();
    if drop_in::is_included(&String::from_utf8_lossy(&text), &folder, &file) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} does not read {}; put this line at its top: Include {}/sshd_config.d/*.conf",
        path.display(),
        file.display(),
        folder.display()
    )))
}

fn read_roots(path: &Path) -> Result<Vec<u8>, Error> {
    read(path)?.ok_or_else(|| Error::Usage(format!("there is no {}", path.display())))
}

/// With pins, every key must be pinned, or a pinned one must have signed them all.
fn check_keys(answer: &Answer, pins: &[Fingerprint]) -> Result<(CaKeys, TrustedBy), InvalidAnswer> {
    let keys = CaKeys::parse(&answer.body)?;
    if pins.is_empty() {
        return Ok((keys, TrustedBy::Tls));
    }
    let served = keys
        .fingerprints()
        .into_iter()
        .collect::<Vec<_>>()
        .join(", ");
    let pinned = keys.only(pins).ok_or_else(|| {
        InvalidAnswer::Pin(format!(
            "none of its keys is the one of --ca-fingerprint; they are {served}"
        ))
    })?;
    if pinned == keys {
        return Ok((keys, TrustedBy::Pin));
    }
    let signed = pinned.verify(
        "/ca.pub",
        Namespace::CaKeys,
        &answer.body,
        answer.signature.as_deref(),
    );
    signed.map_err(|error| {
        InvalidAnswer::Pin(format!(
            "not all of its keys are pinned ({served}), and {error}"
        ))
    })?;
    Ok((keys, TrustedBy::Pin))
}

/// sshd reads the drop-in at its next start, so what that names must be there first.
fn write(
    changes: &mut Changes,
    layout: &Layout,
    settings: &Settings,
    (keys, roots): (&CaKeys, Option<&[u8]>),
    now: u64,
) -> Result<Vec<Written>, Error> {
    let text = drop_in::text(layout, settings)?;
    let drop_in = layout.drop_in();
    changes.folder(&layout.folder())?;
    changes.folder(drop_in.parent().unwrap_or(&drop_in))?;
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
    if let Some(pem) = roots {
        file(layout.tls_ca(), "roots for the server's TLS", pem)?;
    }
    file(layout.krl(), "revocations", &revocations(layout, now)?)?;
    file(layout.ca_keys(), "CA keys", keys.to_text()?.as_bytes())?;
    file(
        layout.settings(),
        "what `sync` and `doctor` go by",
        &to_json(settings)?,
    )?;
    file(drop_in, "sshd's configuration", text.as_bytes())?;
    Ok(files)
}

/// A good list that is there is kept: an empty one would bring back whoever was revoked.
fn revocations(layout: &Layout, now: u64) -> Result<Vec<u8>, Error> {
    let on_disk = read(&layout.krl())?.filter(|bytes| Krl::parse(bytes).is_ok());
    match on_disk {
        Some(bytes) => Ok(bytes),
        None => Ok(Krl::new(0, now, [])
            .publish()
            .map_err(InvalidAnswer::from)?),
    }
}

/// sshd takes the new configuration, and ours is what is in force: another file may have said something first.
async fn check_effect(sshd: &Sshd, layout: &Layout, settings: &Settings) -> Result<(), Error> {
    sshd.test().await?;
    let effective = sshd.effective(&Connection::anybody()).await?;
    let command = drop_in::principals_command(&settings.groups);
    for (keyword, expected) in [
        ("trustedusercakeys", layout.ca_keys().display().to_string()),
        ("revokedkeys", layout.krl().display().to_string()),
        (
            "authorizedprincipalscommand",
            command.unwrap_or_else(|| "none".to_owned()),
        ),
    ] {
        check_value(&effective, keyword, &expected)?;
    }
    Ok(())
}

fn check_value(effective: &Effective, keyword: &str, expected: &str) -> Result<(), Error> {
    let found = effective.value(keyword);
    if found == expected {
        return Ok(());
    }
    Err(Error::Sshd(format!(
        "sshd is told elsewhere that {keyword} is {found:?} (we need {expected:?}); take that out of its configuration"
    )))
}

fn take_back(changes: Changes, error: &Error) -> Error {
    match changes.take_back() {
        Ok(()) => Error::Sshd(format!("{error}\neverything was put back as it was")),
        Err(failed) => Error::Sshd(format!(
            "{error}\nAND NOT EVERYTHING WAS PUT BACK:\n{failed}"
        )),
    }
}
