//! What the service manager is told, and what it passes in. Without systemd all of it does nothing.

use std::{
    io,
    net::TcpListener,
    time::{Duration, Instant},
};

use listenfd::ListenFd;
use parking_lot::Mutex;
use sd_notify::NotifyState;

/// The socket of `daypass.socket`, where one was passed (sd_listen_fds(3)).
///
/// # Errors
/// Where more than one came, or it is not a TCP socket.
pub(super) fn passed_listener() -> io::Result<Option<TcpListener>> {
    let mut passed = ListenFd::from_env();
    if passed.len() > 1 {
        return Err(io::Error::other(
            "several sockets were passed: keep one ListenStream= in daypass.socket",
        ));
    }
    if passed.len() == 0 {
        return Ok(None);
    }
    passed.take_tcp_listener(0)
}

/// How often the watchdog wants to hear of us: thrice in the time after which it would kill.
pub(super) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|within| within / 3)
}

/// Keeps a long start from running into the manager's time limit, for as long as it goes on.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Option<Instant>>);

/// How long the manager is asked to wait for the next sign of progress.
const EXTENSION: Duration = Duration::from_secs(60);

/// How often it is told at most.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Progress {
    /// So many events of the ledger were checked.
    pub(super) fn extend_timeout(&self, events: u64) {
        let mut told = self.0.lock();
        if told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        let microseconds = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
        let status = format!("checking the ledger: {events} events so far");
        notify(&[
            NotifyState::ExtendTimeoutUsec(microseconds),
            NotifyState::Status(&status),
        ]);
    }
}

pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

pub(super) fn reloading() {
    // systemd 253 and later want the time with it (sd_notify(3), RELOADING=1).
    let time = NotifyState::monotonic_usec_now().ok();
    let mut states = vec![NotifyState::Reloading];
    states.extend(time);
    states.push(NotifyState::Status("reloading"));
    notify(&states);
}

pub(super) fn stopping() {
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what is in flight"),
    ]);
}

pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "failed to notify systemd");
    }
}
