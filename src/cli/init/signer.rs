//! The files of a signer, which keeps the CA key of the new server in a process of its own user.

use std::path::{Path, PathBuf};

use super::{
    files::{self, File, Privacy, absolute},
    ledger,
    owner::{self, Owner, UNITS_USER},
};
use crate::{
    cli::{Failure, failure::Code},
    config::{self, SIGNER_FILE, SignerConfig, SignerExample, Surroundings},
    daemon::{self, Decision},
    ledger::checkpoint::Verifier,
};

/// The account of `systemd/daypass-signer.service`.
pub(super) const UNITS_SIGNER: &str = "daypass-signer";

/// The `StateDirectory` of `systemd/daypass-signer.service`.
const UNITS_STATE: &str = "/var/lib/daypass-signer";

/// The socket in its `RuntimeDirectory`.
const UNITS_SOCKET: &str = "/run/daypass-signer/socket";

/// The places of a signer's files, and its account.
pub(super) struct Signer<'a> {
    dir: &'a Path,
    /// Whether it runs by its unit: the server's account is that of its units, too.
    is_units: bool,
    /// None: that of the person who runs `init`.
    account: Option<Owner>,
}

impl<'a> Signer<'a> {
    /// A signer whose files are in `dir`, for a server that runs as `owner`.
    ///
    /// # Errors
    /// Returns code 2 if the unit's account is missing.
    pub(super) fn new(dir: &'a Path, owner: Option<&Owner>) -> Result<Self, Failure> {
        let is_units = owner.is_some_and(|owner| owner.name == UNITS_USER);
        let account = match is_units {
            true => Some(Owner::find(UNITS_SIGNER)?),
            false => owner.cloned(),
        };
        Ok(Self {
            dir,
            is_units,
            account,
        })
    }

    /// The socket, as an absolute path.
    pub(super) fn socket(&self) -> Result<String, Failure> {
        match self.is_units {
            true => Ok(UNITS_SOCKET.to_owned()),
            false => absolute(self.dir.join("socket")),
        }
    }

    fn state(&self) -> PathBuf {
        match self.is_units {
            true => PathBuf::from(UNITS_STATE),
            false => self.dir.join("state"),
        }
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        self.dir
    }

    /// The name of the account that owns its files, if it is named.
    pub(super) fn account_name(&self) -> Option<String> {
        self.account.as_ref().map(|it| it.name.clone())
    }

    /// The CA key and `signer.toml`, which is checked. `server` is the account that may call.
    ///
    /// # Errors
    /// Returns the fault of a value that makes no configuration.
    pub(super) fn files(
        &self,
        ca_key: File,
        server: Option<&Owner>,
        ledger: &Verifier,
        passphrase_file: Option<String>,
    ) -> Result<Vec<File>, Failure> {
        let text = SignerExample {
            socket: self.socket()?,
            caller: server.map_or_else(owner::own_number, |it| it.name.clone()),
            state: absolute(self.state())?,
            ledger: ledger.to_string(),
            passphrase_file,
        }
        .text();
        match SignerConfig::parse(&text, SIGNER_FILE, &Surroundings::default()) {
            Ok(_) => Ok(vec![ca_key, File::new(SIGNER_FILE, Privacy::Public, text)]),
            Err(config::Error::Invalid { message, .. }) => Err(Failure::new(Code::Usage, message)),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses folders that hold another signer's files, or that its account cannot enter.
    ///
    /// # Errors
    /// Returns what to do.
    pub(super) fn expect_none(&self, files: &[File]) -> Result<(), Failure> {
        if let Some(account) = &self.account {
            account.expect_entry(self.dir)?;
        }
        files::expect_none(self.dir, files)?;
        let state = self.state();
        match state.join("checkpoint").symlink_metadata().is_ok() {
            false => Ok(()),
            true => Err(Failure::new(
                Code::Failure,
                format!(
                    "{} already holds the memory of another signer: nothing was written; move it away",
                    state.display()
                ),
            )),
        }
    }

    /// Writes the files, and begins the memory of a signer that has seen no ledger yet.
    ///
    /// # Errors
    /// Returns an error if a file or folder cannot be written.
    pub(super) fn write(&self, files: &[File]) -> Result<(), Failure> {
        files::write_new(self.dir, files, self.account.as_ref())?;
        let state = self.state();
        let failed = |error: std::io::Error| {
            let message = format!("failed to make {}: {error}", state.display());
            Failure::new(Code::Failure, message)
        };
        ledger::make(&state).map_err(failed)?;
        let config = SignerConfig::load(&self.dir.join(SIGNER_FILE))?;
        daemon::accept_signer(&config, &Decision::New)?;
        match &self.account {
            Some(account) => ledger::give(&state, account).map_err(failed),
            None => Ok(()),
        }
    }
}
