//! A daemon that serves: its start, its reload and its end in order.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdTcpListener},
    sync::Arc,
};

use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinHandle},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    clock::now,
    error::{Error, chain},
    evidence::Evidence,
    key_watch,
    parts::{self, Parts},
    served, state,
};
use crate::{
    config::Config,
    identity::Issuers,
    notify::{Deliveries, Notifier},
    operations::{Authority, authority},
    outbound::CertificateFingerprint,
    server::{self, Server, Tls},
    store::{Opening, Store},
    web,
};

/// Starts a daemon: reads keys and policy, opens the store, listens and serves. Issuers are fetched
/// in the background, so that an unreachable one does not delay the start.
///
/// `listener` is a socket that was passed to this process; without one, `config.listen` is bound.
///
/// # Errors
/// Returns the reason that keeps it from serving. Nothing is left running.
pub async fn start(config: Config, listener: Option<StdTcpListener>) -> Result<Running, Error> {
    start_with(config, listener, Opening::default()).await
}

/// [`start`], with the operator's choices for this start.
///
/// # Errors
/// As [`start`], and an error if the ledger is missing or the clock is behind it.
pub async fn start_with(
    config: Config,
    listener: Option<StdTcpListener>,
    opening: Opening<'_>,
) -> Result<Running, Error> {
    let (parts, keys) = parts::load(&config)?;
    let store = state::open(&config, keys, opening).await?;
    let started = serve(config, parts, store.clone(), listener).await;
    if started.is_err() {
        store.close().await;
    }
    started
}

async fn serve(
    config: Config,
    parts: Parts,
    store: Store,
    passed: Option<StdTcpListener>,
) -> Result<Running, Error> {
    let (listener, address) = listen(&config, passed).await?;
    let name = config.name.clone();
    let is_new_policy = served::is_new_policy(&config.state, parts.policy.hash());
    let label = label(&config);
    let notifier = Notifier::open(parts.receivers, &config.state, &store, &label)
        .map_err(|error| Error::Webhooks(config.state.display().to_string(), error))?;
    // It is empty until now: each start reads its own parts.
    let _ = parts.ledger.set(Box::new(Evidence(store.clone())));
    if let Some(hosts) = &parts.hosts {
        hosts.ca().start().await;
    }
    let authority = Authority::start(
        authority::Parts {
            server_name: name,
            ca: parts.ca,
            policy: parts.policy,
            store,
            is_new_policy,
        },
        now(),
    )
    .await?;
    authority.ca().start().await;
    let authority = authority.notifying(notifier.clone());
    let authority = Arc::new(authority.knowing_hosts(parts.hosts));
    let schedule = config.webhook_schedule;
    let deliveries = notifier.deliver(&authority.store, &config.name, schedule, now);
    let server = Server {
        authority: authority.clone(),
        issuers: parts.issuers.clone(),
        limits: config.limits.clone(),
        tls: parts.tls.clone(),
        metrics: parts.metrics,
        metrics_public: config.metrics_public,
        page: parts.page.map(page),
    };
    let stop = CancellationToken::new();
    server::metrics::started(now());
    served::record(&config.state, parts.tls.as_ref());
    let running = Running {
        address,
        key_watch: tokio::spawn(key_watch::watch(Arc::downgrade(&authority))).abort_handle(),
        authority,
        tls: parts.tls,
        config,
        prefetch: prefetch(parts.issuers),
        server: tokio::spawn(server.run(listener, stop.clone())),
        stop: stop.drop_guard(),
        deliveries,
    };
    running.record_policy();
    Ok(running)
}

/// A daemon that serves. Dropping it stops serving; [`Running::stop`] also closes the store in
/// order.
pub struct Running {
    address: SocketAddr,
    authority: Arc<Authority>,
    tls: Option<Tls>,
    config: Config,
    prefetch: AbortHandle,
    key_watch: AbortHandle,
    server: JoinHandle<Result<(), server::Error>>,
    stop: DropGuard,
    deliveries: Deliveries,
}

/// The changes of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The new policy's hash; none if the file is the one in force.
    pub policy: Option<String>,
    /// True if the certificate changed.
    pub certificate: bool,
    /// The settings of `daypass.toml` that changed and need a restart, such as `log.level`.
    pub needs_restart: Vec<String>,
}

impl Running {
    /// The fingerprint of its TLS certificate; none if it speaks plain HTTP on loopback.
    pub fn tls_fingerprint(&self) -> Option<CertificateFingerprint> {
        self.tls.as_ref().and_then(Tls::fingerprint)
    }

    /// The address that it listens on, with the real port even if 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The configuration of its start.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The authority that decides, records and signs.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// Reads policy and TLS certificate again. A broken one stays as it was; the other is replaced.
    /// `daypass.toml` is only compared: its changed settings need a restart.
    ///
    /// # Errors
    /// Returns [`Error::Reload`] with every reason, joined.
    pub async fn reload(&self) -> Result<Reloaded, Error> {
        let mut reasons = Vec::new();
        let mut keep = |error: Error| reasons.push(chain(&error));
        let policy = self.reload_policy().await.unwrap_or_else(|error| {
            keep(error);
            None
        });
        let certificate = self.reload_certificate().unwrap_or_else(|error| {
            keep(error);
            false
        });
        let needs_restart = self.changed_settings().unwrap_or_else(|error| {
            keep(error);
            Vec::new()
        });
        if !reasons.is_empty() {
            if policy.is_some() {
                reasons.push("the new policy is in force all the same".to_owned());
            }
            return Err(Error::Reload(reasons.join("; ")));
        }
        Ok(Reloaded {
            policy,
            certificate,
            needs_restart,
        })
    }

