//! The meaning of `daypass.toml`: each section becomes its domain type, or the first problem in it
//! is returned.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::{
    ca_keys,
    error::Problem,
    files::path,
    hosts, issuer, limits, raw,
    settings::{CaKey, Config, Log, TlsFiles},
    store,
    surroundings::Surroundings,
    web, webhook,
};
use crate::{
    policy::source,
    server::{Limits, Proxies},
};

/// Most networks of load balancers.
const MOST_PROXIES: usize = 64;

pub(super) fn config(
    file: raw::File,
    document: toml::Table,
    origin: PathBuf,
    around: &Surroundings,
) -> Result<Config, Problem> {
    let ca_keys = ca_keys::ca_keys(&file.ca, around)?;
    let issuers = issuer::settings(&file.issuer, around)?;
    let ledger_key = ledger_key(&file.ledger.key, &ca_keys, around)?;
    let next_ledger_key = next_ledger_key(&file.ledger, &ca_keys, around)?;
    let config = Config {
        name: server_name(&file.name)?,
        listen: listen(&file.listen, file.tls.is_some())?,
        state: state(file.state.as_ref(), around)?,
        policy: path(&file.policy, around)?,
        tls: file.tls.map(|files| tls(&files, around)).transpose()?,
        hosts: hosts::hosts(
            file.hosts.as_ref(),
            &ca_keys,
            (&ledger_key, next_ledger_key.as_ref()),
            around,
        )?,
        ledger_key,
        next_ledger_key,
        ca_keys,
        postgres: store::postgres(file.store.as_ref(), around)?,
        web: web::settings(
            file.web.as_ref(),
            (&file.name, &file.listen),
            &issuers,
            around,
        )?,
        issuers,
        limits: Limits {
            proxies: proxies(&file.proxies)?,
            ..limits::limits(&file.limits)?
        },
        metrics_public: file.metrics.public,
        log: Log {
            format: file.log.format,
            level: file.log.level,
        },
        webhooks: webhook::settings(&file.webhook, around)?,
        webhook_schedule: crate::notify::Schedule::default(),
        origin,
        document,
        unread: Vec::new(),
    };
    Ok(config)
}

/// A host name or address, as users write it after `https://`.
fn server_name(name: &Spanned<String>) -> Result<String, Problem> {
    let value = name.get_ref();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_host = value.len() <= 253 && value.split('.').all(label);
    if is_host || value.parse::<IpAddr>().is_ok() {
        return Ok(value.clone());
    }
    Err(Problem::new(
        name.span(),
        format!(
            "name {value:?} is not a host name: write the host that users dial, without scheme or port"
        ),
    ))
}

fn listen(listen: &Spanned<String>, has_tls: bool) -> Result<SocketAddr, Problem> {
    let value = listen.get_ref();
    let address: SocketAddr = value.parse().map_err(|_| {
        Problem::new(
            listen.span(),
            format!("listen {value:?} is not an address and a port: write one such as \"0.0.0.0:7443\" or \"[::]:7443\""),
        )
    })?;
    if !has_tls && !address.ip().is_loopback() {
        return Err(Problem::new(
            listen.span(),
            format!(
                "listen {value:?} without [tls] would be plain text on the network: add [tls], or listen on 127.0.0.1"
            ),
        ));
    }
    Ok(address)
}

/// Load balancers. The whole address space is refused: then every caller could choose its address.
fn proxies(proxies: &[Spanned<String>]) -> Result<Proxies, Problem> {
    if let Some(next) = proxies.get(MOST_PROXIES) {
        let message = format!("`proxies` names more than {MOST_PROXIES} networks: aggregate them");
        return Err(Problem::new(next.span(), message));
    }
    let network = |text: &Spanned<String>| {
        let wrong = |why: String| Problem::new(text.span(), format!("proxies: {why}"));
        let network = source::parse(text.get_ref()).map_err(wrong)?;
        match network.prefix_len() {
            0 => Err(wrong(format!(
                "{network} would let every caller choose its address: name the load balancers only"
            ))),
            _ => Ok(network),
        }
    };
    let networks: Result<_, _> = proxies.iter().map(network).collect();
    networks.map(Proxies::new)
}

/// The folder as written; else the unit's StateDirectory; else the folder `state` beside the file.
fn state(state: Option<&Spanned<PathBuf>>, around: &Surroundings) -> Result<PathBuf, Problem> {
    match (state, &around.state_directory) {
        (Some(written), _) => path(written, around),
        (None, Some(folder)) => Ok(folder.clone()),
        (None, None) => Ok(around.path(Path::new("state"))),
    }
}

fn tls(files: &raw::Tls, around: &Surroundings) -> Result<TlsFiles, Problem> {
    Ok(TlsFiles {
        certificate: path(&files.certificate, around)?,
        key: path(&files.key, around)?,
    })
}

fn ledger_key(
    key: &Spanned<PathBuf>,
    ca_keys: &[CaKey],
    around: &Surroundings,
) -> Result<PathBuf, Problem> {
    let file = path(key, around)?;
    if ca_keys.iter().any(|ca| ca.file == file) {
        return Err(Problem::new(
            key.span(),
            "the ledger's key is also a CA key: give the ledger a key of its own (`ssh-keygen -t ed25519 -N ''`)",
        ));
    }
    Ok(file)
}

fn next_ledger_key(
    ledger: &raw::Ledger,
    ca_keys: &[CaKey],
    around: &Surroundings,
) -> Result<Option<PathBuf>, Problem> {
    let Some(next) = &ledger.next_key else {
        return Ok(None);
    };
    let file = ledger_key(next, ca_keys, around)?;
    if file == path(&ledger.key, around)? {
        return Err(Problem::new(
            next.span(),
            "`next_key` is the same file as `key`: make another key for it (`ssh-keygen -t ed25519 -N ''`)",
        ));
    }
    Ok(Some(file))
}
