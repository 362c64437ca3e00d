//! Messages to the service manager, and the socket that it passes in. Without systemd all of it
//! does nothing.

use std::{
    io,
    net::TcpListener,
    time::{Duration, Instant},
};

use listenfd::ListenFd;
use parking_lot::Mutex;
use sd_notify::NotifyState;

/// The socket of `daypass.socket`, if one was passed (sd_listen_fds(3)).
///
/// # Errors
/// Returns an error if there is more than one, or one that is not a TCP socket.
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

/// The interval of watchdog messages: a third of the time after which systemd kills the daemon.
pub(super) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|within| within / 3)
}

/// Extends the manager's time limit during a long start, as long as the start makes progress.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<Option<Instant>>);

/// The time that the manager is asked to wait for the next report.
const EXTENSION: Duration = Duration::from_secs(60);

/// The least time between two reports.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Progress {
    /// Reports the number of events of the ledger that were checked.
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
    // systemd 253 and later need the time with it (sd_notify(3), RELOADING=1).
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
