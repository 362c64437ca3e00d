//! Whose turn it is to sign in: one sign-in at a time asks the user, and the others know of it.
//!
//! The turn is a lock of its own. The state folder is not locked while a user signs in, so that
//! other commands go on.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    time::Duration,
};

use crate::{
    client::{Client, Error, clock::now, login::request::PATIENCE, state::State},
    unix_seconds::moment,
};

const FILE: &str = "sign-in.lock";

/// Time between two looks at a turn that another command has.
const LOOK: Duration = Duration::from_millis(200);

/// The turn. It ends when it is dropped, or with the process.
pub(super) struct Turn {
    _file: File,
}

/// The command that has the turn.
pub(super) struct Waiting(String);

impl Turn {
    /// Takes the turn, or tells which command has it.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the lock file cannot be made.
    pub(super) fn take(state: &State) -> Result<Result<Self, Waiting>, Error> {
        state.prepare()?;
        let path = state.path(FILE);
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path);
        let mut file = open.map_err(Error::file(&path))?;
        match file.try_lock() {
            Ok(()) => {
                let note = format!("pid {}, since {}", std::process::id(), moment(now()));
                write(&mut file, &note).map_err(Error::file(&path))?;
                Ok(Ok(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(Err(Waiting(read(&mut file)))),
            Err(TryLockError::Error(error)) => Err(Error::file(&path)(error)),
        }
    }

    /// Takes the turn, if need be after the command that has it.
    ///
    /// # Errors
    /// As [`Turn::take`]; also [`Error::TimedOut`] if the other sign-in does not end in time.
    pub(super) async fn wait(client: &Client) -> Result<Self, Error> {
        let waiting = async {
            let mut is_told = false;
            loop {
                match Self::take(&client.state)? {
                    Ok(turn) => return Ok(turn),
                    Err(other) if !is_told => {
                        is_told = true;
                        client.say(&format!(
                            "{}; waiting for it. Sign in there, or end it with Ctrl-C to sign in here.",
                            other.text()
                        ));
                    }
                    Err(_) => (),
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let waited = tokio::time::timeout(2 * PATIENCE, waiting).await;
        waited.map_err(|_| {
            Error::TimedOut("the sign-in in another terminal did not end; try again".to_owned())
        })?
    }
}

impl Waiting {
    /// `a sign-in waits in another terminal (pid 7, since ...)`
    pub(super) fn text(&self) -> String {
        format!("a sign-in waits in another terminal ({})", self.0)
    }
}

fn write(file: &mut File, note: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(note.as_bytes())
}

/// The note of the command that has the turn. It may be about to write it.
fn read(file: &mut File) -> String {
    let mut note = String::new();
    match file.take(200).read_to_string(&mut note) {
        Ok(count) if count > 0 => note,
        Ok(_) | Err(_) => "begun just now".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn one_command_has_the_turn_and_the_others_know_which() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::new(folder.path()).unwrap();
        let turn = Turn::take(&state).unwrap();
        let turn = turn.ok().unwrap();
        let other = Turn::take(&state).unwrap().err().unwrap();
        let expected = format!("(pid {}, since ", std::process::id());
        assert!(other.text().contains(&expected), "{}", other.text());
        drop(turn);
        // A child process of another test may hold a copy of the descriptor until its exec.
        let again = std::iter::repeat_with(|| Turn::take(&state).unwrap().is_ok());
        assert!(again.take(1_000_000).any(|taken| taken));
    }
}
