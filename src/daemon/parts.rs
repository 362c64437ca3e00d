//! The parts of a daemon, read from the files that the configuration names. Opens no file for
//! writing, so the same code answers `daypass init` and `daypass serve --check`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use secrecy::SecretString;
use ssh_key::{PrivateKey, private::KeypairData};
use zeroize::Zeroizing;

use super::error::Error;
use crate::{
    ca::{
        Ca, HostCa, KeyState,
        key::{self, Elsewhere},
    },
    config::{CaKey, Config, Keeper, SignerAddress},
    identity::Issuers,
    keepers::{
        self,
        agent::Agent,
        pkcs11::{self, Token},
        signer::{self, LedgerSlot},
    },
    ledger::{checkpoint::Signer, keyring::Keyring},
    modes,
    notify::{self, Receiver},
    operations::host_authority::{HostAuthority, Settings},
    policy::Policy,
    server::{Tls, metrics},
    ssh::key::fingerprint,
    web,
};

/// A passphrase is one line; more bytes than this are another kind of file.
const LONGEST_PASSPHRASE: u64 = 4096;

/// The most bytes of the ledger key's file.
const LONGEST_KEY: u64 = 16 * 1024;

/// What such a file is called.
const LEDGER_KEY: &str = "ledger key";

/// The most bytes of a policy file.
const LONGEST_POLICY: u64 = 4 * 1024 * 1024;

pub(super) struct Parts {
    pub(super) ca: Ca,
    pub(super) hosts: Option<HostAuthority>,
    /// To be filled once the ledger is open.
    pub(super) ledger: LedgerSlot,
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
    /// Fingerprints of the CA keys of the configuration.
    pub ca_keys: Vec<String>,
    /// Fingerprint of the key that would sign host certificates; none if there is none.
    pub host_ca_key: Option<String>,
    /// The ledger's verifier key.
    pub ledger: String,
}

/// Reads every file that the daemon would read, and starts nothing.
///
/// # Errors
/// Returns the reason that would keep it from starting.
pub(crate) fn summarize(config: &Config) -> Result<Summary, Error> {
    let (parts, keys) = load(config)?;
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
        ca_keys: parts.ca.keys().map(|(key, _)| fingerprint(key)).collect(),
        host_ca_key: parts.hosts.map(|it| fingerprint(it.ca().active())),
        ledger: keys.verifiers().key.to_string(),
    })
}

