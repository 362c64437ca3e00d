//! Wires the configuration of `daypass signer` into a running one, checks it, and answers its
//! alarms.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use serde::Serialize;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Mutex,
};

use super::{
    clock::now,
    error::{Error, chain},
    key_watch, parts, service, systemd,
};
use crate::{
    ca::{
        key::{self, Key},
        signer::verify::Rules,
    },
    config::SignerConfig,
    finding::Finding,
    keepers::signer::LedgerSlot,
    signer::{Listeners, Memory, Service, memory, serve},
    ssh::key::fingerprint,
};

/// The accounts of this machine. A caller is an account of a service, which stands here.
const ACCOUNTS: &str = "/etc/passwd";

/// Runs the signer of a configuration file until SIGTERM or SIGINT. Sets up the process's log.
///
/// # Errors
/// Returns [`Error::Config`] if the file is invalid, and [`Error::Logged`] if a later step failed,
/// because the log has the reason.
pub(crate) async fn run_signer(config_file: &Path) -> Result<(), Error> {
    let config = SignerConfig::load(config_file)?;
    service::log_to_stderr(&config.log);
    serve_until_stopped(&config).await.map_err(|error| {
        tracing::error!(reason = chain(&error), "stopped");
        Error::Logged
    })
}

async fn serve_until_stopped(config: &SignerConfig) -> Result<(), Error> {
    let handle = |error| Error::System("handle signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(handle)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(handle)?;
    let (key, rules) = load(config)?;
    let memory = Memory::open(&config.state, &config.ledger)?;
    let remembered = memory.seen().head.size;
    if let Some(why) = memory.alarm() {
        tracing::error!(why, "ALARM: nothing is signed until an operator acts");
    }
    let listeners = listen(config).await?;
    key.start().await;
    tracing::info!(
        address = address(config),
        key = fingerprint(&rules.ca),
        remembered,
        "ready"
    );
    let key = Arc::new(key);
    let service = Arc::new(Service {
        key: key.clone(),
        rules,
        memory: Arc::new(Mutex::new(memory)),
        now,
    });
    systemd::ready(&format!("signing for {}", config.server));
    tokio::select! {
        () = serve::serve(service, listeners) => {}
        () = key_watch::watch_key(key) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    systemd::stopping();
    if let Some((socket, _)) = &config.socket {
        let _ = fs::remove_file(socket);
    }
    tracing::info!("stopped");
    Ok(())
}

async fn listen(config: &SignerConfig) -> Result<Listeners, Error> {
    let mut listeners = Listeners::default();
    if let Some((socket, callers)) = &config.socket {
        let users = users(callers)?;
        let listener = serve::listen(socket).await;
        let listener =
            listener.map_err(|error| Error::Socket(socket.display().to_string(), error))?;
        listeners.socket = Some((listener, users));
    }
    if let Some((address, files)) = &config.tls {
        let acceptor = files.acceptor()?;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| Error::Socket(address.to_string(), error))?;
        listeners.tls = Some((listener, acceptor));
    }
    Ok(listeners)
}

/// Where it listens, for people.
fn address(config: &SignerConfig) -> String {
    let socket = config
        .socket
        .iter()
        .map(|(path, _)| path.display().to_string());
    let tls = config
        .tls
        .iter()
        .map(|(address, _)| format!("tls://{address}"));
    socket.chain(tls).collect::<Vec<_>>().join(" and ")
}

fn load(config: &SignerConfig) -> Result<(Key, Rules), Error> {
    let (key, _) = parts::ca_key(&config.key, &LedgerSlot::default())?;
    let others = config.others.iter().map(|file| key::public::load(file));
    let rules = Rules {
        ca: key.public().clone(),
        others: others.collect::<Result<_, _>>()?,
        ledger: config.ledger.clone(),
        server: config.server.clone(),
        administrators: config.administrators.clone(),
        ceilings: config.ceilings.clone(),
        host_ceilings: config.host_ceilings.clone(),
    };
    Ok((key, rules))
}

/// The ids of accounts that are given by name or number.
fn users(callers: &[String]) -> Result<BTreeSet<u32>, Error> {
    let accounts = fs::read_to_string(ACCOUNTS).unwrap_or_default();
    let id = |caller: &String| {
        let named = |line: &str| {
            let mut fields = line.split(':');
            let is_it = fields.next() == Some(caller);
            is_it.then(|| fields.nth(1)?.parse().ok()).flatten()
        };
        let id = caller.parse().ok();
        id.or_else(|| accounts.lines().find_map(named))
            .ok_or_else(|| Error::Account(caller.clone()))
    };
    callers.iter().map(id).collect()
}

/// The result of `daypass signer --check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SignerReport {
    /// True if nothing is wrong.
    pub healthy: bool,
    /// The server's name.
    pub server: String,
    /// Where it listens.
    pub address: String,
    /// The size of the ledger that it remembers.
    pub remembered: Option<u64>,
    /// Why nothing is signed until an operator acts.
    pub alarm: Option<String>,
    /// What was checked.
    pub findings: Vec<Finding>,
}

/// Checks what the configuration names and whether an alarm waits, also beside a running signer.
pub(crate) async fn examine_signer(config: &SignerConfig) -> SignerReport {
    let mut findings = Vec::new();
    let mut wrong = |check, error: &Error| findings.push(Finding::wrong(check, chain(error)));
    let key = load(config).map_err(|error| wrong("ca-key", &error)).ok();
    let callers = config
        .socket
        .iter()
        .map(|(_, callers)| users(callers).map(drop));
    let tls = config
        .tls
        .iter()
        .map(|(_, files)| Ok(files.acceptor().map(drop)?));
    for error in callers.chain(tls).filter_map(Result::err) {
        wrong("callers", &error);
    }
    if let Some((key, rules)) = &key {
        findings.push(match key.find().await {
            Ok(()) => Finding::good(
                "ca-key",
                format!("the CA key is {}", fingerprint(&rules.ca)),
            ),
            Err(error) => Finding::wrong("ca-key", chain(&error)),
        });
    }
    let look = memory::look(&config.state, &config.ledger);
    findings.push(match &look {
        Ok(look) => Finding::good(
            "memory",
            format!("it remembers a ledger of {} events", look.seen.head.size),
        ),
        Err(error) => Finding::wrong("memory", error.to_string()),
    });
    let look = look.ok();
    let alarm = look.as_ref().and_then(|look| look.alarm.clone());
    findings.extend(alarm.iter().map(|why| Finding::wrong("alarm", why)));
    SignerReport {
        healthy: findings.iter().all(|finding| !finding.is_wrong()),
        server: config.server.clone(),
        address: address(config),
        remembered: look.map(|look| look.seen.head.size),
        alarm,
        findings,
    }
}

/// What an operator decides about a signer's memory.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// It has seen nothing: a new signer.
    New,
    /// It goes on from what it remembers: the alarm was a false one.
    Keep,
    /// It goes on from this checkpoint: a signed note.
    From(String),
}

/// Puts the decision into the memory of a stopped signer. Returns the size from which it goes on.
///
/// # Errors
/// Returns [`Error::Signer`] if another process uses the memory, or the note is not this ledger's.
pub(crate) fn accept_signer(config: &SignerConfig, decision: &Decision) -> Result<u64, Error> {
    let note = match decision {
        Decision::New => {
            memory::begin(&config.state)?;
            return Ok(0);
        }
        Decision::Keep => None,
        Decision::From(note) => Some(note.as_str()),
    };
    Ok(memory::accept(&config.state, &config.ledger, note)?
        .head
        .size)
}
