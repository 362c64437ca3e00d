//! `daypass init`: makes keys, and a commented configuration and policy that load as they are.

mod files;
mod ledger;
mod made;
mod next;
mod owner;
mod shared;

use std::{net::SocketAddr, path::PathBuf};

use rand::rngs::OsRng;
use rcgen::{CertificateParams, DnType, KeyPair};
use secrecy::{ExposeSecret, SecretString};
use ssh_key::{Algorithm, PrivateKey};

use self::{
    files::{File, Privacy, absolute},
    made::{Made, TLS_CERTIFICATE},
    owner::{Owner, UNITS_STATE, UNITS_USER},
    shared::Shared,
};
use super::{Failure, Global, failure::Code};
use crate::{
    config::{self, Config, Example, POLICY_FILE, SERVER_FILE, Surroundings},
    daemon,
};

const CA_KEY: &str = "ca_key";
const LEDGER_KEY: &str = "ledger_key";
const TLS_KEY: &str = "tls.key";
/// A URL that loads, and that no identity provider answers.
const EXAMPLE_ISSUER: &str = "https://id.example.com";

/// Make the keys, the configuration and the policy of a new server.
///
/// The files are commented and load as they are. No file is overwritten. As root, name with --owner
/// the account that the server runs as: it must be able to read the files. Without
/// --tls-certificate, a self-signed TLS certificate for ten years is made. Clients trust it by its
/// fingerprint, or by DAYPASS_CA_FILE=tls.pem.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder to write to; it is made if it is missing.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The host that users will dial.
    #[arg(long, value_name = "HOST")]
    name: String,
    /// The address and port to listen on. `[::]` is every address, of IPv4 too.
    #[arg(long, value_name = "ADDRESS", default_value = "[::]:7443")]
    listen: SocketAddr,
    /// The OIDC issuer's URL, exactly as in its tokens. Without it, an example to edit.
    #[arg(long, value_name = "URL", help_heading = "Identity provider")]
    issuer: Option<String>,
    /// The client id of Daypass at the issuer.
    #[arg(
        long,
        value_name = "ID",
        default_value = "daypass",
        help_heading = "Identity provider"
    )]
    client_id: String,
    /// The account that owns the files, such as `daypass`. Only root can set it.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// The folder for the new, empty ledger. [default: /var/lib/daypass if the owner is `daypass`,
    /// else `state` beside the configuration]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Keep the ledger in a PostgreSQL database that several servers share: a file with its address
    /// (mode 0600), or the address itself if it holds no password. The database must be empty.
    #[arg(long, value_name = "FILE|ADDRESS")]
    postgres: Option<String>,
    /// Serve a page on which approvers decide in a browser (`daypass help web`).
    #[arg(long)]
    web: bool,
    /// Encrypt the CA key with the one line of this file. The configuration names the file.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A TLS certificate chain (PEM) to use, instead of a self-signed one.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        help_heading = "TLS certificate"
    )]
    tls_certificate: Option<PathBuf>,
    /// The key (PEM) of --tls-certificate.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_certificate",
        help_heading = "TLS certificate"
    )]
    tls_key: Option<PathBuf>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns an error if a file exists or cannot be written, or if the configuration would not
    /// load.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let owner = self.owner.as_deref().map(Owner::find).transpose()?;
        if let Some(shared) = self.shared()? {
            shared.expect_empty(&self.name, global).await?;
        }
        let files = self.files()?;
        let names = files.iter().map(|file| file.name).collect();
        if let Some(owner) = &owner {
            owner.expect_entry(&self.dir)?;
        }
        let state = self.state().unwrap_or_else(|| self.dir.join("state"));
        files::expect_none(&self.dir, &files)?;
        ledger::expect_none(&state)?;
        files::write_new(&self.dir, &files, owner.as_ref())?;
        let config = Config::load(&self.dir.join(SERVER_FILE))?;
        let summary = daemon::summarize(&config)?;
        ledger::begin(&config, owner.as_ref()).await?;
        let made = Made {
            files: names,
            ca_key: summary.ca_key,
            ledger: summary.ledger,
            server: format!("https://{}:{}", self.name, self.listen.port()),
            web: self.web,
            owner: self.owner,
            self_signed: summary.tls.filter(|_| self.tls_certificate.is_none()),
            example_issuer: self.issuer.is_none(),
            dir: self.dir,
        };
        global.print(&made, next::steps)
    }

    fn files(&self) -> Result<Vec<File>, Failure> {
        let ca_key = new_key(&format!("Daypass CA of {}", self.name))?;
        let ledger_key = new_key(&format!("Daypass ledger of {}", self.name))?;
        let mut files = vec![
            File::new(
                "ca_key.pub",
                Privacy::Public,
                ca_key.public_key().to_openssh()?,
            ),
            File::private_key(CA_KEY, &self.locked(ca_key)?)?,
            File::private_key(LEDGER_KEY, &ledger_key)?,
            File::new(POLICY_FILE, Privacy::Public, Example::policy()),
        ];
        if self.tls_certificate.is_none() {
            files.extend(self_signed(&self.name)?);
        }
        // Written last: a configuration that exists names files that exist.
        files.push(File::new(SERVER_FILE, Privacy::Public, self.server_file()?));
        Ok(files)
    }

    /// Checks that the configuration loads, before any file is written.
    fn server_file(&self) -> Result<String, Failure> {
        let text = self.example()?.server();
        match Config::parse(&text, SERVER_FILE, &Surroundings::default()) {
            Ok(_) => Ok(text),
            Err(config::Error::Invalid { message, .. }) => Err(Failure::new(Code::Usage, message)),
            Err(error) => Err(error.into()),
        }
    }

    fn locked(&self, key: PrivateKey) -> Result<PrivateKey, Failure> {
        let Some(file) = &self.passphrase_file else {
            return Ok(key);
        };
        let passphrase: SecretString = daemon::passphrase(file)?;
        Ok(key.encrypt(&mut OsRng, passphrase.expose_secret())?)
    }

    /// The folder of the ledger, if the configuration must name it.
    fn state(&self) -> Option<PathBuf> {
        let units = self.owner.as_deref() == Some(UNITS_USER);
        self.state
            .clone()
            .or_else(|| units.then(|| PathBuf::from(UNITS_STATE)))
    }

    /// The database of several servers. A refused one is not shown: a password may be in it.
    fn shared(&self) -> Result<Option<Shared>, Failure> {
        self.postgres.as_deref().map(Shared::parse).transpose()
    }

    fn example(&self) -> Result<Example, Failure> {
        let given = |path: &Option<PathBuf>, made: &str| match path {
            Some(path) => absolute(path),
            None => Ok(made.to_owned()),
        };
        Ok(Example {
            name: self.name.clone(),
            listen: self.listen,
            issuer: self.issuer.clone().unwrap_or_else(|| EXAMPLE_ISSUER.into()),
            client_id: self.client_id.clone(),
            certificate: given(&self.tls_certificate, TLS_CERTIFICATE)?,
            key: given(&self.tls_key, TLS_KEY)?,
            passphrase_file: self.passphrase_file.as_ref().map(absolute).transpose()?,
            store: self.shared()?.as_ref().map(Shared::store).transpose()?,
            state: self.state().as_ref().map(absolute).transpose()?,
            web: self.web,
        })
    }
}

fn new_key(comment: &str) -> Result<PrivateKey, Failure> {
    let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519)?;
    key.set_comment(comment);
    Ok(key)
}

/// A self-signed certificate with a P-256 key, which every client accepts.
fn self_signed(name: &str) -> Result<[File; 2], Failure> {
    let failed = |error: rcgen::Error| {
        let message = format!("failed to make a TLS certificate for {name:?}: {error}");
        Failure::new(Code::Failure, message)
    };
    let mut params = CertificateParams::new([name.to_owned()]).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    #[allow(clippy::disallowed_methods, reason = "the command line is an edge")]
    let today = time::OffsetDateTime::now_utc();
    params.not_before = today - time::Duration::days(1);
    params.not_after = today + time::Duration::days(3650);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok([
        File::new(TLS_KEY, Privacy::Private, key.serialize_pem()),
        File::new(TLS_CERTIFICATE, Privacy::Public, certificate.pem()),
    ])
}

impl From<ssh_key::Error> for Failure {
    fn from(error: ssh_key::Error) -> Self {
        Self::new(Code::Failure, format!("failed to make a key: {error}"))
    }
}
