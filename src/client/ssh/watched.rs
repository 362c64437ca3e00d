//! Runs `ssh` as a child, and learns from its log whether the host refused the pass.
//!
//! For the user it is as if this process had become ssh: the log goes on to stderr as it comes,
//! Ctrl-Z stops both, other signals reach ssh, and this process ends as ssh ended. ssh reads
//! nothing from stdin before the host has let it in, so after a refusal all input is still there.
//!
//! `-E` gives ssh a FIFO for its log. A descriptor would not do: ssh closes all that it inherits.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, waitpid},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::client::{Error, state::State};

/// Names the log of ssh for the `daypass jump` that this ssh runs.
pub(crate) const LOG: &str = "DAYPASS_SSH_LOG";

/// ssh's exit code if it could not log in.
const NO_LOGIN: i32 = 255;

/// Ends the log. ssh writes no such byte: it escapes control characters.
const END: u8 = 0;

/// Bytes of a line of the log that are looked at.
const LONGEST_LINE: usize = 4096;

/// The end of an ssh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The host, or a bastion before it, refused the pass. No command was run.
    Refused,
    /// ssh refused the host key of the host, or of a bastion before it. No command was run.
    HostKey(HostKeyFault),
    /// ssh exited with this code.
    Exited(u8),
    /// A signal ended ssh.
    Killed(i32),
}

/// The log of one ssh.
pub(crate) struct Log {
    path: PathBuf,
    fifo: File,
    /// Whether the log goes on to stderr.
    pub(crate) is_shown: bool,
    /// The logins of the pass, on the host and on its bastion.
    pub(crate) logins: Vec<String>,
}

impl Log {
    /// Makes the FIFO in the state folder. It is removed on drop.
    ///
    /// # Errors
    /// Returns [`Error::File`] if it cannot be made.
    pub(crate) fn create(
        state: &State,
        logins: Vec<String>,
        is_shown: bool,
    ) -> Result<Self, Error> {
        let path = state.path(format!("ssh-log-{}", std::process::id()));
        state.prepare()?;
        state.remove(&path)?;
        let made = Command::new("mkfifo")
            .args(["-m", "600"])
            .arg(&path)
            .status();
        if !made.map_err(Error::file(&path))?.success() {
            return Err(Error::other(format!("failed to make {}", path.display())));
        }
        // Open for both, so that neither side waits for the other.
        let fifo = File::options().read(true).write(true).open(&path);
        Ok(Self {
            fifo: fifo.map_err(Error::file(&path))?,
            path,
            is_shown,
            logins,
        })
    }

