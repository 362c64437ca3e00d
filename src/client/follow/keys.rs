//! The keys of the ledger that a witness follows: the first one that it was given, and those to
//! which handovers led since. They are on disk before the first note by a new key counts.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{plain::Plain, record::Record};
use crate::{
    client::{Error, connect::Address, server_info::ServerInfo, state::State},
    ledger::{
        checkpoint::Verifier,
        handover::{Fault, Handover, KeyHistory},
    },
};

/// The keys in the folder of a witness.
const FILE: &str = "ledger-keys.json";

/// The folders of one ledger's witnesses that are looked at.
const MOST: usize = 1000;

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    trusted: Verifier,
    handovers: Vec<Handover>,
}

/// The key that the user names, or without it the one that a server named at a login.
///
/// # Errors
/// Returns [`Error::Usage`] if it is invalid, or none is known.
pub(super) fn named(
    state: &State,
    addresses: &[Address],
    key: Option<&str>,
) -> Result<Verifier, Error> {
    if let Some(key) = key {
        return Verifier::parse(key).map_err(|error| {
            Error::Usage(format!("invalid verifier key in --key: {}", error.why()))
        });
    }
    for address in addresses {
        if let Some(known) = ServerInfo::cached(state, address)? {
            return Ok(known.ledger_keys()?.newest().clone());
        }
    }
    Err(Error::Usage(
        "the ledger's verifier key is not known here: give it with --key 'NAME+HASH+KEY'. On the server, \
         daypass serve --check prints it"
            .to_owned(),
    ))
}

/// The keys that are kept in the folder of a witness; none if it never followed a handover.
///
/// # Errors
/// Returns [`Error::File`] if the file cannot be read, and [`Error::Usage`] if it is damaged.
pub(super) fn kept(state: &State) -> Result<Option<KeyHistory>, Error> {
    let Some(text) = state.read(FILE)? else {
        return Ok(None);
    };
    let damaged = |why: String| {
        let path = state.path(FILE);
        Error::Usage(format!(
            "{} is damaged ({why}): keep the folder as evidence, and move it away",
            path.display()
        ))
    };
    let kept: Kept = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let keys = KeyHistory::new(kept.trusted, &kept.handovers);
    keys.map(Some).map_err(|fault| damaged(fault.to_string()))
}

/// Keeps the keys.
///
/// # Errors
/// Returns [`Error::File`] if they cannot be written.
pub(super) fn keep(state: &State, keys: &KeyHistory) -> Result<(), Error> {
    let kept = Kept {
        trusted: keys.trusted().clone(),
        handovers: keys.handovers().to_vec(),
    };
    let text = serde_json::to_vec_pretty(&kept).map_err(|error| Error::other(error.to_string()))?;
    state.write(FILE, &text)
}

/// The folder in `all` of the witness that knows the ledger by this key, first or later; the one
/// named after the key if there is none yet.
///
/// # Errors
/// As [`kept`].
pub(super) fn folder(all: PathBuf, key: &Verifier) -> Result<PathBuf, Error> {
    let own = all.join(folder_of(key));
    if own.is_dir() {
        return Ok(own);
    }
    let entries = fs::read_dir(&all).into_iter().flatten().flatten();
    for folder in entries.take(MOST).map(|entry| entry.path()) {
        if !folder.join(FILE).is_file() {
            continue;
        }
        let keys = kept(&State::new(&folder)?)?;
        if keys.is_some_and(|keys| keys.has(key)) {
            return Ok(folder);
        }
    }
    Ok(own)
}

/// A note that a server shows, and what is known before it.
pub(super) struct Shown<'a> {
    pub(super) keys: &'a KeyHistory,
    pub(super) record: &'a Record,
    pub(super) note: &'a str,
}

/// Reason why the handovers of a server are not followed.
pub(super) enum Unfollowed {
    /// It did not say anything.
    Silent(String),
    /// They contradict what is known, or prove nothing.
    Contradiction(String),
}

impl Shown<'_> {
    /// The keys by the handovers that the server offers, if the note has a signature by a key that
    /// is not known; none if there is nothing to follow.
    pub(super) async fn follow(self, plain: &Plain) -> Result<Option<KeyHistory>, Unfollowed> {
        if !self.keys.is_beside_unknown(self.note) {
            return Ok(None);
        }
        // If the known key signed it too, the next look can ask again.
        let is_signed = self.keys.newest().verify(self.note).is_ok();
        let published = match plain.ledger_keys().await {
            Ok(Some(published)) => published,
            Ok(None) => return Ok(None),
            Err(_) if is_signed => return Ok(None),
            Err(why) => return Err(Unfollowed::Silent(why)),
        };
        let key = &published.key;
        let followed = match self.keys.follow(key, &published.handovers) {
            Ok(Some(followed)) => followed,
            Ok(None) => return Ok(None),
            Err(Fault::Returned(_)) if is_signed => return Ok(None),
            Err(fault) => {
                return Err(Unfollowed::Contradiction(format!(
                    "its ledger has another key, {key}, and its handovers are not to be followed: {fault}"
                )));
            }
        };
        let Some(contradicting) = self.record.contradicting(&followed) else {
            return Ok(Some(followed));
        };
        let size = contradicting.lines().nth(1).unwrap_or_default();
        Err(Unfollowed::Contradiction(format!(
            "its ledger was handed over to {key}, and the checkpoint of {size} entries that was seen before is not signed by the \
             key of that size"
        )))
    }
}

/// The name of the folder for a ledger: of its origin and key.
fn folder_of(verifier: &Verifier) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let text = verifier.to_string();
    let mut parts = text.splitn(3, '+');
    let (name, hash) = (parts.next(), parts.next());
    let name: String = name.unwrap_or_default().chars().take(100).collect();
    let name = name.replace(|c| !is_plain(c), "_");
    format!("{name}+{}", hash.unwrap_or_default())
}
