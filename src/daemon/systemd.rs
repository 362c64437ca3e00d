//! What the service manager is told, and what it passes in. Without systemd all of it does nothing.

use std::{io, net::TcpListener, time::Duration};

use listenfd::ListenFd;
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
