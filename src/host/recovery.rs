//! The administrators' keys that this host knows, and whether it goes on after the server's ledger
//! was restored: only by the statement of an administrator whose key it knew before.

use serde::{Deserialize, Serialize};

use super::{
    Error,
    error::InvalidAnswer,
    files::{Layout, read},
    keys::CaKeys,
    server::Answer,
};
use crate::{
    ledger::{
        acceptance::Acceptance,
        administrators::Known,
        going_on::{Party, Prior, Stopped},
        recovery::{Recovery, Restored},
    },
    ssh::sshsig::Namespace,
    unix_seconds::UnixSeconds,
};

/// What this host remembers of the server's last good answer: the content of `recovery.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    /// The server's name.
    server: String,
    /// The version of its document.
    version: u64,
    /// The administrators' keys.
    pub(crate) administrators: Known,
    /// Root of the restored copy that this host is in step with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    restored: Option<String>,
}

/// What this host knew before a sync, and the administrator's choice.
pub(super) struct Before<'a> {
    pub(super) remembered: Option<Remembered>,
    /// The size of the ledger that its files follow from, at least.
    pub(super) size: u64,
    /// Fingerprint of an administrator's key that is accepted by name.
    pub(super) accept: Option<&'a str>,
    pub(super) now: UnixSeconds,
}

impl Remembered {
    /// Reads it; none if there was no such answer yet.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the file cannot be read, and [`Error::Usage`] if it is damaged.
    pub(crate) fn load(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = layout.recovery();
        let parse = |bytes: Vec<u8>| {
            serde_json::from_slice(&bytes).map_err(|error| {
                Error::Usage(format!(
                    "{} is damaged ({error}): put it back from a backup of this host. Without it, this host takes the \
                     administrators' keys that the server names now: rm {}",
                    path.display(),
                    path.display()
                ))
            })
        };
        read(&path)?.map(parse).transpose()
    }

    /// The size of the ledger that the version follows from, at least.
    pub(super) fn size(&self) -> u64 {
        self.version.saturating_add(1)
    }
}

/// Checks the signature and form of the server's document; none if the server is older than that.
///
/// # Errors
/// Returns the fault.
pub(super) fn check(
    keys: &CaKeys,
    answer: Option<&Answer>,
) -> Result<Option<Recovery>, InvalidAnswer> {
    let Some(answer) = answer else {
        return Ok(None);
    };
    let signatures = &answer.signatures;
    keys.verify("/recovery", Namespace::Recovery, &answer.body, signatures)?;
    let recovery = Recovery::parse(&answer.body);
    Ok(Some(recovery.map_err(|error| {
        InvalidAnswer::Recovery(error.to_string())
    })?))
}

/// Decides whether this host goes on with a server of this document and this version of the
/// revocation list. Returns what to remember, and the statement by which it goes on, if it needs
/// one.
///
/// # Errors
/// Returns the reason why the files on disk stay.
pub(super) fn go_on(
    before: &Before<'_>,
    recovery: Option<&Recovery>,
    krl_version: u64,
) -> Result<(Option<Remembered>, Option<Acceptance>), InvalidAnswer> {
    let known = before.remembered.as_ref();
    let Some(recovery) = recovery else {
        return match known {
            None => Ok((None, None)),
            Some(known) => Err(InvalidAnswer::NoRecovery {
                keys: known.administrators.len(),
            }),
        };
    };
    if let Some(known) = known.filter(|known| known.server != recovery.server) {
        return Err(InvalidAnswer::Recovery(format!(
            "it is of the server {:?}, and this host knows {:?}; for another server, run daypass host remove, then daypass host setup",
            recovery.server, known.server
        )));
    }
    let root = recovery.restored.as_ref().map(|it| it.root.clone());
    let in_step = known.and_then(|known| known.restored.clone());
    let unknown = |it: &&Restored| in_step.as_ref() != Some(&it.root) && it.lacks(before.size);
    let acceptance = match recovery.restored.as_ref().filter(unknown) {
        None => None,
        Some(_) => Some(statement(before, recovery, krl_version)?),
    };
    let kept = known.map_or(0, |known| known.version);
    if recovery.version < kept || (root.is_none() && in_step.is_some()) {
        let sent = recovery.version;
        return Err(InvalidAnswer::OlderLedger { sent, kept });
    }
    let is_pending = |it: &Restored| it.is_pending;
    let keys = &recovery.administrators;
    let administrators = match known {
        // Keys of an older policy are nothing to learn.
        Some(known) if recovery.restored.as_ref().is_some_and(is_pending) => {
            known.administrators.clone()
        }
        Some(known) => known.administrators.then(keys, before.now),
        None => Known::first(keys),
    };
    let remembered = Remembered {
        server: recovery.server.clone(),
        version: recovery.version,
        administrators,
        restored: root,
    };
    Ok((Some(remembered), acceptance))
}

/// The statement by which this host gives up what it knows of the lost ledger.
fn statement(
    before: &Before<'_>,
    recovery: &Recovery,
    krl_version: u64,
) -> Result<Acceptance, InvalidAnswer> {
    let none = Known::default();
    let remembered = before.remembered.as_ref();
    let prior = Prior {
        party: Party::Host,
        size: before.size,
        administrators: remembered.map_or(&none, |it| &it.administrators),
        accept: before.accept,
        now: before.now,
    };
    prior
        .go_on(recovery, krl_version)
        .map_err(|stopped| match stopped {
            Stopped::Waiting(why) => InvalidAnswer::Restored(why),
            Stopped::Invalid(fault) => {
                InvalidAnswer::Recovery(format!("an administrator's statement: {fault}"))
            }
        })
}

/// What the sync says when it goes on by a statement.
pub(super) fn spoken(acceptance: &Acceptance) -> String {
    format!(
        "the server's ledger was restored from a backup, and entries are lost. {} All earlier passes are revoked",
        acceptance.spoken()
    )
}
