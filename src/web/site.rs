//! State that the handlers share.

use std::{collections::HashMap, sync::Arc};

use super::{
    exchanges::Exchanges,
    pending::CookieKey,
    sessions::Sessions,
    settings::{self, Settings},
};
use crate::{
    identity::{self, Issuers, SettingsError, code_flow::CodeFlow},
    operations::Authority,
    proto::v1::{
        admin_server::Admin, hosts_server::Hosts, passes_server::Passes, trust_server::Trust,
    },
    server::page::{Backend, LedgerApi, RequestsApi},
};

/// The page's clients at the issuers.
pub(crate) struct Clients {
    pub(super) origin: String,
    pub(super) redirect: String,
    pub(super) flows: Vec<CodeFlow>,
}

impl Clients {
    /// Takes the issuers at which people can sign in on the page. Fetches nothing.
    ///
    /// # Errors
    /// Returns an error if the roots of an issuer cannot be used.
    pub(crate) fn new(
        settings: &Settings,
        issuers: &[identity::Settings],
    ) -> Result<Self, SettingsError> {
        let flow = |issuer: &identity::Settings| {
            let mut secrets = settings.secrets.iter();
            let secret = secrets.find(|(name, _)| *name == issuer.name);
            CodeFlow::new(issuer.clone(), secret.map(|(_, secret)| secret.clone()))
        };
        let usable = issuers.iter().filter(|issuer| settings::is_usable(issuer));
        Ok(Self {
            origin: settings.origin.clone(),
            redirect: settings.redirect(),
            flows: usable.map(flow).collect::<Result<_, _>>()?,
        })
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        format!("{}/web", self.origin)
    }

    /// The flow of the issuer with this configured name.
    pub(super) fn flow(&self, name: &str) -> Option<&CodeFlow> {
        let mut flows = self.flows.iter();
        flows.find(|flow| flow.settings().name == name)
    }
}

/// The page, with what it works on.
pub(super) struct Site {
    pub(super) clients: Clients,
    pub(super) authority: Arc<Authority>,
    pub(super) issuers: Issuers,
    pub(super) requests: Arc<RequestsApi>,
    pub(super) passes: Arc<dyn Passes>,
    pub(super) ledger: Arc<LedgerApi>,
    pub(super) admin: Arc<dyn Admin>,
    pub(super) hosts: Arc<dyn Hosts>,
    pub(super) trust: Arc<dyn Trust>,
    pub(super) cookie_key: CookieKey,
    pub(super) sessions: Sessions,
    /// The bounds of exchanges, by the name of the issuer.
    pub(super) exchanges: HashMap<String, Exchanges>,
}

impl Site {
    pub(super) fn new(clients: Clients, backend: Backend) -> Self {
        let names = clients.flows.iter().map(|flow| &flow.settings().name);
        Self {
            exchanges: names
                .map(|name| (name.clone(), Exchanges::default()))
                .collect(),
            clients,
            cookie_key: CookieKey::new(&backend.secret),
            authority: backend.authority,
            issuers: backend.issuers,
            requests: backend.requests,
            passes: backend.passes,
            ledger: backend.ledger,
            admin: backend.admin,
            hosts: backend.hosts,
            trust: backend.trust,
            sessions: Sessions::default(),
        }
    }
}
