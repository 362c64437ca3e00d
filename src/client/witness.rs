//! The client as a witness of the ledger: it remembers the last checkpoint, and the next one must
//! contain it.

use super::{
    Error,
    asking::Asking,
    connect::{Address, Server},
    credentials::authorized,
    proofs,
    restored::{self, Answer},
    server_info,
    state::State,
};
use crate::{
    ledger::{
        checkpoint::Checkpoint,
        handover::KeyHistory,
        recovery::Recovery,
        tree::{self, Hash},
    },
    proto::v1,
};

/// Fetches the server's checkpoint, verifies it, checks that it contains the remembered one, and
/// remembers it.
///
/// Commands take turns by a lock: a checkpoint that was fetched before the remembered one would
/// look like a fork.
///
/// # Errors
/// Returns [`Error::Fork`] if the two contradict each other; both are then kept as evidence.
pub(crate) async fn check(
    state: &State,
    asking: &Asking<'_>,
    say: impl Fn(&str),
) -> Result<Checkpoint, Error> {
    let Asking {
        server,
        server_info,
        login,
        ..
    } = *asking;
    let keys = server_info.ledger_keys()?;
    let (state, file) = (
        &state.root(),
        server_info::file(&server.address, "checkpoint"),
    );
    let _turn = state.lock_on(file.with_extension("lock"), &say).await?;
    let request = authorized(login, v1::GetCheckpointRequest {})?;
    let wire = server.ledger().get_checkpoint(request).await?.into_inner();
    let note = &wire.checkpoint;
    let new = verify(&keys, note)?;
    let recovery = restored::recovery(&wire.recovery, server_info)?;
    let Some(old_note) = state.read(&file)? else {
        state.write(&file, note.as_bytes())?;
        restored::remember(state, server, recovery.as_ref())?;
        return Ok(new);
    };
    let old = remembered(&keys, &old_note, state, server)?;
    let proof = if 0 < old.size && old.size < new.size {
        proofs::consistency(server, login, old.size, new.size).await?
    } else {
        Vec::new()
    };
    if let Err(why) = consistent(&old, &new, &proof) {
        let is_restored = |recovery: &&Recovery| recovery.restored.is_some();
        let Some(recovery) = recovery.as_ref().filter(is_restored) else {
            return Err(evidence(state, server, note, &why));
        };
        let answer = Answer {
            asking,
            state,
            recovery,
            new: &new,
        };
        let acceptance = answer.acceptance(&old).await?;
        restored::keep_old(state, server, &old_note)?;
        say(&restored::spoken(&acceptance, &old, &new));
    }
    state.write(&file, note.as_bytes())?;
    restored::remember(state, server, recovery.as_ref())?;
    Ok(new)
}

/// The remembered checkpoint of a server, verified by the key of its time. No network.
///
/// # Errors
/// Returns [`Error::Untrusted`] if the ledger's key did not sign it.
pub(crate) fn last(
    state: &State,
    address: &Address,
    keys: &KeyHistory,
) -> Result<Option<Checkpoint>, Error> {
    let note = state
        .root()
        .read(server_info::file(address, "checkpoint"))?;
    let note = note.map(|note| keys.verify(&note)).transpose();
    note.map_err(|error| Error::Untrusted(format!("its remembered checkpoint: {error}")))
}

/// Checks that `new` contains `old` (RFC 6962 section 2.1.2).
///
/// # Errors
/// Returns the contradiction, as a sentence about the ledger.
pub(super) fn consistent(old: &Checkpoint, new: &Checkpoint, proof: &[Hash]) -> Result<(), String> {
    if new.size < old.size {
        return Err(format!(
            "it had {} entries and now has {}",
            old.size, new.size
        ));
    }
    if new.size == old.size && new.root != old.root {
        return Err(format!(
            "it has two different histories of {} entries",
            new.size
        ));
    }
    let proven = old.size == 0
        || old.size == new.size
        || tree::verify_consistency(old.size, &old.root, new.size, &new.root, proof);
    if proven {
        return Ok(());
    }
    Err(format!(
        "its {} entries do not continue the {} that were there before",
        new.size, old.size
    ))
}

/// Verifies the signature on a checkpoint that a server shows now: by the newest key alone.
///
/// # Errors
/// Returns [`Error::Untrusted`] if the ledger's key did not sign it.
pub(super) fn verify(keys: &KeyHistory, note: &str) -> Result<Checkpoint, Error> {
    keys.newest()
        .verify(note)
        .map_err(|error| Error::Untrusted(format!("its checkpoint: {error}")))
}

fn remembered(
    keys: &KeyHistory,
    note: &str,
    state: &State,
    server: &Server,
) -> Result<Checkpoint, Error> {
    keys.verify(note).map_err(|error| {
        let path = state.path(server_info::file(&server.address, "checkpoint"));
        Error::Fork(format!(
            "the remembered checkpoint {} is not by the server's ledger key ({error})",
            path.display()
        ))
    })
}

/// Keeps the contradicting checkpoint beside the remembered one, which stays as it is.
fn evidence(state: &State, server: &Server, note: &str, why: &str) -> Error {
    let file = server_info::file(&server.address, "checkpoint.contradicting");
    if let Err(error) = state.write(&file, note.as_bytes()) {
        return error;
    }
    let folder = state.path(server_info::file(&server.address, ""));
    Error::Fork(format!(
        "{why}. The record of {} may have been rewritten. Both signed checkpoints are kept in {} as evidence: \
         tell your security team, and do not remove them. If the server's operators have put an older copy back by hand: they stop \
         the server, run daypass restore --by-hand, start it, and an administrator runs daypass admin accept-restore",
        server.address.as_str(),
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(size: u64, root: u8) -> Checkpoint {
        Checkpoint {
            origin: "x/ledger".into(),
            size,
            root: [root; 32],
        }
    }

    #[test]
    fn a_ledger_may_stay_the_same_but_not_shrink_or_change() {
        let cases = [
            (
                "nothing has happened",
                checkpoint(3, 1),
                checkpoint(3, 1),
                true,
            ),
            (
                "an empty ledger grew",
                checkpoint(0, 0),
                checkpoint(3, 1),
                true,
            ),
            ("it shrank", checkpoint(3, 1), checkpoint(2, 1), false),
            (
                "it was rewritten",
                checkpoint(3, 1),
                checkpoint(3, 2),
                false,
            ),
        ];
        for (case, old, new, expected) in cases {
            assert_eq!(consistent(&old, &new, &[]).is_ok(), expected, "{case}");
        }
    }
}
