//! An independent witness of a server's ledger (`daypass ledger witness`): it follows the signed
//! checkpoint over plain HTTPS, without a sign-in, and demands from the tiles that each one
//! continues the last.
//!
//! A server that does not answer is silent. A server that signed a contradiction, or that does not
//! prove what it signed, is an alarm.

mod evidence;
mod keys;
mod plain;
mod proving;
mod record;
mod rule;

use std::path::PathBuf;

pub(crate) use evidence::{Alarm, AlarmKind};
use keys::Unfollowed;
use plain::Plain;
use proving::Fault;
use record::Record;
pub(crate) use rule::Sighting;
use rule::{Judged, judge};

use super::{
    Client, Error,
    clock::now,
    connect::Address,
    session::Session,
    state::{self, State},
};
use crate::{
    ledger::{
        acceptance::Acceptance,
        administrators::Known,
        checkpoint::Checkpoint,
        going_on::{Party, Prior, Stopped},
        handover::{Handover, KeyHistory},
        recovery::Recovery,
        tree::leaf_hash,
    },
    unix_seconds::UnixSeconds,
};

/// The folder of all witnesses in the state folder.
const FOLDER: &str = "witness";

/// The administrators' keys that the witness knows.
const ADMINISTRATORS: &str = "administrators.json";

/// What the user demands of a witness.
#[derive(Clone, Debug, Default)]
pub(crate) struct Following {
    /// Addresses of servers of one ledger; empty: the server of the settings.
    pub(crate) addresses: Vec<String>,
    /// The ledger's verifier key; none: the one that a server named when the user signed in.
    pub(crate) key: Option<String>,
    /// Fingerprint of an administrator's key that is accepted by name.
    pub(crate) accept: Option<String>,
}

/// A checkpoint that a server showed, and how it stands to the record.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) sighting: Sighting,
    /// The statement by which the witness goes on with a restored ledger.
    pub(crate) restored: Option<String>,
    /// The handovers of the ledger's key that the witness followed just now.
    pub(crate) handovers: Vec<Handover>,
}

