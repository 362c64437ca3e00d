//! The parts of a daemon, read from the files that the configuration names. Opens no file for
//! writing, so the same code answers `daypass init` and `daypass serve --check`.

use std::path::Path;

use secrecy::SecretString;
use ssh_key::{PrivateKey, private::KeypairData};
use zeroize::Zeroizing;

use super::error::Error;
use crate::{
    ca::{Ca, KeyState, key},
    config::{CaKey, Config},
    identity::Issuers,
    ledger::checkpoint::Signer,
    modes,
    notify::{self, Receiver},
    policy::Policy,
    server::{Tls, metrics},
    ssh::key::fingerprint,
    web,
};

/// A passphrase is one line; more bytes than this are another kind of file.
const LONGEST_PASSPHRASE: u64 = 4096;

/// The most bytes of the ledger key's file.
const LONGEST_KEY: u64 = 16 * 1024;

/// The most bytes of a policy file.
const LONGEST_POLICY: u64 = 4 * 1024 * 1024;

pub(super) struct Parts {
    pub(super) ca: Ca,
    pub(super) policy: Policy,
    pub(super) issuers: Issuers,
    pub(super) tls: Option<Tls>,
    pub(super) metrics: metrics::Handle,
    pub(super) receivers: Vec<Receiver>,
    pub(super) page: Option<web::Clients>,
}

/// What `daypass init` says about the server that it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Fingerprint of the TLS certificate, for `--server-fingerprint`.
    pub tls: Option<String>,
    /// Fingerprint of the key that would sign.
    pub ca_key: String,
    /// The ledger's verifier key.
    pub ledger: String,
}

/// Reads every file that the daemon would read, and starts nothing.
///
/// # Errors
/// Returns the reason that would keep it from starting.
pub(crate) fn summarize(config: &Config) -> Result<Summary, Error> {
    let (parts, signer) = load(config)?;
    if config.state.exists() {
        modes::expect_own_folder(&config.state).map_err(Error::state(&config.state))?;
    }
    Ok(Summary {
        tls: parts
            .tls
            .as_ref()
            .and_then(Tls::fingerprint)
            .map(|it| it.to_string()),
        ca_key: fingerprint(parts.ca.active()),
        ledger: signer.verifier().to_string(),
    })
}

/// The ledger's signer, which goes to the store.
pub(super) fn load(config: &Config) -> Result<(Parts, Signer), Error> {
    let tls = config.tls.as_ref();
    let parts = Parts {
        ca: ca(&config.ca_keys)?,
        policy: read_policy(config)?,
        issuers: Issuers::new(config.issuers.clone())?,
        tls: tls
            .map(|files| Tls::load(&files.certificate, &files.key))
            .transpose()?,
        metrics: metrics::install().map_err(|error| Error::Metrics(error.to_string()))?,
        receivers: receivers(config)?,
        page: page(config)?,
    };
    Ok((parts, signer(config)?))
}

/// The policy. Refuses one that demands pages if no webhook takes them.
pub(super) fn read_policy(config: &Config) -> Result<Policy, Error> {
    let file = &*config.policy;
    let text = modes::read_trusted_text(file, LONGEST_POLICY)
        .map_err(|problem| unreadable("policy", file, problem))?;
    let policy = Policy::parse(&text, &file.display().to_string())?;
    let issuers: Vec<&str> = config.issuers.iter().map(|it| it.url.as_str()).collect();
    policy.expect_issuers(&issuers)?;
    if !config.can_page() {
        policy.expect_no_page_before()?;
    }
    Ok(policy)
}

fn page(config: &Config) -> Result<Option<web::Clients>, Error> {
    let settings = config.web.as_ref();
    let clients = settings.map(|settings| web::Clients::new(settings, &config.issuers));
    Ok(clients.transpose()?)
}

fn receivers(config: &Config) -> Result<Vec<Receiver>, Error> {
    config.webhooks.iter().cloned().map(receiver).collect()
}

pub(super) fn receiver(settings: notify::Settings) -> Result<Receiver, Error> {
    Ok(Receiver::new(settings)?)
}

pub(super) fn ca(keys: &[CaKey]) -> Result<Ca, Error> {
    let keys: Result<Vec<_>, _> = keys.iter().map(ca_key).collect();
    Ok(Ca::new(keys?)?)
}

/// One key of the CA, and the stage of its life.
pub(super) fn ca_key(raw: &CaKey) -> Result<(key::Key, KeyState), Error> {
    let passphrase = raw.passphrase.as_deref().map(passphrase).transpose()?;
    let key = key::file::load(&raw.file, passphrase.as_ref())?;
    Ok((key, raw.state))
}

/// The only line of the file.
pub(crate) fn passphrase(file: &Path) -> Result<SecretString, Error> {
    let what = "passphrase";
    let text = modes::read_secret(file, LONGEST_PASSPHRASE)
        .map_err(|problem| unreadable(what, file, problem))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.contains('\n') {
        return Err(unreadable(
            what,
            file,
            "the file must hold exactly one line",
        ));
    }
    Ok(SecretString::from(line))
}

pub(super) fn signer(config: &Config) -> Result<Signer, Error> {
    let seed = ledger_seed(&config.ledger_key)?;
    Ok(Signer::new(&config.ledger_origin(), &seed)?)
}

fn ledger_seed(file: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let what = "ledger key";
    let text =
        modes::read_secret(file, LONGEST_KEY).map_err(|problem| unreadable(what, file, problem))?;
    seed_of(&text, file)
}

/// The signer with this text of a key file that is not in its place yet.
pub(super) fn signer_of(config: &Config, text: &str) -> Result<Signer, Error> {
    let seed = seed_of(text, &config.ledger_key)?;
    Ok(Signer::new(&config.ledger_origin(), &seed)?)
}

fn seed_of(text: &str, file: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let what = "ledger key";
    let key = PrivateKey::from_openssh(text)
        .map_err(|_| unreadable(what, file, "not an OpenSSH private key"))?;
    match key.key_data() {
        KeypairData::Ed25519(pair) => Ok(Zeroizing::new(pair.private.to_bytes())),
        KeypairData::Encrypted(_) => Err(unreadable(
            what,
            file,
            "it has a passphrase: the ledger's key takes none, remove it with `ssh-keygen -p`",
        )),
        _ => Err(unreadable(
            what,
            file,
            "not an Ed25519 key: make one with `ssh-keygen -t ed25519 -N ''`",
        )),
    }
}

fn unreadable(what: &'static str, file: &Path, problem: impl ToString) -> Error {
    Error::File {
        what,
        file: file.display().to_string(),
        problem: problem.to_string(),
    }
}
