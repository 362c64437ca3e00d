//! `daypass.toml` as it is written: serde alone, with the place of each value. The sibling files
//! give it a meaning.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::{
    ca::KeyState,
    identity::{Binding, RedirectHost, issuer::Algorithm},
    notify::{NotificationKind, settings},
    server::log::Format,
};

use super::settings::LogLevel;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: Spanned<String>,
    pub(super) listen: Spanned<String>,
    #[serde(default)]
    pub(super) proxies: Vec<Spanned<String>>,
    pub(super) state: Option<Spanned<PathBuf>>,
    pub(super) policy: Spanned<PathBuf>,
    pub(super) tls: Option<Tls>,
    pub(super) ca: Spanned<Ca>,
    pub(super) ledger: Ledger,
    #[serde(default)]
    pub(super) issuer: Vec<Issuer>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) metrics: Metrics,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) webhook: Vec<Webhook>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate: Spanned<PathBuf>,
    pub(super) key: Spanned<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ca {
    #[serde(default)]
    pub(super) key: Vec<CaKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaKey {
    pub(super) file: Spanned<PathBuf>,
    pub(super) passphrase_file: Option<Spanned<PathBuf>>,
    pub(super) passphrase_credential: Option<Spanned<String>>,
    pub(super) state: Spanned<KeyState>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    pub(super) key: Spanned<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    pub(super) name: Spanned<String>,
    pub(super) url: Spanned<String>,
    pub(super) client_id: Spanned<String>,
    pub(super) audiences: Option<Spanned<Vec<String>>>,
    pub(super) algorithms: Spanned<Vec<Algorithm>>,
    #[serde(default)]
    pub(super) key_without_id: bool,
    pub(super) binding: Spanned<Binding>,
    pub(super) scopes: Option<Spanned<Vec<String>>>,
    #[serde(default)]
    pub(super) device_flow: bool,
    #[serde(default = "yes")]
    pub(super) interactive: bool,
    pub(super) ca_file: Option<Spanned<PathBuf>>,
    pub(super) client_secret_file: Option<Spanned<PathBuf>>,
    pub(super) redirect_ports: Option<Spanned<Vec<u16>>>,
    #[serde(default)]
    pub(super) redirect_host: RedirectHost,
    pub(super) authorization_parameters: Option<Spanned<BTreeMap<String, String>>>,
    pub(super) refresh: Option<Spanned<bool>>,
    pub(super) session: Option<Spanned<String>>,
    pub(super) label: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) string_booleans: bool,
}

fn yes() -> bool {
    true
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) connections: Option<Spanned<u64>>,
    pub(super) connections_per_address: Option<Spanned<u64>>,
    pub(super) streams: Option<Spanned<u64>>,
    pub(super) message_bytes: Option<Spanned<u64>>,
    pub(super) header_bytes: Option<Spanned<u64>>,
    pub(super) unproven_bytes: Option<Spanned<u64>>,
    pub(super) unproven_bytes_per_address: Option<Spanned<u64>>,
    pub(super) handshake: Option<Spanned<String>>,
    pub(super) first_byte: Option<Spanned<String>>,
    pub(super) request: Option<Spanned<String>>,
    pub(super) idle: Option<Spanned<String>>,
    pub(super) age: Option<Spanned<String>>,
    pub(super) requests_per_address: Option<Rate>,
    pub(super) requests_per_identity: Option<Rate>,
    pub(super) drain: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rate {
    pub(super) per_second: Spanned<u64>,
    pub(super) burst: Spanned<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metrics {
    #[serde(default)]
    pub(super) public: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    #[serde(default)]
    pub(super) format: Format,
    #[serde(default)]
    pub(super) level: LogLevel,
}

/// `[[webhook]]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) name: Spanned<String>,
    pub(super) url: Option<Spanned<String>>,
    pub(super) url_file: Option<Spanned<PathBuf>>,
    pub(super) url_credential: Option<Spanned<String>>,
    pub(super) secret_file: Option<Spanned<PathBuf>>,
    pub(super) secret_credential: Option<Spanned<String>>,
    pub(super) events: Option<Spanned<Vec<NotificationKind>>>,
    #[serde(default)]
    pub(super) format: settings::Format,
    #[serde(default)]
    pub(super) networks: Vec<Spanned<String>>,
    pub(super) timeout: Option<Spanned<String>>,
    pub(super) ca_file: Option<Spanned<PathBuf>>,
}
