//! The address at which a browser elsewhere ended, as the user pastes it into this terminal.

use std::{
    future::pending,
    io::{self, IsTerminal},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::redirect::{Expected, LONGEST};
use crate::client::{Client, Error};

/// Lines that are read at most, so that a wrong file as standard input comes to an end.
const TRIES: usize = 20;

/// Time between two looks at standard input.
const LOOK: Duration = Duration::from_millis(50);

/// Whether standard input may be read, although the user did not ask for that.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal()
}

/// Reads lines until one is the redirect that is expected. Without a terminal, and if the user did
/// not ask for it, reads nothing and waits for ever.
///
/// # Errors
/// Returns [`Error::Denied`] if the provider refused, and [`Error::Usage`] if standard input ends.
pub(super) async fn code(
    client: &Client,
    expected: &Expected,
    is_asked_for: bool,
) -> Result<String, Error> {
    if !is_asked_for && !is_possible() {
        return pending().await;
    }
    let mut input = Input::default();
    for _ in 0..TRIES {
        let Some(line) = input.line().await.map_err(failed)? else {
            break;
        };
        match expected.pasted(&line) {
            Ok(outcome) => return outcome.code(),
            Err(why) => client.say(&format!("daypass: {why}")),
        }
    }
    Err(Error::Usage(
        "no address of this sign-in was pasted; try again with: daypass login --paste".to_owned(),
    ))
}

fn failed(error: io::Error) -> Error {
    Error::other(format!("failed to read standard input: {error}"))
}

/// Standard input, read without a thread that would go on to read after the sign-in.
#[derive(Default)]
struct Input {
    buffer: Vec<u8>,
}

impl Input {
    /// One line, cut where it is certainly too long. None at the end.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        loop {
            let end = self.buffer.iter().position(|byte| *byte == b'\n');
            let taken = self
                .buffer
                .drain(..end.map_or(self.buffer.len(), |at| at + 1));
            line.extend(taken.take((2 * LONGEST).saturating_sub(line.len())));
            if end.is_some() {
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if !self.fill().await? {
                return Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()));
            }
        }
    }

    /// Reads what is there, when something is. False at the end.
    async fn fill(&mut self) -> io::Result<bool> {
        while !is_ready()? {
            tokio::time::sleep(LOOK).await;
        }
        let mut chunk = [0; 4096];
        // One read of what is ready, so it does not wait. Not through the buffer of `io::stdin`,
        // which would take what is not of this sign-in.
        let count = rustix::io::read(io::stdin(), &mut chunk)?;
        self.buffer
            .extend_from_slice(chunk.get(..count).unwrap_or_default());
        Ok(count > 0)
    }
}

/// Whether a read would not wait.
fn is_ready() -> io::Result<bool> {
    let stdin = io::stdin();
    let mut wanted = [PollFd::new(&stdin, PollFlags::IN)];
    Ok(poll(&mut wanted, Some(&Timespec::default()))? > 0)
}
