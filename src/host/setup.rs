//! Makes sshd trust the CA: writes CA keys, an empty revocation list and our part of sshd's
//! configuration, then runs `sshd -t`. If sshd rejects it, all changes are undone. A second run
//! changes nothing.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use ssh_key::Fingerprint;

use super::{
    Error, Settings, also_trust, drop_in,
    error::InvalidAnswer,
    files::{Changes, Layout, read},
    keys::CaKeys,
    server::{Answer, Server},
    sshd::{Connection, Effective, Sshd},
    sync::to_json,
};
use crate::{
    outbound::{CertificateFingerprint, parse_roots},
    ssh::{key::fingerprint, krl::Krl, principal, sshsig::Namespace},
    unix_seconds::UnixSeconds,
};

/// The options of `host setup`.
#[derive(Clone, Debug)]
pub(crate) struct SetupOptions {
    /// The CA's address, `https://HOST:PORT`.
    pub server: String,
    /// The host groups of this host; none: passes name plain logins.
    pub groups: Vec<String>,
    /// PEM roots for the server's TLS beside the operating system's.
    pub ca_file: Option<PathBuf>,
    /// The fingerprint of a certificate that is to be trusted as such a root.
    pub server_fingerprint: Option<CertificateFingerprint>,
    /// Fingerprints of CA keys that the administrator knows; none: only TLS proves the keys.
    pub pins: Vec<Fingerprint>,
    /// A file of another CA's public keys that sshd shall trust too.
    pub also_trust: Option<PathBuf>,
    /// The path of sshd; none: the system's.
    pub sshd: Option<PathBuf>,
    /// The user that sshd runs the principals command as.
    pub principals_user: String,
    /// The deadline for one request to the server.
    pub deadline: Duration,
}

/// The result of a set-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SetupReport {
    /// The CA's address.
    pub server: String,
    /// The host groups of this host.
    pub groups: Vec<String>,
    /// Reason why the keys are trusted.
    pub trusted_by: TrustedBy,
    /// The trusted CA keys.
    pub keys: Vec<Key>,
    /// The keys of another CA that are trusted too.
    pub also_trusted: Vec<Key>,
    /// The files, in the order in which they were written.
    pub files: Vec<Written>,
    /// Whether a file changed: sshd must then reload.
    pub changed: bool,
}

/// Reason why the CA keys are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TrustedBy {
    /// The administrator named their fingerprints, or that of a key that signed them all.
    Pin,
    /// The administrator named the fingerprint of the server's TLS certificate.
    ServerFingerprint,
    /// Only the server's TLS certificate proves them.
    Tls,
}

/// One CA key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Key {
    /// Its fingerprint, `SHA256:...`.
    pub fingerprint: String,
    /// Its algorithm, as sshd names it.
    pub algorithm: String,
}

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

