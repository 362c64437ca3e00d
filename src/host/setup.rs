//! Makes sshd trust the CA: writes CA keys, an empty revocation list and our part of sshd's
//! configuration, then runs `sshd -t`. If sshd rejects it, all changes are undone. A second run
//! changes nothing.

pub(crate) mod audience;
mod notes;
mod options;
mod trust;
mod written;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use self::options::{LoginsWish, SetupOptions};
use self::written::Content;
pub(crate) use self::{trust::TrustedBy, written::Written};
use super::{
    Error, Settings, also_trust, drop_in,
    files::{Changes, Layout, read},
    join::{self, Membership, OnDisk, Site},
    keys::CaKeys,
    lock::Lock,
    logins,
    server::Server,
    settings::LoginLog,
    sshd::{Connection, Effective, Sshd},
};
use crate::{
    outbound::parse_roots,
    ssh::{key::fingerprint, principal},
    unix_seconds::UnixSeconds,
};

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
    /// The host's names and certificates, if it has joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<JoinedReport>,
    /// The log whose logins are reported at each sync; none: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logins: Option<LoginLog>,
    /// What will not work yet: sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What the server knows this host as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct JoinedReport {
    /// Its name.
    pub name: String,
    /// Its other names.
    pub aliases: Vec<String>,
    /// Its host group.
    pub group: String,
    /// Its certificates.
    pub certificates: Vec<OnDisk>,
}

/// One CA key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Key {
    /// Its fingerprint, `SHA256:...`.
    pub fingerprint: String,
    /// Its algorithm, as sshd names it.
    pub algorithm: String,
}

/// Sets this host up. `now` is Unix seconds.
///
/// A `sync` waits until it is done: what it fetches in between would be replaced by what was read
/// before.
///
/// # Errors
/// Returns the error of the step that failed; all changes are then undone.
pub(crate) async fn setup(
    layout: &Layout,
    options: &SetupOptions,
    now: UnixSeconds,
) -> Result<SetupReport, Error> {
    let mut lock = Lock::wait_first(layout, options.wait).await?;
    let report = set_up(layout, options, now).await?;
    lock.keep();
    Ok(report)
}

async fn set_up(
    layout: &Layout,
    options: &SetupOptions,
    now: UnixSeconds,
) -> Result<SetupReport, Error> {
    let before = Settings::load(layout).ok();
    let is_plain = before.as_ref().is_some_and(|it| it.groups.is_empty());
    let logins = (options.logins).log(before.as_ref().and_then(|it| it.logins.clone()));
    let options = &options.completed(layout)?;
    check_words(options)?;
    logins::check_groups(&options.groups, logins.as_ref())?;
    let sshd = sshd_before(layout, options).await?;
    let others = (options.also_trust.as_deref().map(also_trust::read_keys)).transpose()?;
    let roots = roots(options).await?;
    let mut settings = settings(options, (roots.is_some(), others.is_some()), logins);
    let server = Server::new(&settings, roots.as_deref(), options.deadline)?;
    settings.server = server.address();
    let kept = trust::kept(layout, before.as_ref(), &server)?;
    let (keys, trusted_by) = trust::ask(&server, options, kept.as_ref()).await?;
    let effective = sshd.effective(&Connection::unlisted()).await?;
    let site = Site {
        layout,
        server: &server,
        effective: &effective,
        user_keys: &keys,
        now,
    };
    let membership = join::join(&site, options.join.as_ref()).await?;
    let certificates = settings.take_in(membership, is_plain);
    let mut changes = Changes::default();
    let files = written::write(
        &mut changes,
        layout,
        &settings,
        &Content {
            keys: &keys,
            others: others.as_ref(),
            roots: roots.as_deref(),
            certificates: &certificates,
            now,
        },
    )?;
    if let Err(error) = check_effect(&sshd, layout, &settings).await {
        return Err(undo(changes, &error));
    }
    changes.keep();
    let notes = notes::notes(&settings, &effective).await?;
    let report = reported(
        layout,
        settings,
        (&keys, trusted_by, others.as_ref()),
        files,
    )?;
    Ok(SetupReport { notes, ..report })
}

/// The settings of a host that has not joined.
fn settings(
    options: &SetupOptions,
    (own_tls_ca, also_trust): (bool, bool),
    logins: Option<LoginLog>,
) -> Settings {
    Settings {
        server: options.server.clone(),
        groups: options.groups.clone(),
        principals_user: options.principals_user.clone(),
        own_tls_ca,
        also_trust,
        joined: None,
        logins,
    }
}

/// What was set up.
fn reported(
    layout: &Layout,
    settings: Settings,
    (keys, trusted_by, others): (&CaKeys, TrustedBy, Option<&CaKeys>),
    files: Vec<Written>,
) -> Result<SetupReport, Error> {
    let others = others.into_iter().flat_map(CaKeys::iter);
    Ok(SetupReport {
        host: shown(layout, &settings)?,
        logins: settings.logins,
        server: settings.server,
        groups: settings.groups,
        trusted_by,
        keys: keys.iter().map(Key::of).collect(),
        also_trusted: others.map(Key::of).collect(),
        changed: files.iter().any(|file| file.changed),
        files,
        notes: Vec::new(),
    })
}

/// The sshd, which must accept its configuration as it is.
async fn sshd_before(layout: &Layout, options: &SetupOptions) -> Result<Sshd, Error> {
    let sshd = Sshd::new(options.sshd.as_deref(), &layout.sshd_config())?;
    sshd.provide_run_folder().await?;
    check_include(layout)?;
    sshd.test().await.map_err(|error| {
        Error::Sshd(format!(
            "nothing was changed: already before this set-up, {error}"
        ))
    })?;
    Ok(sshd)
}

impl Settings {
    /// Takes a membership in; returns the certificates to write. A host without `--group` is in the
    /// group that the server has it in, unless it was set up without groups before: its users'
    /// passes name plain logins.
    fn take_in(
        &mut self,
        membership: Option<Membership>,
        is_plain: bool,
    ) -> Vec<(PathBuf, String)> {
        let Some(membership) = membership else {
            return Vec::new();
        };
        let group = &membership.joined.group;
        if !is_plain && self.groups.is_empty() && principal::is_name(group) {
            self.groups.push(group.clone());
        }
        self.joined = Some(membership.joined);
        membership.certificates
    }
}

/// What the server knows this host as, with the certificates that are on disk now.
fn shown(layout: &Layout, settings: &Settings) -> Result<Option<JoinedReport>, Error> {
    let Some(joined) = &settings.joined else {
        return Ok(None);
    };
    Ok(Some(JoinedReport {
        name: joined.name.clone(),
        aliases: joined.aliases.clone(),
        group: joined.group.clone(),
        certificates: join::on_disk(layout, joined)?,
    }))
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
        let pem = pem.ok_or_else(|| {
            Error::Usage(format!("there is no file {} (--ca-file)", path.display()))
        })?;
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
    let Some(joined) = &settings.joined else {
        return Ok(());
    };
    for key in &joined.keys {
        let file = layout.certificate(&key.kind).display().to_string();
        if !effective.values("hostcertificate").contains(&file) {
            return Err(Error::Sshd(format!(
                "sshd does not read its certificate {file}"
            )));
        }
    }
    match join::rival(&effective, layout, joined) {
        Some(file) => Err(Error::Sshd(format!(
            "another file of sshd's configuration has {}, a certificate of the same host key, and sshd uses the last one: \
             take that `HostCertificate` line out",
            file.display()
        ))),
        None => Ok(()),
    }
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