/// The ledger's keys, which go to the store.
pub(super) fn load(config: &Config) -> Result<(Parts, Keyring), Error> {
    let (tls, page) = (config.tls.as_ref(), page(config)?);
    let ledger = LedgerSlot::default();
    let ca = ca(&config.ca_keys, &ledger)?;
    let parts = Parts {
        hosts: hosts(config, &ca, &ledger)?,
        ca,
        ledger,
        policy: read_policy(config)?,
        issuers: Issuers::new(config.issuers.clone())?,
        tls: tls
            .map(|files| Tls::load(&files.certificate, &files.key))
            .transpose()?,
        metrics: metrics::install().map_err(|error| Error::Metrics(error.to_string()))?,
        receivers: receivers(config, page.as_ref())?,
        page,
    };
    Ok((parts, keyring(config)?))
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

fn receivers(config: &Config, page: Option<&web::Clients>) -> Result<Vec<Receiver>, Error> {
    let page = page.map(web::Clients::url);
    let webhooks = config.webhooks.iter().cloned();
    webhooks
        .map(|settings| Ok(receiver(settings)?.linking(page.clone())))
        .collect()
}

pub(super) fn receiver(settings: notify::Settings) -> Result<Receiver, Error> {
    Ok(Receiver::new(settings)?)
}

pub(super) fn ca(keys: &[CaKey], ledger: &LedgerSlot) -> Result<Ca, Error> {
    let keys: Result<Vec<_>, _> = keys.iter().map(|key| ca_key(key, ledger)).collect();
    Ok(Ca::new(keys?)?)
}

/// The CA of hosts and its settings, if this server knows hosts.
pub(super) fn hosts(
    config: &Config,
    users: &Ca,
    ledger: &LedgerSlot,
) -> Result<Option<HostAuthority>, Error> {
    let Some(hosts) = &config.hosts else {
        return Ok(None);
    };
    let keys: Result<Vec<_>, _> = hosts.keys.iter().map(|key| ca_key(key, ledger)).collect();
    let ca = HostCa::new(keys?, users)?;
    let settings = Settings {
        names: hosts.names.clone(),
        lifetime: hosts.lifetime,
        behind_after: hosts.behind_after,
    };
    Ok(Some(HostAuthority::new(ca, settings)))
}

/// One key of the CA, and the stage of its life. A signer wants proofs of the ledger.
pub(super) fn ca_key(raw: &CaKey, ledger: &LedgerSlot) -> Result<(key::Key, KeyState), Error> {
    let Some(keeper) = &raw.keeper else {
        let secret = raw.passphrase.as_deref();
        let passphrase = secret
            .map(|file| one_line("passphrase", file))
            .transpose()?;
        let key = key::file::load(&raw.file, passphrase.as_ref())?;
        return Ok((key, raw.state));
    };
    let public = key::public::load(&raw.file)?;
    let keeper: Arc<dyn Elsewhere> = match keeper {
        Keeper::Agent { socket } => {
            let agent = Agent::new(socket.clone(), public.clone());
            Arc::new(keepers::Keeper::new(agent))
        }
        Keeper::Pkcs11 { module, token, pin } => {
            let pin = pin.as_deref().map(|file| one_line("PIN", file));
            let place = pkcs11::Place {
                module: module.clone(),
                token: token.clone(),
                pin: pin.transpose()?,
                key: public.clone(),
            };
            Arc::new(keepers::Keeper::new(Token::new(place)))
        }
        Keeper::Signer(address) => {
            let place = signer::Place {
                address: signer_address(address)?,
                key: public.clone(),
                ledger: ledger.clone(),
            };
            Arc::new(keepers::Keeper::new(signer::Signer::new(place)))
        }
    };
    Ok((key::Key::elsewhere(public, keeper), raw.state))
}

fn signer_address(address: &SignerAddress) -> Result<signer::Address, Error> {
    Ok(match address {
        SignerAddress::Socket(path) => signer::Address::Socket(path.clone()),
        SignerAddress::Tls { host, port, files } => signer::Address::Tls {
            host: host.clone(),
            port: *port,
            connector: files.connector()?,
        },
    })
}

/// The passphrase of a private key.
pub(crate) fn passphrase(file: &Path) -> Result<SecretString, Error> {
    one_line("passphrase", file)
}

/// The only line of the file.
fn one_line(what: &'static str, file: &Path) -> Result<SecretString, Error> {
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

/// The ledger's keys.
pub(super) fn keyring(config: &Config) -> Result<Keyring, Error> {
    keyring_from(config, ledger_key_text)
}

/// The text of a file with a key of the ledger.
pub(super) fn ledger_key_text(file: &Path) -> Result<Zeroizing<String>, Error> {
    let text = modes::read_secret(file, LONGEST_KEY);
    text.map_err(|problem| unreadable(LEDGER_KEY, file, problem))
}

/// The ledger's keys, from the texts of their files.
pub(super) fn keyring_from(
    config: &Config,
    read: impl Fn(&Path) -> Result<Zeroizing<String>, Error>,
) -> Result<Keyring, Error> {
    let signer = |file: &PathBuf| -> Result<Signer, Error> {
        let seed = seed_of(&read(file)?, file)?;
        Ok(Signer::new(&config.ledger_origin(), &seed)?)
    };
    let next = config.next_ledger_key.as_ref().map(signer).transpose()?;
    Ok(Keyring::new(signer(&config.ledger_key)?, next)?)
}

fn seed_of(text: &str, file: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let what = LEDGER_KEY;
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
