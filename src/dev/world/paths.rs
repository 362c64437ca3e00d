//! The files of a dev world.

use std::path::{Path, PathBuf};

use crate::dev::person;

/// Where things are in a world's folder.
#[derive(Clone, Debug)]
pub struct Files {
    dir: PathBuf,
}

impl Files {
    /// The paths in `dir`, which must be absolute.
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Every file has a name of its own; this is the only place that knows them.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The folder itself, as an absolute path.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Shell exports for another terminal.
    pub fn env(&self) -> PathBuf {
        self.at("env")
    }

    /// For `ssh -F`: the host `web-1`, and the passes that come by themselves.
    pub fn ssh_config(&self) -> PathBuf {
        self.at("ssh_config")
    }

    /// The throw-away sshd's host key.
    pub fn known_hosts(&self) -> PathBuf {
        self.at("known_hosts")
    }

    /// The daemon's configuration.
    pub fn configuration(&self) -> PathBuf {
        self.at("daypass.toml")
    }

    /// The policy: edit it and reload.
    pub fn policy(&self) -> PathBuf {
        self.at("policy.toml")
    }

    /// The client's state folder.
    pub fn client_state(&self) -> PathBuf {
        self.at("client")
    }

    /// The CA that the server's TLS certificate is from (PEM).
    pub fn tls_ca(&self) -> PathBuf {
        self.at("tls-ca.pem")
    }

    /// The registered key of alice or bob, for the day without an issuer.
    pub fn emergency_key(&self, name: &str) -> PathBuf {
        self.at("emergency").join(name)
    }

    /// What the daemon signs webhooks with.
    pub fn webhook_secret(&self) -> PathBuf {
        self.at("webhook.secret")
    }

    /// The password of everybody in this world.
    pub fn password(&self) -> PathBuf {
        self.at(person::PASSWORD_FILE)
    }
}
