//! The daemon as a service: log, signals, systemd.

use std::{
    future::pending,
    io,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Interval,
};

use super::{
    clock::{self, now},
    error::{Error, chain},
    running::{Reloaded, Running, start_with},
    systemd,
};
use crate::{
    config::{Config, Log},
    server,
    store::{Beginning, Opening},
    ticks::ticks,
};

/// Interval at which a policy of another server is looked for.
const FOLLOW_POLICY: Duration = Duration::from_secs(1);

/// The operator's choices for a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Begins a new ledger instead of continuing the existing one.
    pub new_ledger: bool,
    /// Starts although the clock is behind the ledger.
    pub accept_clock: bool,
}

/// Runs the daemon of a configuration file until SIGTERM or SIGINT; SIGHUP reloads. Sets up the
/// process's log.
///
/// # Errors
/// Returns [`Error::Config`] if the file is invalid, and [`Error::Logged`] if a later step failed,
/// because the log has the reason.
pub(crate) async fn run(config_file: &Path, options: Options) -> Result<(), Error> {
    let config = Config::load(config_file)?;
    log_to_stderr(&config.log);
    let outcome = serve(config, options).await;
    outcome.map_err(|error| {
        tracing::error!(reason = chain(&error), "stopped");
        Error::Logged
    })
}

/// Logs lines to stderr, which systemd takes to the journal. A panic is a line too. A second call
/// changes nothing.
pub(super) fn log_to_stderr(log: &Log) {
    let writer = (server::log::destination_of_stderr(), io::stderr);
    // The filters of [`LogLevel::filter`](crate::config::LogLevel::filter) parse.
    let Ok(subscriber) = server::log::subscriber(log.format, log.level.filter(), writer) else {
        return;
    };
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            if server::lines::LOG.admit("THREAD_PANIC") {
                tracing::error!(%panic, "a bug: a thread panicked");
            }
        }));
    }
}

async fn serve(config: Config, options: Options) -> Result<(), Error> {
    // Before any slow step, so that no signal finds the default action.
    let mut signals = Signals::install().map_err(|error| Error::System("handle signals", error))?;
    let listener = systemd::passed_listener()
        .map_err(|error| Error::System("take systemd's socket", error))?;
    let progress = systemd::Progress::default();
    let progress = |events| progress.extend_timeout(events);
    let opening = Opening {
        beginning: match options.new_ledger {
            true => Beginning::New,
            false => Beginning::Existing,
        },
        accept_clock: options.accept_clock,
        progress: &progress,
        ..Opening::default()
    };
    let running = tokio::select! {
        started = start_with(config, listener, opening) => started?,
        () = signals.stop() => return Ok(()),
    };
    let running = until_stopped(running, &mut signals).await?;
    tracing::info!("stopping: no new connections, finishing what is in flight");
    systemd::stopping();
    tokio::select! {
        stopped = running.stop() => stopped?,
        // At a terminal, a second Ctrl-C ends the process at once. The store survives that.
        _ = signals.interrupt.recv() => tracing::warn!("interrupted while stopping"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Serves and reloads. Returns the daemon when a signal stops it.
async fn until_stopped(mut running: Running, signals: &mut Signals) -> Result<Running, Error> {
    let status = status(&running);
    tracing::info!(
        address = %running.address(),
        server = running.config().name,
        policy = running.authority().policy().hash(),
        tls = running.tls_fingerprint().map(|it| it.to_string()),
        "ready"
    );
    systemd::ready(&status);
    let mut watchdog = Watchdog::new(systemd::watchdog_period());
    let mut looks = ticks(clock::PERIOD);
    let mut policies = ticks(FOLLOW_POLICY);
    let mut missing = None;
    let mut clocks = clock::Watch::new(now(), Instant::now());
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return Ok(running),
            _ = signals.interrupt.recv() => return Ok(running),
            _ = signals.hangup.recv() => reload(&running, &status).await,
            () = watchdog.tick() => {
                // systemd restarts a daemon whose store cannot append.
                if running.is_ready() {
                    systemd::alive();
                }
            }
            _ = policies.tick() => missing = follow_policy(&running, missing).await,
            _ = looks.tick() => {
                if let Some(jump) = clocks.jump(now(), Instant::now()) {
                    clock::warn(jump);
                }
            }
            error = running.failed() => {
                running.close().await;
                return Err(error);
            }
        }
    }
}

/// Uses the policy that another server of the ledger has put in force, if the policy file is that
/// one. Says once for each policy that it is not. Returns the policy that is missing.
async fn follow_policy(running: &Running, before: Option<String>) -> Option<String> {
    let missing = running.follow_policy().await;
    match &missing {
        Some(wanted) if before.as_ref() != Some(wanted) => tracing::error!(
            in_force = wanted,
            own = running.authority().policy().hash(),
            "another server of this ledger has put another policy in force, and this one issues nothing: give it the \
             same policy file, and it goes on by itself; or reload it (SIGHUP), and its policy is in force on all servers"
        ),
        None if before.is_some() => {
            tracing::info!(
                policy = running.authority().policy().hash(),
                "the policy is in force"
            );
        }
        Some(_) | None => {}
    }
    missing
}

fn status(running: &Running) -> String {
    format!("serving {} on {}", running.config().name, running.address())
}

async fn reload(running: &Running, status: &str) {
    systemd::reloading();
    let outcome = running.reload().await;
    server::metrics::reloaded(outcome.is_ok(), now());
    match outcome {
        Ok(reloaded) => {
            log_reload(&reloaded);
            systemd::ready(status);
        }
        Err(error) => {
            let reason = chain(&error);
            tracing::error!(reason, "reload failed");
            systemd::ready(&format!("{status}; the last reload failed: {reason}"));
        }
    }
}

fn log_reload(reloaded: &Reloaded) {
    match &reloaded.policy {
        Some(policy) => tracing::info!(policy, "reloaded: a new policy is in force"),
        None => tracing::info!("reloaded: the policy is unchanged"),
    }
    if reloaded.certificate {
        tracing::info!("reloaded: new connections get the new TLS certificate");
    }
    if !reloaded.needs_restart.is_empty() {
        tracing::warn!(
            settings = reloaded.needs_restart.join(", "),
            "daypass.toml has changed; a restart puts that in force"
        );
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ticks if systemd's watchdog is on; else never.
struct Watchdog(Option<Interval>);

impl Watchdog {
    fn new(period: Option<Duration>) -> Self {
        Self(period.filter(|period| !period.is_zero()).map(ticks))
    }

    async fn tick(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
            }
            None => pending().await,
        }
    }
}