    async fn reload_policy(&self) -> Result<Option<String>, Error> {
        let policy = parts::read_policy(&self.config)?;
        let is_in_force = self.authority.policy_elsewhere().is_none();
        if is_in_force && policy.hash() == self.authority.policy().hash() {
            return Ok(None);
        }
        let hash = policy.hash().to_owned();
        self.authority.replace_policy(policy, now()).await?;
        self.record_policy();
        Ok(Some(hash))
    }

    /// If another server of this ledger has put another policy in force, reads the file again and
    /// uses it if it is that one. Returns the hash of a policy that is still missing here.
    pub(super) async fn follow_policy(&self) -> Option<String> {
        let wanted = self.authority.policy_elsewhere()?;
        let policy = parts::read_policy(&self.config).ok();
        let has_adopted = match policy.filter(|policy| policy.hash() == wanted) {
            Some(policy) => self.authority.adopt_policy(policy).await,
            None => false,
        };
        if !has_adopted {
            return Some(wanted);
        }
        self.record_policy();
        None
    }

    fn record_policy(&self) {
        if self.authority.store.is_shared() {
            served::record_policy(&self.config.state, self.authority.policy().hash());
        }
    }

    fn reload_certificate(&self) -> Result<bool, Error> {
        let is_new = self.tls.as_ref().map_or(Ok(false), Tls::reload)?;
        if is_new {
            served::record(&self.config.state, self.tls.as_ref());
        }
        Ok(is_new)
    }

    fn changed_settings(&self) -> Result<Vec<String>, Error> {
        let again = self.config.read_again()?;
        for problem in again.unread() {
            tracing::warn!(
                problem,
                "a file of the configuration cannot be read: what it held stays, and a restart would fail"
            );
        }
        Ok(self.config.differences(&again))
    }

    /// True if appends can work now.
    pub(crate) fn is_ready(&self) -> bool {
        self.authority.store.is_ready()
    }

    /// Accepts no more calls, finishes those in flight (within `limits.drain`), leaves pending
    /// webhook deliveries to the next start, then commits and closes the store.
    ///
    /// # Errors
    /// Returns an error if the server had failed before.
    pub async fn stop(self) -> Result<(), Error> {
        let Self {
            authority,
            prefetch,
            key_watch,
            server,
            stop,
            deliveries,
            ..
        } = self;
        prefetch.abort();
        key_watch.abort();
        stop.disarm().cancel();
        let outcome = server.await;
        deliveries.stop().await;
        authority.store.close().await;
        outcome.map_err(|_| Error::Panicked)??;
        Ok(())
    }

    /// As [`Running::stop`], after [`Running::failed`]: aborts the parts that still run.
    pub(super) async fn close(self) {
        self.prefetch.abort();
        self.key_watch.abort();
        self.server.abort();
        self.deliveries.stop().await;
        self.authority.store.close().await;
    }

    /// Resolves when the server or the ledger's writer ends without [`Running::stop`]. Neither
    /// starts again by itself.
    pub(super) async fn failed(&mut self) -> Error {
        tokio::select! {
            ended = &mut self.server => match ended {
                Ok(Err(error)) => Error::Server(error),
                Ok(Ok(())) | Err(_) => Error::Panicked,
            },
            () = self.authority.store.ended() => Error::NoWriter,
        }
    }
}

fn page(clients: web::Clients) -> server::page::Page {
    server::page::Page {
        url: clients.url(),
        routes: Box::new(|backend| web::routes(clients, backend)),
    }
}

fn prefetch(issuers: Issuers) -> AbortHandle {
    tokio::spawn(async move { issuers.prefetch().await }).abort_handle()
}

/// This server among those of one name, for people: the machine and the address.
fn label(config: &Config) -> String {
    let machine = rustix::system::uname();
    format!("{} {}", machine.nodename().to_string_lossy(), config.listen)
}

/// The socket and its address. Without TLS it must be loopback, also if another process opened it.
async fn listen(
    config: &Config,
    passed: Option<StdTcpListener>,
) -> Result<(TcpListener, SocketAddr), Error> {
    let opened = match passed {
        Some(listener) => listener
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(listener)),
        None => bind(config.listen).await,
    };
    let addressed = opened.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = addressed.map_err(|source| Error::Listen {
        address: config.listen,
        source,
    })?;
    if config.tls.is_none() && !address.ip().is_loopback() {
        return Err(server::Error::PlainText(address).into());
    }
    Ok((listener, address))
}

/// Binds an address. `[::]` is every address of both families, or of IPv4 alone if the kernel has
/// no IPv6.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let without_ipv6 = Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    match TcpListener::bind(address).await {
        Err(error)
            if error.raw_os_error() == without_ipv6 && address.ip() == Ipv6Addr::UNSPECIFIED =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::dev::world::{Options, World};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_without_a_writer_ends_so_that_systemd_starts_another() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            without_sshd: true,
            ..Options::default()
        };
        let mut world = World::start_with(folder.path(), options).await.unwrap();
        world.stop_daemon().await.unwrap();
        let config = Config::load(&world.files().configuration()).unwrap();
        let mut running = start(config, None).await.unwrap();
        running.authority.store.lose_writer();
        assert!(matches!(running.failed().await, Error::NoWriter));
        assert!(!running.is_ready());
        running.close().await;
    }
}