/// Reason why a server's answer does not count as seen.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It gave no answer that says anything: the reason.
    Silent(String),
    /// It contradicts itself or the record.
    Alarm(Box<Alarm>),
    /// The witness cannot keep its record.
    Failed(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A witness of one ledger.
pub(crate) struct Witness {
    keys: KeyHistory,
    servers: Vec<Plain>,
    record: Record,
    state: State,
    accept: Option<String>,
}

impl Client {
    /// Opens the record of the ledger, and prepares the connections. Uses no network.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the key is unknown or invalid, or if another witness uses the
    /// record, and [`Error::File`] if the record cannot be opened.
    pub(crate) fn witness(&self, following: &Following) -> Result<Witness, Error> {
        let addresses = match following.addresses.as_slice() {
            [] => vec![self.address()?],
            named => named
                .iter()
                .map(|text| Address::parse(text))
                .collect::<Result<_, _>>()?,
        };
        let verifier = keys::named(&self.state, &addresses, following.key.as_deref())?;
        let session = Session::load(&self.state)?;
        let servers = addresses.iter().map(|address| {
            let roots = self.roots(address, &session)?;
            Plain::new(address, &roots)
        });
        let servers = servers.collect::<Result<_, _>>()?;
        let folder = keys::folder(self.state.root().path(FOLDER), &verifier)?;
        state::make_folder(&folder)?;
        let state = State::new(&folder)?;
        state.check()?;
        let keys = keys::kept(&state)?.unwrap_or_else(|| verifier.into());
        Ok(Witness {
            record: Record::open(&folder, &keys)?,
            keys,
            servers,
            state,
            accept: following.accept.clone(),
        })
    }
}

impl Witness {
    /// The addresses, in the order of [`Witness::look`].
    pub(crate) fn servers(&self) -> impl Iterator<Item = &str> {
        self.servers.iter().map(Plain::address)
    }

    /// The record's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.state.folder().to_owned()
    }

    /// Fetches the checkpoint of the server at this place of the list, judges it, and records it. A
    /// checkpoint is on disk before this returns.
    ///
    /// # Errors
    /// Returns the reason why it does not count.
    pub(crate) async fn look(&mut self, server: usize) -> Result<Seen, Trouble> {
        let Some(plain) = self.servers.get(server).cloned() else {
            return Err(Trouble::Silent("there is no such server".to_owned()));
        };
        let note = plain.checkpoint().await.map_err(Trouble::Silent)?;
        let handovers = self.follow_keys(&plain, &note).await?;
        let plain = &plain;
        let checkpoint = self.read(plain, &note)?;
        let (head, here) = (self.record.head(), self.record.of(plain.address()));
        let seen = match judge(head, here, &checkpoint) {
            Judged::Consistent(sighting) => Ok((sighting, None)),
            Judged::ToProve(sighting, old, new) => match self.prove(server, (old, new)).await {
                Ok(()) => Ok((sighting, None)),
                Err(Fault::Silent(why)) => return Err(Trouble::Silent(why)),
                Err(Fault::Contradiction(kind, why)) => Err((kind, why)),
            },
            Judged::Contradiction(kind, why) => Err((kind, why)),
        };
        let (sighting, restored) = match seen {
            Ok(seen) => seen,
            Err((kind, why)) => {
                let spoken = self.go_on(plain, (&note, &checkpoint), (kind, why)).await?;
                (Sighting::Restored, Some(spoken))
            }
        };
        if sighting != Sighting::Unchanged {
            let is_restored = sighting == Sighting::Restored;
            let address = plain.address().to_owned();
            self.record
                .append(&address, (&checkpoint, &note), is_restored)?;
        }
        if sighting != Sighting::Unchanged || self.administrators()?.is_none() {
            self.learn(server).await?;
        }
        Ok(Seen {
            checkpoint,
            sighting,
            restored,
            handovers,
        })
    }

    /// Follows the handovers of the ledger's key, if a note has a signature by a key that is not
    /// known. Returns the new ones, which are on disk then.
    async fn follow_keys(&mut self, plain: &Plain, note: &str) -> Result<Vec<Handover>, Trouble> {
        let shown = keys::Shown {
            keys: &self.keys,
            record: &self.record,
            note,
        };
        let followed = match shown.follow(plain).await {
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(followed)) => followed,
            Err(Unfollowed::Silent(why)) => return Err(Trouble::Silent(why)),
            Err(Unfollowed::Contradiction(why)) => {
                return Err(self.alarm(plain, note, (AlarmKind::WrongKey, why)));
            }
        };
        keys::keep(&self.state, &followed)?;
        let known = self.keys.handovers().len();
        self.keys = followed;
        Ok(self.keys.handovers().iter().skip(known).cloned().collect())
    }

    /// Verifies a note. One that another key signed, or of another ledger, is an alarm.
    fn read(&self, plain: &Plain, note: &str) -> Result<Checkpoint, Trouble> {
        use crate::ledger::checkpoint::Error as Invalid;
        let invalid = match self.keys.newest().verify(note) {
            Ok(checkpoint) => return Ok(checkpoint),
            Err(invalid) => invalid,
        };
        let origin = note.lines().next().unwrap_or_default();
        let is_signed = note.contains("\n\n\u{2014} ");
        let (kind, why) = match invalid {
            Invalid::Malformed(_) | Invalid::Signature(_)
                if is_signed && origin != self.keys.origin() =>
            {
                let ours = self.keys.origin();
                let why = format!("it shows the checkpoint of another ledger than {ours}");
                (AlarmKind::WrongOrigin, why)
            }
            Invalid::Signature(_) if is_signed => {
                let why = format!(
                    "its checkpoint is not signed by the key {}",
                    self.keys.newest()
                );
                (AlarmKind::WrongKey, why)
            }
            Invalid::Malformed(_) | Invalid::Signature(_) => {
                let why = format!("/checkpoint: the answer is no checkpoint ({invalid})");
                return Err(Trouble::Silent(why));
            }
        };
        Err(self.alarm(plain, note, (kind, why)))
    }

    /// Demands a proof from the tiles; of this server first, then of the others, which may be
    /// ahead.
    async fn prove(
        &self,
        server: usize,
        (old, new): (Checkpoint, Checkpoint),
    ) -> Result<(), Fault> {
        let others = (0..self.servers.len()).filter(|at| *at != server);
        let mut last = Fault::Silent("there is no server to ask for tiles".to_owned());
        for at in std::iter::once(server).chain(others) {
            let Some(plain) = self.servers.get(at) else {
                continue;
            };
            match proving::consistency(plain, &old, &new).await {
                Err(Fault::Silent(why)) => last = Fault::Silent(why),
                // Another server's wrong tiles say nothing about this one.
                Err(Fault::Contradiction(AlarmKind::FalseTiles, why)) if at != server => {
                    last = Fault::Silent(why);
                }
                Err(fault) => return Err(fault),
                Ok(()) => return Ok(()),
            }
        }
        Err(last)
    }

    /// The statement by which the witness goes on in spite of a contradiction: the ledger was
    /// restored, and an administrator whose key it knew before has said so.
    async fn go_on(
        &self,
        plain: &Plain,
        (note, new): (&str, &Checkpoint),
        (kind, why): (AlarmKind, String),
    ) -> Result<String, Trouble> {
        let alarm = |kind, why| Err(self.alarm(plain, note, (kind, why)));
        let recovery = plain.recovery().await.map_err(Trouble::Silent)?;
        let is_restored = |it: &Recovery| it.restored.is_some();
        let recovery = match recovery.filter(is_restored) {
            Some(recovery) if self.is_of_this_ledger(&recovery) => recovery,
            Some(_) | None => return alarm(kind, why),
        };
        let administrators = self.administrators()?.unwrap_or_default();
        let old = self.record.head().map_or(0, |head| head.size);
        let prior = Prior {
            party: Party::Witness,
            size: old,
            administrators: &administrators,
            accept: self.accept.as_deref(),
            now: UnixSeconds(now()),
        };
        let acceptance = match prior.go_on(&recovery, new.size) {
            Ok(acceptance) => acceptance,
            Err(Stopped::Waiting(why)) => return alarm(AlarmKind::Restored, why),
            Err(Stopped::Invalid(fault)) => {
                let why = format!("{why}, and the statement that it was restored: {fault}");
                return alarm(kind, why);
            }
        };
        match self.contains(plain, new, (&recovery, &acceptance)).await {
            Ok(()) => Ok(format!(
                "the ledger was restored from a backup, and entries are lost: this witness knew {old} and goes on at {}. {}",
                new.size,
                acceptance.spoken()
            )),
            Err(Fault::Silent(why)) => Err(Trouble::Silent(why)),
            Err(Fault::Contradiction(_, fault)) => alarm(
                kind,
                format!("{why}, and the statement that it was restored: {fault}"),
            ),
        }
    }

    /// Checks that the ledger contains the statement and begins with the copy that it names.
    async fn contains(
        &self,
        plain: &Plain,
        new: &Checkpoint,
        (recovery, acceptance): (&Recovery, &Acceptance),
    ) -> Result<(), Fault> {
        let accepted = recovery.accepted.as_ref();
        let (index, leaf) = accepted.map_or((0, ""), |it| (it.index, it.leaf.as_str()));
        proving::inclusion(plain, (index, &leaf_hash(leaf.as_bytes())), new).await?;
        let copy = Checkpoint {
            origin: new.origin.clone(),
            size: acceptance.copy.size,
            root: acceptance.copy.root,
        };
        proving::consistency(plain, &copy, new).await
    }

    fn is_of_this_ledger(&self, recovery: &Recovery) -> bool {
        self.keys.origin() == format!("{}/ledger", recovery.server)
    }

    /// Remembers the administrators' keys, for the day on which the ledger is restored. If the
    /// server does not answer now, the next change of the ledger brings them.
    async fn learn(&self, server: usize) -> Result<(), Error> {
        let recovery = match self.servers.get(server) {
            Some(plain) => plain.recovery().await.ok().flatten(),
            None => None,
        };
        // Keys of an older policy are nothing to learn.
        let is_pending = |it: &Recovery| it.restored.as_ref().is_some_and(|it| it.is_pending);
        let learns = |it: &&Recovery| self.is_of_this_ledger(it) && !is_pending(it);
        let Some(recovery) = recovery.as_ref().filter(learns) else {
            return Ok(());
        };
        let old = self.administrators()?;
        let new = match &old {
            None => Known::first(&recovery.administrators),
            Some(old) => old.then(&recovery.administrators, UnixSeconds(now())),
        };
        if old.as_ref() == Some(&new) {
            return Ok(());
        }
        let text = serde_json::to_vec(&new).map_err(|error| Error::other(error.to_string()))?;
        self.state.write(ADMINISTRATORS, &text)
    }

    /// The administrators' keys that this witness knows; none if it never learned any. A damaged
    /// file knows no key.
    fn administrators(&self) -> Result<Option<Known>, Error> {
        let text = self.state.read(ADMINISTRATORS)?;
        Ok(text.map(|text| serde_json::from_str(&text).unwrap_or_default()))
    }

    /// An alarm about a note, whose evidence is on disk.
    fn alarm(&self, plain: &Plain, note: &str, (kind, why): (AlarmKind, String)) -> Trouble {
        let known = match kind {
            AlarmKind::Shrunk => self.record.note_of(plain.address()),
            AlarmKind::Fork
            | AlarmKind::WrongKey
            | AlarmKind::WrongOrigin
            | AlarmKind::FalseTiles
            | AlarmKind::Restored => self.record.head_note(),
        };
        let alarm = Alarm {
            kind,
            why,
            server: plain.address().to_owned(),
            known: known.map(str::to_owned),
            shown: note.to_owned(),
        };
        evidence::keep(self.state.folder(), &alarm);
        Trouble::Alarm(Box::new(alarm))
    }
}
