//! `daypass init`: makes keys, and a commented configuration and policy that load as they are.

mod files;
mod ledger;
mod made;
mod next;
mod owner;
mod shared;
mod signer;

use std::{net::SocketAddr, path::PathBuf};

use rand::rngs::OsRng;
use rcgen::{CertificateParams, DnType, KeyPair};
use secrecy::{ExposeSecret, SecretString};
use ssh_key::{Algorithm, PrivateKey};
use zeroize::Zeroizing;

use self::{
    files::{File, Privacy, absolute},
    made::{Made, MadeSigner, TLS_CERTIFICATE},
    owner::{Owner, UNITS_STATE, UNITS_USER},
    shared::Shared,
    signer::Signer,
};
use super::{Failure, Global, failure::Code};
use crate::{
    config::{self, Config, Example, POLICY_FILE, SERVER_FILE, Surroundings},
    daemon,
    ledger::checkpoint::{self, Verifier},
};

const CA_KEY: &str = "ca_key";
const HOST_CA_KEY: &str = "host_ca_key";
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
    /// Know hosts: make a key that signs host certificates, so that users' ssh asks nothing about
    /// host keys (`daypass help hosts`).
    #[arg(long, help_heading = "Keys")]
    hosts: bool,
    /// Keep the CA key in `daypass signer`, a process of its own, whose files go into this folder,
    /// such as /etc/daypass-signer (`daypass help signer`). With --owner daypass, they are for the
    /// account daypass-signer.
    #[arg(long, value_name = "DIR", help_heading = "Keys")]
    signer: Option<PathBuf>,
    /// Encrypt the CA keys with the one line of this file. The configuration names the file.
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
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

/// The files to write.
struct Files {
    own: Vec<File>,
    /// In the signer's folder.
    signers: Vec<File>,
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
        let signer = self.signer.as_deref();
        let signer = signer.map(|dir| Signer::new(dir, owner.as_ref()));
        let signer = signer.transpose()?;
        let Files { own, signers } = self.files(signer.as_ref(), owner.as_ref())?;
        if let Some(owner) = &owner {
            owner.expect_entry(&self.dir)?;
        }
        let state = self.state().unwrap_or_else(|| self.dir.join("state"));
        files::expect_none(&self.dir, &own)?;
        ledger::expect_none(&state)?;
        if let Some(signer) = &signer {
            signer.expect_none(&signers)?;
            signer.write(&signers)?;
        }
        files::write_new(&self.dir, &own, owner.as_ref())?;
        let config = Config::load(&self.dir.join(SERVER_FILE))?;
        let summary = daemon::summarize(&config)?;
        ledger::begin(&config, owner.as_ref()).await?;
        let made = Made {
            files: own.iter().map(|file| file.name).collect(),
            ca_key: summary.ca_key,
            ledger: summary.ledger,
            server: format!("https://{}:{}", self.name, self.listen.port()),
            web: self.web,
            host_ca_key: summary.host_ca_key,
            signer: signer.as_ref().map(|signer| MadeSigner {
                dir: signer.dir().to_owned(),
                files: signers.iter().map(|file| file.name).collect(),
                owner: signer.account_name(),
            }),
            owner: self.owner,
            self_signed: summary.tls.filter(|_| self.tls_certificate.is_none()),
            example_issuer: self.issuer.is_none(),
            dir: self.dir,
        };
        global.print(&made, next::steps)
    }

    /// The files of the server, and of the signer if there is one, which has the CA key then.
    fn files(&self, signer: Option<&Signer<'_>>, owner: Option<&Owner>) -> Result<Files, Failure> {
        let ca_key = new_key(&format!("Daypass CA of {}", self.name))?;
        let ledger_key = new_key(&format!("Daypass ledger of {}", self.name))?;
        let public = ca_key.public_key().to_openssh()?;
        let mut files = vec![File::new("ca_key.pub", Privacy::Public, public)];
        let mut signers = Vec::new();
        let ca_key = File::private_key(CA_KEY, &self.locked(ca_key)?)?;
        match signer {
            None => files.push(ca_key),
            Some(signer) => {
                let ledger = self.verifier(&ledger_key)?;
                let passphrase = self.passphrase_file.as_ref().map(absolute).transpose()?;
                signers = signer.files(ca_key, owner, &ledger, passphrase)?;
            }
        }
        files.push(File::private_key(LEDGER_KEY, &ledger_key)?);
        files.push(File::new(POLICY_FILE, Privacy::Public, Example::policy()));
        if self.hosts {
            files.extend(self.host_ca_key()?);
        }
        if self.tls_certificate.is_none() {
            files.extend(self_signed(&self.name)?);
        }
        // Written last: a configuration that exists names files that exist.
        let socket = signer.map(Signer::socket).transpose()?;
        let text = self.server_file(socket)?;
        files.push(File::new(SERVER_FILE, Privacy::Public, text));
        Ok(Files {
            own: files,
            signers,
        })
    }

    /// The key that signs host certificates.
    fn host_ca_key(&self) -> Result<[File; 2], Failure> {
        let key = new_key(&format!("Daypass host CA of {}", self.name))?;
        let public = key.public_key().to_openssh()?;
        Ok([
            File::new("host_ca_key.pub", Privacy::Public, public),
            File::private_key(HOST_CA_KEY, &self.locked(key)?)?,
        ])
    }

    /// The verifier of the new ledger.
    fn verifier(&self, ledger_key: &PrivateKey) -> Result<Verifier, Failure> {
        let failed = |what: String| Failure::new(Code::Failure, what);
        let pair = ledger_key.key_data().ed25519();
        let pair = pair.ok_or_else(|| failed("the ledger's key is no Ed25519 key".to_owned()))?;
        let seed = Zeroizing::new(pair.private.to_bytes());
        let signer = checkpoint::Signer::new(&format!("{}/ledger", self.name), &seed);
        Ok(signer
            .map_err(|error| failed(error.to_string()))?
            .verifier())
    }

    /// Checks that the configuration loads, before any file is written.
    fn server_file(&self, signer: Option<String>) -> Result<String, Failure> {
        let example = Example {
            signer,
            ..self.example()?
        };
        let text = example.server();
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
            host_ca_key: self.hosts.then_some(HOST_CA_KEY),
            signer: None,
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