    /// Its path, for `-E`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Passes the log on until it ends. Returns what it says.
    fn relay(mut from: File, logins: &[String], is_shown: bool) -> Said {
        let (mut buffer, mut line) = ([0; 4096], Vec::new());
        let mut said = Said::default();
        loop {
            let read = match from.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.unwrap_or(0),
            };
            let chunk = buffer.get(..read).unwrap_or_default();
            let end = chunk.iter().position(|byte| *byte == END);
            let text = chunk.get(..end.unwrap_or(read)).unwrap_or_default();
            if is_shown {
                // ssh goes on if the terminal is gone.
                let _ = io::stderr().lock().write_all(text);
            }
            for byte in text {
                if *byte == b'\n' {
                    said.take(&String::from_utf8_lossy(&line), logins);
                    line.clear();
                } else if line.len() < LONGEST_LINE {
                    line.push(*byte);
                }
            }
            if end.is_some() || read == 0 {
                return said;
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Reason why ssh refused a host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostKeyFault {
    /// A known_hosts file has another key for the host.
    Changed,
    /// No known_hosts file has the key, and none has a CA of its certificate.
    Unknown,
    /// Its certificate is for other names.
    Name,
    /// Its certificate is not valid at this time.
    Time,
    /// A known_hosts file marks it as revoked.
    Revoked,
    /// Its certificate is in the list of revoked ones.
    Removed,
    /// ssh did not say.
    Other,
}

/// What a log says so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    is_refused: bool,
    is_host_key: bool,
    host_key: Option<HostKeyFault>,
}

impl Said {
    fn take(&mut self, line: &str, logins: &[String]) {
        self.is_refused |= is_refusal(line, logins);
        self.is_host_key |= line.trim_end() == "Host key verification failed.";
        self.host_key = host_key_fault(line).or(self.host_key);
    }
}

/// The reason in a line of ssh's own (`sshconnect.c`, `sshkey.c`).
fn host_key_fault(line: &str) -> Option<HostKeyFault> {
    let is_unknown = line.starts_with("No ") && line.contains(" host key is known for ");
    match line {
        _ if is_unknown => Some(HostKeyFault::Unknown),
        _ if line.starts_with("Certificate invalid: name is not") => Some(HostKeyFault::Name),
        _ if line.starts_with("Certificate invalid: ") => Some(HostKeyFault::Time),
        _ if line.starts_with('@') && line.contains("WARNING: REMOTE HOST IDENTIFICATION") => {
            Some(HostKeyFault::Changed)
        }
        _ if line.starts_with('@') && line.contains("WARNING: REVOKED HOST KEY") => {
            Some(HostKeyFault::Revoked)
        }
        _ if line.starts_with("Host key ") && line.contains(" revoked by file ") => {
            Some(HostKeyFault::Removed)
        }
        _ => None,
    }
}

/// Whether a line of the log is ssh's own word for it. ssh escapes what a host says, and begins the
/// line with other words.
fn is_refusal(line: &str, logins: &[String]) -> bool {
    let line = line.trim_end();
    let of_login = |login: &String| {
        let rest = line.strip_prefix(&**login)?.strip_prefix('@')?;
        rest.split_once(": ")
    };
    let said = logins.iter().filter_map(of_login);
    said.into_iter().any(|(host, said)| {
        !host.contains(' ') && said.starts_with("Permission denied (") && said.ends_with(").")
    })
}

/// Runs `ssh`, which writes its log to `log`, to its end. Blocks this thread: a signal must not end
/// this process before ssh.
///
/// # Errors
/// Returns [`Error::Other`] if ssh cannot be started.
pub(crate) fn run(ssh: &mut Command, log: Log) -> Result<Ending, Error> {
    let failed = |error: io::Error| Error::other(format!("failed to start ssh: {error}"));
    let mut fifo = log.fifo.try_clone().map_err(failed)?;
    let (from, logins, is_shown) = (
        log.fifo.try_clone().map_err(failed)?,
        &log.logins,
        log.is_shown,
    );
    let child = ssh.spawn().map_err(|error| {
        Error::other(format!(
            "failed to start ssh: {error}; is OpenSSH installed?"
        ))
    })?;
    let pid = Pid::from_child(&child);
    let _forwarding = forward_signals(pid);
    let (status, said) = thread::scope(|scope| {
        let relay = scope.spawn(move || Log::relay(from, logins, is_shown));
        let status = wait(pid);
        // A background process of ssh may keep the log open, so its end is said.
        let _ = fifo.write_all(&[END]);
        (status, relay.join().unwrap_or_default())
    });
    let status = status.map_err(|error| failed(error.into()))?;
    Ok(match (status.terminating_signal(), status.exit_status()) {
        (Some(signal), _) => Ending::Killed(signal),
        (None, Some(NO_LOGIN)) if said.is_refused => Ending::Refused,
        (None, Some(NO_LOGIN)) if said.is_host_key => {
            Ending::HostKey(said.host_key.unwrap_or(HostKeyFault::Other))
        }
        (None, code) => Ending::Exited(u8::try_from(code.unwrap_or(NO_LOGIN)).unwrap_or(1)),
    })
}

/// Ends this process by `signal`, as ssh ended. Returns the exit code that a shell would show if
/// that fails.
pub(crate) fn die_by(signal: i32) -> u8 {
    // A program that is started has no handlers of ours any more.
    let script = format!("kill -{signal} $$");
    let _ = Command::new("/bin/sh").args(["-c", &script]).exec();
    u8::try_from(128 + signal).unwrap_or(1)
}

/// Waits for the end of ssh. When ssh stops, this process stops too. Both go on together: the
/// signal by which this process goes on is sent on to ssh. To send it from here would be too early,
/// because another thread may take the signal that stops this process.
fn wait(pid: Pid) -> Result<WaitStatus, Errno> {
    loop {
        match waitpid(Some(pid), WaitOptions::UNTRACED) {
            Err(Errno::INTR) | Ok(None) => {}
            Err(error) => return Err(error),
            Ok(Some((_, status))) => match status.stopping_signal() {
                None => return Ok(status),
                Some(stop) => {
                    let stop = Signal::from_named_raw(stop).unwrap_or(Signal::STOP);
                    let _ = kill_process(getpid(), stop);
                }
            },
        }
    }
}

/// Sends the signals that ask this process to end or to go on to ssh, until the set is dropped.
fn forward_signals(pid: Pid) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (kind, forwarded) in [
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::hangup(), Signal::HUP),
        (SignalKind::quit(), Signal::QUIT),
        (SignalKind::from_raw(Signal::CONT.as_raw()), Signal::CONT),
    ] {
        if let Ok(mut signals) = signal(kind) {
            tasks.spawn(async move {
                while signals.recv().await.is_some() {
                    let _ = kill_process(pid, forwarded);
                }
            });
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_host_key_was_refused_is_read_from_sshs_own_lines() {
        let verified = "Host key verification failed.\r";
        for (lines, expected) in [
            (&[verified][..], Some(None)),
            (
                &[
                    "Certificate invalid: name is not a listed principal",
                    verified,
                ],
                Some(Some(HostKeyFault::Name)),
            ),
            (
                &[
                    "Certificate invalid: expired",
                    "No ED25519 host key is known for web-1 and you have requested strict checking.",
                    verified,
                ],
                Some(Some(HostKeyFault::Unknown)),
            ),
            (
                &[
                    "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
                    verified,
                ],
                Some(Some(HostKeyFault::Changed)),
            ),
            (&["debug1: Host key verification failed."], None),
        ] {
            let mut said = Said::default();
            lines.iter().for_each(|line| said.take(line, &[]));
            assert_eq!(
                said.is_host_key.then_some(said.host_key),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn only_sshs_own_line_about_a_login_of_the_pass_is_a_refusal() {
        let logins = ["deploy".to_owned(), "jump".to_owned()];
        for (line, expected) in [
            ("deploy@127.0.0.1: Permission denied (publickey).\r", true),
            ("jump@edge: Permission denied (publickey,password).", true),
            ("root@web-1: Permission denied (publickey).", false),
            (
                "debug1: deploy@web-1: Permission denied (publickey).",
                false,
            ),
            ("deploy@web-1: Permission denied", false),
            ("deploy@web-1 x: Permission denied (publickey).", false),
            (
                "Received disconnect: deploy@x: Permission denied (a).",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(is_refusal(line, &logins), expected, "{line}");
        }
    }
}
