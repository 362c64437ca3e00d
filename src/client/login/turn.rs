//! Whose turn it is to sign in: one sign-in at a time asks the user, and the others know of it.
//!
//! The turn is a lock of its own. The state folder is not locked while a user signs in, so that
//! other commands go on.

use crate::{
    client::{Client, Error, login::request::PATIENCE, state::State},
    file_lock::{self, FileLock, Holder, Patience},
};

const FILE: &str = "sign-in.lock";

/// The turn. It ends when it is dropped, or with the process.
pub(super) struct Turn {
    _lock: FileLock,
}

/// The command that has the turn.
pub(super) struct Waiting(Holder);

impl Turn {
    /// Takes the turn, or tells which command has it.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the lock file cannot be made.
    pub(super) fn take(state: &State) -> Result<Result<Self, Waiting>, Error> {
        state.prepare()?;
        let path = state.path(FILE);
        let taken = file_lock::open(&path).and_then(FileLock::take);
        let taken = taken.map_err(Error::file(&path))?;
        Ok(taken.map(|_lock| Self { _lock }).map_err(Waiting))
    }

    /// Takes the turn, if need be after the command that has it.
    ///
    /// # Errors
    /// As [`Turn::take`]; also [`Error::TimedOut`] if the other sign-in does not end in time.
    pub(super) async fn wait(client: &Client) -> Result<Self, Error> {
        client.state.prepare()?;
        let path = client.state.path(FILE);
        let file = file_lock::open(&path).map_err(Error::file(&path))?;
        let patience = Patience {
            silent: 0,
            whole: u32::try_from(2 * PATIENCE.as_secs()).unwrap_or(u32::MAX),
        };
        let tell = |holder: &Holder| {
            client.say(&format!(
                "{}; waiting for it. Sign in there, or end it with Ctrl-C to sign in here.",
                Waiting(holder.clone()).text()
            ));
        };
        let waited = FileLock::wait(file, &path, patience, tell).await;
        match waited.map_err(Error::file(&path))? {
            Ok(_lock) => Ok(Self { _lock }),
            Err(busy) => Err(Error::TimedOut(format!(
                "the sign-in in another terminal did not end: {busy}"
            ))),
        }
    }
}

impl Waiting {
    /// `a sign-in waits in another terminal (pid 7, since ...)`
    pub(super) fn text(&self) -> String {
        let name = self.0.name();
        let name = name.as_deref().unwrap_or("begun just now");
        format!("a sign-in waits in another terminal ({name})")
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
        assert!(Turn::take(&state).unwrap().is_ok());
    }
}
