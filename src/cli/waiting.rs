//! Waits for an approval if a role answers with a request: on a terminal, or with `--wait`.
//! Otherwise the command ends and names the next one.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use super::{
    Failure, Global,
    failure::Code,
    interrupt,
    login::is_interactive,
    output::{clean, clean_lines},
    quoting::quoted,
    renew::renewing,
    target::left,
};
use crate::{
    client::{Client, Error, choose::PassRequest, now, requests::RequestView},
    reason,
};

/// The duration of a plain `--wait`. No request lives longer.
pub(super) const AS_LONG_AS_IT_LIVES: &str = "365d";

/// Runs `attempt` for `pass_request`. If that opens a request, waits for its approval and redeems
/// it. `next` is the command that redeems a request later.
///
/// # Errors
/// Returns code 5, with that command, if the user does not wait or the approval is late. Returns
/// code 3 if the request is denied.
pub(super) async fn waiting<T>(
    client: &Client,
    global: &Global,
    pass_request: &PassRequest,
    wait: Option<Duration>,
    next: impl Fn(u64) -> String,
    attempt: impl AsyncFn(&PassRequest) -> Result<T, Error>,
) -> Result<T, Failure> {
    let mut pass_request = pass_request.clone();
    loop {
        match once(client, global, &pass_request, &attempt).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(id)) => {
                let limit = patience(global, wait).ok_or_else(|| pending(id, &next(id)))?;
                approved(client, global, id, limit, &next(id)).await?;
                pass_request.request = Some(id);
            }
            Err(failure) if wants_reason(global, &pass_request, &failure) => {
                pass_request.reason = Some(asked("Why do you need it? ").await?);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Waits for the approval of a request, and shows the remaining time on stderr.
///
/// # Errors
/// As [`waiting`].
pub(super) async fn approved(
    client: &Client,
    global: &Global,
    id: u64,
    limit: Duration,
    next: &str,
) -> Result<(), Failure> {
    let waited = renewing(client, global, async || {
        let mut countdown = Countdown::default();
        let beat = |view: &RequestView, left, is_away| countdown.show(view, left, is_away);
        match client.wait(id, limit, beat).await {
            Err(Error::Pending { .. }) => Ok(false),
            waited => waited.map(|()| true),
        }
    });
    let waited = tokio::select! {
        waited = waited => waited.map_err(|failure| unreached(failure, id, next))?,
        () = interrupt::told() => return Err(interrupted_wait(id, next)),
    };
    if waited {
        return Ok(());
    }
    Err(pending(id, next))
}

/// The failure of a wait that the user ended with Ctrl-C: the request is not withdrawn by it.
fn interrupted_wait(id: u64, next: &str) -> Failure {
    let message = format!(
        "request {id} stays open; when it is approved, run: {next}\nto withdraw it, run: daypass requests cancel {id}"
    );
    Failure::new(Code::Interrupted, message).because(reason::REQUEST_PENDING)
}

/// `failure`, with the next command if the server is away: the request is not withdrawn by it.
fn unreached(failure: Failure, id: u64, next: &str) -> Failure {
    if failure.code != Code::Unreachable as u8 {
        return failure;
    }
    let message = format!(
        "{}\nrequest {id} stays open; when it is approved, run: {next}",
        failure.message
    );
    Failure { message, ..failure }
}

/// This command, as the user typed it: it finds the approved request by itself.
pub(super) fn typed() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words: Vec<String> = std::iter::once(program)
        .chain(words)
        .map(|it| quoted(&it))
        .collect();
    words.join(" ")
}

/// `pass_request` with a reason: every emergency needs one, so a user at a terminal is asked.
///
/// # Errors
/// Returns an error if stdin cannot be read.
pub(super) async fn explained(
    global: &Global,
    pass_request: PassRequest,
) -> Result<PassRequest, Failure> {
    let lacks = pass_request.emergency && pass_request.reason.is_none();
    if !lacks || !is_interactive(global) {
        return Ok(pass_request);
    }
    let reason = asked("Why is this an emergency? ").await?;
    Ok(PassRequest {
        reason: Some(reason),
        ..pass_request
    })
}

/// The failure of a request that waits: code 5, and the command that redeems it.
pub(super) fn pending(id: u64, next: &str) -> Failure {
    let message = format!(
        "request {id} waits for another person's approval; when it is approved, run: {next}"
    );
    Failure::new(Code::Pending, message).because(reason::REQUEST_PENDING)
}

/// Asks the user a question, and returns the answer without spaces around it.
///
/// # Errors
/// Returns an error if stdin cannot be read.
pub(super) async fn asked(question: &str) -> Result<String, Failure> {
    let mut stderr = io::stderr();
    write!(stderr, "{}", clean_lines(question)).and_then(|()| stderr.flush())?;
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = read.await.map_err(|error| Failure::from_error(&error))??;
    Ok(line.trim().to_owned())
}

/// Runs one attempt. Returns its result, or the request that waits.
async fn once<T>(
    client: &Client,
    global: &Global,
    pass_request: &PassRequest,
    attempt: &impl AsyncFn(&PassRequest) -> Result<T, Error>,
) -> Result<Result<T, u64>, Failure> {
    renewing(client, global, async || match attempt(pass_request).await {
        Err(Error::Pending { id }) => Ok(Err(id)),
        done => done.map(Ok),
    })
    .await
}

/// The time to wait: `wait` if given, unlimited on a terminal, else none.
fn patience(global: &Global, wait: Option<Duration>) -> Option<Duration> {
    let usual = || humantime::parse_duration(AS_LONG_AS_IT_LIVES).ok();
    wait.or_else(|| is_interactive(global).then(usual).flatten())
}

fn wants_reason(global: &Global, pass_request: &PassRequest, failure: &Failure) -> bool {
    failure.reason.as_deref() == Some(reason::REASON_REQUIRED)
        && pass_request.reason.is_none()
        && is_interactive(global)
}

/// The state of a request on one line. On a terminal it is rewritten every second, else written at
/// each change.
#[derive(Default)]
struct Countdown {
    /// The decisions, and whether the server was away.
    last: Option<(usize, bool)>,
}

impl Countdown {
    fn show(&mut self, view: &RequestView, seconds: u64, is_away: bool) {
        let given = view.decisions.len();
        let away = match is_away {
            true => " the server does not answer and is tried again,",
            false => "",
        };
        let line = format!(
            "waiting for approval of request {} ({given} of {}),{away}",
            view.id, view.page.needed
        );
        let mut stderr = io::stderr().lock();
        let written = if stderr.is_terminal() {
            let (minutes, seconds) = (seconds / 60, seconds % 60);
            write!(
                stderr,
                "\r\u{1b}[K{} {minutes:02}:{seconds:02} left",
                clean(&line)
            )
        } else if self.last == Some((given, is_away)) {
            Ok(())
        } else {
            writeln!(stderr, "{} {} left", clean(&line), left(0, seconds))
        };
        // The wait goes on if the terminal is gone.
        let _ = written.and_then(|()| stderr.flush());
        self.last = Some((given, is_away));
    }
}

impl Drop for Countdown {
    fn drop(&mut self) {
        let mut stderr = io::stderr().lock();
        if self.last.is_some() && stderr.is_terminal() {
            let _ = writeln!(stderr);
        }
    }
}

/// The command that uses an approved request, which finds it by itself.
pub(super) fn use_of(role: &str, host: Option<&str>) -> String {
    match host {
        Some(host) => format!("daypass ssh {} --role {}", quoted(host), quoted(role)),
        None => format!("daypass pass --role {}", quoted(role)),
    }
}

/// Remaining time of a request, such as `29m`; `-` for a review.
pub(super) fn life(view: &RequestView) -> String {
    match view.expires_at.get() {
        0 => "-".to_owned(),
        end => left(now(), end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_names_the_host_or_the_role() {
        assert_eq!(use_of("prod", None), "daypass pass --role prod");
        assert_eq!(
            use_of("prod", Some("web-1")),
            "daypass ssh web-1 --role prod"
        );
    }
}
