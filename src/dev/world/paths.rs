//! The files of a dev world.

use std::path::{Path, PathBuf};

use crate::dev::person;

/// The paths in a world's folder.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// The paths in `dir`, which must be absolute.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The path of a file. Only this type knows their names.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The folder itself, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Shell exports for another terminal.
    pub(crate) fn env(&self) -> PathBuf {
        self.at("env")
    }

    /// For `ssh -F`: the host `web-1`, and the lines that fetch passes.
    pub fn ssh_config(&self) -> PathBuf {
        self.at("ssh_config")
    }

    /// The throw-away sshd's host key.
    pub fn known_hosts(&self) -> PathBuf {
        self.at("known_hosts")
    }

    /// The daemon's configuration.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.at("daypass.toml")
    }

    /// The policy. After an edit, reload the daemon.
    pub fn policy(&self) -> PathBuf {
        self.at("policy.toml")
    }

    /// The client's state folder.
    pub fn client_state(&self) -> PathBuf {
        self.at("client")
    }

    /// The CA of the server's TLS certificate (PEM).
    pub fn tls_ca(&self) -> PathBuf {
        self.at("tls-ca.pem")
    }

    /// The registered key of alice or bob, for an outage of the issuer.
    pub fn emergency_key(&self, name: &str) -> PathBuf {
        self.at("emergency").join(name)
    }

    /// The secret that signs webhooks.
    pub(crate) fn webhook_secret(&self) -> PathBuf {
        self.at("webhook.secret")
    }

    /// The password of every person in this world.
    pub fn password(&self) -> PathBuf {
        self.at(person::PASSWORD_FILE)
    }
}
