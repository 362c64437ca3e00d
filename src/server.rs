//! Network edge: one port that serves gRPC (`daypass.v1`) and answers hosts and monitors over plain
//! HTTPS.
//!
//! A connection comes in through [`accept`] (caps, deadlines, TLS), a request through `routes`, a
//! call through `call` (rate limits, authentication, one log line, metrics). A handler converts its
//! request, calls one operation, and converts the answer.
//!
//! Apart from the command line, only this module reads the clock and draws nonces for operations.
//! It never touches the store: it knows only what `operations` returns.

pub mod accept;
mod activity;
mod admin;
mod answer;
mod authenticate;
pub(crate) mod bearer;
mod budget;
mod call;
mod certificate;
pub(crate) mod conditional;
mod connection;
mod convert;
mod emergency;
mod endpoint;
mod entries;
mod environment;
mod error;
mod gauges;
mod hearing;
mod hosts;
mod isolation;
mod joined;
mod ledger;
mod limiter;
pub(crate) mod limits;
pub(crate) mod lines;
pub mod log;
pub(crate) mod metrics;
mod on_behalf;
pub(crate) mod page;
mod passes;
mod peer;
mod plain;
mod proxy_header;
mod rate_limit;
mod readiness;
mod requests;
mod routes;
mod services;
mod status;
pub(crate) mod tls;
mod trust;
mod watches;
mod work;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    identity::{Issuers, emergency::Challenges},
    operations::{Authority, hosts::listing},
    proto::v1::{
        admin_server, hosts_server, ledger_server, passes_server, requests_server, trust_server,
    },
    ticks::ticks,
};

use gauges::Gauges;
use hearing::Hearing;
use page::{Backend, Page};
use rate_limit::RateLimit;
use services::Services;
use tonic_health::{ServingStatus, server::HealthReporter};
use watches::Watches;

pub use error::Error;
pub use limits::Limits;
pub use peer::Proxies;
pub use tls::Tls;

/// Interval at which readiness is checked for the health service.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Rounds of [`WATCH_EVERY`] after which the hosts that fell behind are marked again.
const MARK_EVERY: u32 = 60;

/// Names of the health service: the server as a whole, and each service.
const SERVICES: [&str; 7] = [
    "",
    passes_server::SERVICE_NAME,
    trust_server::SERVICE_NAME,
    ledger_server::SERVICE_NAME,
    requests_server::SERVICE_NAME,
    admin_server::SERVICE_NAME,
    hosts_server::SERVICE_NAME,
];

/// Server before it runs.
pub(crate) struct Server {
    /// Signs, decides and records.
    pub authority: Arc<Authority>,
    /// Issuers whose ID tokens are accepted.
    pub issuers: Issuers,
    /// Limits of callers.
    pub limits: Limits,
    /// `None` means plain text, which [`Server::run`] refuses on any address but loopback.
    pub tls: Option<Tls>,
    /// Renders `/metrics`. The caller has installed the recorder ([`metrics::install`]).
    pub metrics: metrics::Handle,
    /// Lets callers read `/metrics` from other addresses than loopback.
    pub metrics_public: bool,
    /// The page for approvers, if there is one.
    pub page: Option<Page>,
}

impl Server {
    /// Serves until `stop` is cancelled. Then accepts no more connections, finishes requests in
    /// flight (bounded by [`Limits::drain`]) and returns.
    ///
    /// # Errors
    /// If the listener or TLS cannot be used. Errors of single connections end only those.
    pub(crate) async fn run(
        self,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let challenges = Challenges::new(self.authority.store.secret("challenges").as_ref());
        let services = Arc::new(Services {
            authority: self.authority,
            issuers: self.issuers,
            per_address: RateLimit::new(self.limits.requests_per_address),
            per_identity: RateLimit::new(self.limits.requests_per_identity),
            challenges,
            watches: Watches::new(self.limits.watches),
            page_url: self
                .page
                .as_ref()
                .map(|it| it.url.clone())
                .unwrap_or_default(),
            stop: stop.clone(),
        });
        let page = self.page.map(|page| {
            (page.routes)(Backend {
                authority: services.authority.clone(),
                issuers: services.issuers.clone(),
                requests: services.clone(),
                passes: services.clone(),
                ledger: services.clone(),
                admin: services.clone(),
                hosts: services.clone(),
                trust: services.clone(),
                secret: services.authority.store.secret("web").as_ref().to_vec(),
            })
        });
        let teller = services.watches.clone();
        let teller = tokio::spawn(teller.run(services.authority.clone(), stop.clone()));
        let health = HealthReporter::new();
        let router = routes::routes(
            &services,
            self.limits.message_bytes,
            health.clone(),
            plain::Pages {
                of_people: page.unwrap_or_default(),
                metrics: plain::Metrics {
                    handle: self.metrics.clone(),
                    is_public: self.metrics_public,
                    gauges: Arc::new(Gauges::new(self.tls.clone())),
                },
            },
        )?;
        let watch = tokio::spawn(watch(services, health, self.metrics, stop.clone()));
        let outcome = accept::run(listener, router, self.limits, self.tls.as_ref(), stop).await;
        watch.abort();
        teller.abort();
        outcome
    }
}

/// Updates the health service, fetches missing keys of issuers again, and trims the histograms,
/// until `stop` is cancelled. Then reports NOT_SERVING.
async fn watch(
    services: Arc<Services>,
    health: HealthReporter,
    metrics: metrics::Handle,
    stop: CancellationToken,
) {
    let mut ticks = ticks(WATCH_EVERY);
    let mut hearing = Hearing::new(environment::now(), Instant::now());
    let mut fetches = JoinSet::new();
    let mut rounds: u32 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => (),
            () = stop.cancelled() => break,
        }
        report(&health, services.readiness().is_ready).await;
        metrics.run_upkeep();
        lines::LOG.tell();
        // Denials that cannot be recorded now stay counted. The store has logged the reason.
        let _ = services.authority.record_denials(environment::now()).await;
        rounds = rounds.wrapping_add(1);
        let heard = hearing.round(environment::now(), Instant::now());
        if rounds.is_multiple_of(MARK_EVERY)
            && let Err(error) = listing::mark(&services.authority, heard, environment::now()).await
        {
            tracing::warn!(%error, "hosts that are behind could not be marked");
        }
        while fetches.try_join_next().is_some() {}
        if fetches.is_empty() && !services.issuers.without_keys().is_empty() {
            let issuers = services.issuers.clone();
            fetches.spawn(async move { issuers.prefetch().await });
        }
    }
    lines::LOG.tell();
    report(&health, false).await;
}

async fn report(health: &HealthReporter, is_ready: bool) {
    let status = match is_ready {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    };
    for service in SERVICES {
        health.set_service_status(service, status).await;
    }
}
