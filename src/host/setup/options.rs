//! The options of `host setup`, and what an earlier set-up says in their place.

use std::{path::PathBuf, time::Duration};

use ssh_key::Fingerprint;

use crate::{
    host::{
        Error, Settings,
        files::Layout,
        join::Credential,
        lock::Wait,
        settings::{LoginLog, USUAL_USER},
        sync,
    },
    outbound::CertificateFingerprint,
};

/// The options of `host setup`.
#[derive(Clone, Debug)]
pub(crate) struct SetupOptions {
    /// The CA's address, `https://HOST:PORT`. Empty: that of the set-up before, with its other
    /// settings.
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
    /// What lets this host join, if it is to join.
    pub join: Option<Credential>,
    /// Whether the host reports logins from now on.
    pub logins: LoginsWish,
    /// The deadline for one request to the server.
    pub deadline: Duration,
    /// The wait for another command on this host.
    pub wait: Wait,
}

/// What a set-up makes of the reports of logins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum LoginsWish {
    /// As before.
    #[default]
    Keep,
    /// The logins of this log are reported.
    Report(LoginLog),
    /// None are.
    End,
}

impl LoginsWish {
    /// The log, if `before` was reported until now.
    pub(super) fn log(&self, before: Option<LoginLog>) -> Option<LoginLog> {
        match self {
            Self::Keep => before,
            Self::Report(log) => Some(log.clone()),
            Self::End => None,
        }
    }
}

impl SetupOptions {
    /// The same with the settings of the set-up before, if no server is named: a host that is set
    /// up needs nothing but its join code.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if there is none.
    pub(super) fn completed(&self, layout: &Layout) -> Result<Self, Error> {
        let mut options = self.clone();
        if !options.server.is_empty() {
            return Ok(options);
        }
        let before = match Settings::load(layout) {
            Ok(before) => before,
            // A set-up with this server alone would make a host of no group.
            Err(Error::NotSetUp) => return Err(not_set_up()),
            Err(error) => return Err(error),
        };
        if options.groups.is_empty() {
            options.groups.clone_from(&before.groups);
        }
        if options.principals_user == USUAL_USER {
            options.principals_user.clone_from(&before.principals_user);
        }
        if options.pins.is_empty() {
            // They say what to trust. Without them, TLS alone would.
            sync::trusted(layout)?;
        }
        let kept = |path: PathBuf, is_used: bool| is_used.then_some(path);
        if options.server_fingerprint.is_none() {
            let file = kept(layout.tls_ca(), before.own_tls_ca);
            options.ca_file = options.ca_file.or(file);
        }
        let others = kept(layout.other_ca_keys(), before.also_trust);
        options.also_trust = options.also_trust.or(others);
        options.server = before.server;
        Ok(options)
    }
}

fn not_set_up() -> Error {
    let what =
        "this host is not set up yet: run the same command again with --server https://HOST:PORT";
    Error::Usage(what.to_owned())
}
