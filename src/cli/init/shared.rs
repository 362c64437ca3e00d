//! The database that several servers share, looked at before a file is written.

use std::path::PathBuf;

use rand::{RngCore, rngs::OsRng};

use super::files::absolute;
use crate::{
    cli::{Failure, Global, failure::Code},
    config::SharedStore,
    ledger::{checkpoint::Signer, keyring::Keyring},
    modes,
    store::{self, PostgresAddress},
};

/// Bytes of a file with an address at most.
const LARGEST: u64 = 4096;

/// The option's value.
#[derive(Clone, Debug)]
pub(super) enum Shared {
    /// An address without a password.
    Address(String),
    /// A file with the address.
    File(PathBuf),
}

impl Shared {
    /// Reads the option.
    ///
    /// # Errors
    /// Returns the fault of an address, without its text.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if text.trim().is_empty() {
            return Err(Failure::new(
                Code::Usage,
                "--postgres is empty: name a file with the address of the database, or the address itself if it holds no \
                 password (postgres://USER@HOST:PORT/DATABASE)",
            ));
        }
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let usage = |message: String| Failure::new(Code::Usage, message);
        let address = PostgresAddress::parse(text).map_err(|error| usage(error.to_string()))?;
        match address.has_password() {
            false => Ok(Self::Address(text.to_owned())),
            true => Err(usage(
                "the address holds a password, and other users see command lines: put the whole address into a file of \
                 its own (mode 0600), and name that file"
                    .to_owned(),
            )),
        }
    }

    /// The lines of the configuration.
    pub(super) fn store(&self) -> Result<SharedStore, Failure> {
        Ok(match self {
            Self::Address(address) => SharedStore::Address(address.clone()),
            Self::File(file) => SharedStore::File(absolute(file)?),
        })
    }

    /// Checks that a new server of this name can begin its ledger in the database.
    ///
    /// # Errors
    /// Returns what to do. Nothing was written then.
    pub(super) async fn expect_empty(&self, name: &str, global: &Global) -> Result<(), Failure> {
        let failed =
            |what: String| Failure::new(Code::Failure, format!("{what}. Nothing was written"));
        let text = match self {
            Self::Address(address) => address.clone(),
            Self::File(file) => {
                let text = modes::read_secret(file, LARGEST);
                let text = text.map_err(|problem| {
                    failed(format!(
                        "{}: {problem}; --postgres names a file with the address, or is an address \
                         (postgres://USER@HOST:PORT/DATABASE)",
                        file.display()
                    ))
                });
                text?.trim().to_owned()
            }
        };
        let address = PostgresAddress::parse(&text).map_err(|error| failed(error.to_string()))?;
        // A ledger that is there was begun with another key than the one that is made now.
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        let signer = Signer::new(&format!("{name}/ledger"), &seed);
        let signer = signer.map_err(|error| failed(error.to_string()))?;
        let examined = store::examine(&address, &Keyring::from(signer).verifiers(), None).await;
        match examined {
            Ok(examined) if examined.size.is_none() => {
                for weakness in examined.weaknesses {
                    global.say(&format!("warning: {weakness}"));
                }
                Ok(())
            }
            Err(store::Error::Tampered(what)) => Err(failed(format!(
                "the {address} has a ledger already: {what}. To add a server to that ledger, copy daypass.toml, policy and \
                 keys of one that runs (`daypass help server`, Several servers). For a new ledger, make a database of its \
                 own"
            ))),
            Ok(_) => Err(failed(format!("the {address} has a ledger already"))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