/// Sets this host up. `now` is Unix seconds.
///
/// # Errors
/// Returns the error of the step that failed; all changes are then undone.
pub(crate) async fn setup(
    layout: &Layout,
    options: &SetupOptions,
    now: UnixSeconds,
) -> Result<SetupReport, Error> {
    check_words(options)?;
    let sshd = Sshd::new(options.sshd.as_deref(), &layout.sshd_config())?;
    sshd.provide_run_folder().await?;
    check_include(layout)?;
    sshd.test().await.map_err(|error| {
        Error::Sshd(format!(
            "nothing was changed: already before this set-up, {error}"
        ))
    })?;
    let others = options.also_trust.as_deref().map(also_trust::read_keys);
    let others = others.transpose()?;
    let roots = roots(options).await?;
    let mut settings = Settings {
        server: options.server.clone(),
        groups: options.groups.clone(),
        principals_user: options.principals_user.clone(),
        own_tls_ca: roots.is_some(),
        also_trust: others.is_some(),
    };
    let server = Server::new(&settings, roots.as_deref(), options.deadline)?;
    settings.server = server.address();
    let (keys, trusted_by) = check_keys(&server.ca_keys().await?, options)?;
    let mut changes = Changes::default();
    let files = write(
        &mut changes,
        layout,
        &settings,
        &Content {
            keys: &keys,
            others: others.as_ref(),
            roots: roots.as_deref(),
            now,
        },
    )?;
    if let Err(error) = check_effect(&sshd, layout, &settings).await {
        return Err(undo(changes, &error));
    }
    changes.keep();
    Ok(SetupReport {
        server: settings.server,
        groups: settings.groups,
        trusted_by,
        keys: keys.iter().map(Key::of).collect(),
        also_trusted: others.iter().flat_map(CaKeys::iter).map(Key::of).collect(),
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

/// Checks the words that are written into sshd's configuration.
fn check_words(options: &SetupOptions) -> Result<(), Error> {
    if let Some(group) = options
        .groups
        .iter()
        .find(|group| !principal::is_name(group))
    {
        return Err(Error::Usage(format!(
            "invalid host group {group:?}: use letters, digits, `.`, `_` and `-`"
        )));
    }
    if !principal::is_login(&options.principals_user) {
        let user = &options.principals_user;
        return Err(Error::Usage(format!("invalid user name {user:?}")));
    }
    if !options.groups.is_empty() && !Path::new(drop_in::PRINTF).is_file() {
        let printf = drop_in::PRINTF;
        return Err(Error::Usage(format!(
            "host groups need {printf}, which is missing"
        )));
    }
    Ok(())
}

/// Checks that `sshd_config` includes our file.
fn check_include(layout: &Layout) -> Result<(), Error> {
    let path = layout.sshd_config();
    let text = read(&path)?.ok_or_else(|| {
        Error::Usage(format!(
            "there is no {}: install the OpenSSH server first",
            path.display()
        ))
    })?;
    let file = layout.drop_in();
    let folder = layout.ssh_folder();
    if drop_in::is_included(&String::from_utf8_lossy(&text), &folder, &file) {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} does not include {}; put this line at its top: Include {}/sshd_config.d/*.conf",
        path.display(),
        file.display(),
        folder.display()
    )))
}

/// The PEM roots for the server's TLS beside the operating system's.
async fn roots(options: &SetupOptions) -> Result<Option<Vec<u8>>, Error> {
    let mut roots = Vec::new();
    if let Some(path) = options.ca_file.as_deref() {
        let pem = read(path)?;
        let pem = pem.ok_or_else(|| Error::Usage(format!("there is no {}", path.display())))?;
        parse_roots(&pem)
            .map_err(|error| Error::Usage(format!("{} cannot be used: {error}", path.display())))?;
        roots.extend(pem);
    }
    if let Some(fingerprint) = options.server_fingerprint {
        let pem = Server::recognize(&options.server, fingerprint, options.deadline).await?;
        if !roots.is_empty() {
            roots.push(b'\n');
        }
        roots.extend(pem.into_bytes());
    }
    Ok(Some(roots).filter(|roots| !roots.is_empty()))
}

/// Checks the CA keys in an answer. With pins, every key must be pinned, or a pinned key must have
/// signed them all.
fn check_keys(
    answer: &Answer,
    options: &SetupOptions,
) -> Result<(CaKeys, TrustedBy), InvalidAnswer> {
    let pins = &options.pins;
    let keys = CaKeys::parse(&answer.body)?;
    if pins.is_empty() {
        let by = match options.server_fingerprint {
            Some(_) => TrustedBy::ServerFingerprint,
            None => TrustedBy::Tls,
        };
        return Ok((keys, by));
    }
    let served = keys
        .fingerprints()
        .into_iter()
        .collect::<Vec<_>>()
        .join(", ");
    let pinned = keys.only(pins).ok_or_else(|| {
        InvalidAnswer::Pin(format!(
            "none of the server's keys has the --ca-fingerprint; they are {served}"
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
            "not all of the server's keys are pinned ({served}), and {error}"
        ))
    })?;
    Ok((keys, TrustedBy::Pin))
}

/// The content of the files.
struct Content<'a> {
    keys: &'a CaKeys,
    others: Option<&'a CaKeys>,
    roots: Option<&'a [u8]>,
    now: UnixSeconds,
}

/// Writes all files. Our part of sshd's configuration comes last: the files that it names must
/// exist when sshd reads it.
fn write(
    changes: &mut Changes,
    layout: &Layout,
    settings: &Settings,
    content: &Content<'_>,
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

/// Checks that sshd accepts the new configuration and that our values are in force: another file
/// may have set them first.
async fn check_effect(sshd: &Sshd, layout: &Layout, settings: &Settings) -> Result<(), Error> {
    sshd.test().await?;
    let effective = sshd.effective(&Connection::unlisted()).await?;
    let command = drop_in::principals_command(&settings.groups);
    for (keyword, expected) in [
        (
            "trustedusercakeys",
            settings.trusted_file(layout).display().to_string(),
        ),
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
        "another file sets sshd's {keyword} to {found:?}, and Daypass needs {expected:?}: remove that line from sshd's \
         configuration"
    )))
}

fn undo(changes: Changes, error: &Error) -> Error {
    match changes.undo() {
        Ok(()) => Error::Sshd(format!("{error}\nall changes were undone")),
        Err(failed) => Error::Sshd(format!(
            "{error}\nSOME CHANGES COULD NOT BE UNDONE:\n{failed}"
        )),
    }
}
