//! The checks of a start before the ledger is written to, and their results in the log and in
//! `started`.

use std::path::Path;

use time::{Duration, OffsetDateTime};

use super::{
    Error,
    backup::Mark,
    database::{Connection, Database},
    ledger,
    lock::Lock,
    moving,
    postgres::PostgresAddress,
    replay::{self, Replayed, Unsigned},
    signed::Signed,
    snapshots,
    tables::Tables,
};
use crate::ledger::{
    EventKind,
    judge::Judge,
    keyring::{Keyring, SignedHead, Verifiers},
    snapshot::StateDigest,
    tree::Frontier,
};

/// The most that the clock may be behind the ledger at a start.
const BEHIND: Duration = Duration::hours(1);

/// The most that the clock may be ahead of the last event without a warning.
const AHEAD: Duration = Duration::days(1);

/// The operator's choices for a start, and the receiver of its progress.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The ledger that must exist.
    pub beginning: Beginning,
    /// Starts although the clock is behind the ledger.
    pub accept_clock: bool,
    /// Number of events between two snapshots of the state.
    pub snapshot_every: u64,
    /// The database that replicas share; none for the embedded one in the folder.
    pub postgres: Option<&'a PostgresAddress>,
    /// Called now and then with the number of events read.
    pub progress: &'a (dyn Fn(u64) + Send + Sync),
}

/// The ledger that a start expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Beginning {
    /// The folder's, or a new one if it has none.
    #[default]
    Any,
    /// The folder's. One that was lost is not replaced by an empty one.
    Existing,
    /// A new one; the folder must have none.
    New,
}

impl Default for Opening<'_> {
    fn default() -> Self {
        Self {
            beginning: Beginning::Any,
            accept_clock: false,
            snapshot_every: snapshots::EVERY,
            postgres: None,
            progress: &|_| (),
        }
    }
}

impl Opening<'_> {
    /// Opens the database, reads the ledger ([`Opening::read`]) and brings the tables up to date.
    ///
    /// Nothing is written to a database before it is known to be the one that this folder knows, or
    /// an empty one for a folder that knows none.
    pub(super) async fn begin(
        &self,
        database: &Database,
        signed: &Signed,
        checkpoint: Option<SignedHead>,
        now: OffsetDateTime,
    ) -> Result<(Connection, Replayed, Option<StateDigest>), Error> {
        database.expect_content(checkpoint.as_ref())?;
        let mut connection = database.open().await?;
        let begun = self.begin_on((database, &mut connection), signed, checkpoint, now);
        let (replayed, covered) = begun.await.map_err(|error| database.named(error))?;
        Ok((connection, replayed, covered))
    }

    async fn begin_on(
        &self,
        (database, connection): (&Database, &mut Connection),
        signed: &Signed,
        checkpoint: Option<SignedHead>,
        now: OffsetDateTime,
    ) -> Result<(Replayed, Option<StateDigest>), Error> {
        let tables = database.look(connection).await?;
        if tables == Tables::None {
            database.expect_known_ledger(checkpoint.as_ref())?;
            self.expect_beginning(checkpoint.is_some())?;
        }
        connection.expect_rights(tables).await?;
        for weakness in database.weaknesses(connection).await? {
            tracing::warn!("{weakness}");
        }
        if tables == Tables::None {
            database.migrate(connection).await?;
        }
        if tables.lack_head() {
            expect_no_tail(connection, checkpoint.as_ref()).await?;
        }
        connection.begin_reading().await?;
        let head = match tables.lack_head() {
            true => None,
            false => {
                self.expect_shared_head(connection, &signed.verifiers())
                    .await?
            }
        };
        let is_empty = head.is_none() && ledger::entries(connection, 0, 1).await?.is_empty();
        if self.postgres.is_some() {
            if is_empty {
                database.expect_known_ledger(checkpoint.as_ref())?;
            }
            self.expect_beginning(checkpoint.is_some() || !is_empty)?;
        }
        let heads = replay::Signed { head, checkpoint };
        let read = self.read(connection, signed, heads, now).await?;
        connection.end_reading().await?;
        if matches!(tables, Tables::Older { .. }) {
            database.migrate(connection).await?;
        }
        Ok(read)
    }

    /// The database of this start.
    pub(super) fn database(&self, folder: &Path) -> Database {
        match self.postgres {
            Some(address) => Database::Postgres(address.clone()),
            None => Database::in_folder(folder),
        }
    }

    /// Reads the ledger and checks it against the signed heads and the clock. Begins after the
    /// newest snapshot that fits, whose digest it returns too. Signs the head of an empty ledger.
    async fn read(
        &self,
        connection: &mut Connection,
        signed: &Signed,
        heads: replay::Signed,
        now: OffsetDateTime,
    ) -> Result<(Replayed, Option<StateDigest>), Error> {
        let found = match snapshots::newest(signed.folder(), &signed.verifiers()) {
            Some(found) if snapshots::fits(&found.0, connection, &heads).await? => Some(found),
            Some(_) | None => None,
        };
        let (snapshot, covered) = found.unzip();
        let (start, judge) = match snapshot {
            Some(snapshot) => (snapshot.head, snapshot.judge),
            None => (Frontier::default(), Judge::default()),
        };
        let replayed = replay::replay(connection, start, judge, &heads, self.progress).await?;
        signed.expect_keys(replayed.judge.state(), &heads.heads())?;
        match heads.checkpoint {
            // The folder of a new replica has none.
            None if replayed.head.size() > 0 && self.postgres.is_none() => {
                return Err(Error::Tampered(NO_CHECKPOINT.to_owned()));
            }
            None => {
                let handovers = replayed.judge.state().handovers().to_vec();
                let head = || (replayed.head.clone(), handovers.clone());
                signed.sign(head).await?;
            }
            Some(_) => {}
        }
        self.expect_clock(&replayed.judge, now)?;
        report(replayed.judged, replayed.head.size(), &replayed.unsigned);
        Ok((replayed, covered))
    }

    /// Refuses a folder without a ledger if one is expected, and one with a ledger if none is.
    pub(super) fn expect_ledger(&self, folder: &Path) -> Result<(), Error> {
        if self.postgres.is_some() {
            return moving::expect_moved(folder);
        }
        moving::expect_here(folder)?;
        if super::backup::is_interrupted(folder) {
            return Err(Error::Start(format!(
                "a restore into {} was interrupted: run the same daypass restore again",
                folder.display()
            )));
        }
        let has = |name: &str| folder.join(name).symlink_metadata().is_ok();
        let is_there = has("ledger.db") || has("checkpoint");
        match (self.beginning, is_there) {
            (Beginning::Existing, false) => Err(Error::Start(format!(
                "there is no ledger in {}. If this server has run before, its ledger is lost: put back the newest copy of \
                 the folder (ledger.db and checkpoint). If it has never run, or the ledger cannot be restored, run the same \
                 command once with --new-ledger: the new ledger knows no lock and no revocation of the old one, and every \
                 client and host that knows the old one refuses the new",
                folder.display()
            ))),
            (Beginning::New, true) => Err(Error::Start(format!(
                "there is a ledger in {} already: start without --new-ledger, or move the folder away first",
                folder.display()
            ))),
            (Beginning::Any, _) | (Beginning::Existing, true) | (Beginning::New, false) => Ok(()),
        }
    }

    /// The head of the last commit. That of another ledger is likely a mistake of the operator if
    /// the database is one that replicas share.
    async fn expect_shared_head(
        &self,
        connection: &mut Connection,
        verifiers: &Verifiers,
    ) -> Result<Option<SignedHead>, Error> {
        let head = ledger::signed_head(connection, verifiers).await;
        match (self.postgres, head) {
            (Some(address), Err(Error::Tampered(what))) => Err(Error::Start(format!(
                "{address}: {what}. Correct the address, or the name and the keys of this server. If they are right, another \
                 program changed the database: restore it"
            ))),
            (_, head) => head,
        }
    }

    /// [`Opening::expect_ledger`] for a database that replicas share. A new replica finds its
    /// ledger there, with an empty folder.
    fn expect_beginning(&self, is_there: bool) -> Result<(), Error> {
        let Some(address) = self.postgres else {
            return Ok(());
        };
        match (self.beginning, is_there) {
            (Beginning::Existing, false) => Err(Error::Start(format!(
                "there is no ledger in the {address}. If this server has run before, its ledger is lost, or the address is \
                 of another database: correct it, or restore the database. If it has never run, run the same command once \
                 with --new-ledger"
            ))),
            (Beginning::New, true) => Err(Error::Start(format!(
                "there is a ledger in the {address} already: start without --new-ledger"
            ))),
            (Beginning::Any, _) | (Beginning::Existing, true) | (Beginning::New, false) => Ok(()),
        }
    }

    /// Compares the clock with the times in the ledger. The clock is certainly wrong if it is
    /// behind a time on which a token and this server agreed before. Any other difference is only
    /// logged, because a server may have been off, or have run with a wrong clock before.
    pub(super) fn expect_clock(&self, judge: &Judge, now: OffsetDateTime) -> Result<(), Error> {
        let agreed = judge.state().agreed_time();
        if let Some(agreed) = agreed.filter(|agreed| *agreed - now > BEHIND) {
            let behind = spoken(agreed - now);
            if !self.accept_clock {
                return Err(Error::Start(format!(
                    "the clock says {now}, and the ledger was written at {agreed} by the clock of an issuer too: the clock \
                     is {behind} behind. Set it (timedatectl). If the ledger's times are the wrong ones, start once with \
                     --accept-clock",
                    now = shown(now),
                    agreed = shown(agreed)
                )));
            }
            tracing::warn!(
                behind,
                "started with a clock that is behind the ledger, as --accept-clock says"
            );
        }
        let Some(last) = judge.last_at() else {
            return Ok(());
        };
        if last - now > BEHIND {
            tracing::warn!(
                behind = spoken(last - now),
                last_event = shown(last),
                "the clock is behind the last event of the ledger: check it; the clock of the run before may have been wrong"
            );
        }
        let latest = agreed.map_or(last, |agreed| agreed.max(last));
        if now - latest > AHEAD {
            tracing::warn!(
                ahead = spoken(now - latest),
                last_event = shown(last),
                "the clock is far ahead of the last event of the ledger: check it, unless the server was stopped for so long"
            );
        }
        Ok(())
    }
}

/// Makes an empty ledger in `folder`, so that the first start does not look like one that has lost
/// its ledger. Changes nothing if there is one.
///
/// # Errors
/// Returns [`Error::Unavailable`] if the folder cannot be written.
pub(crate) async fn prepare(folder: &Path, keys: Keyring) -> Result<(), Error> {
    let _lock = Lock::take(folder)?;
    if folder.join("ledger.db").exists() {
        return Ok(());
    }
    let (signed, checkpoint) = Signed::open(folder, keys)?;
    if checkpoint.is_none() {
        signed.sign(|| (Frontier::default(), Vec::new())).await?;
    }
    Ok(())
}

/// A time for people, to the second.
fn shown(time: OffsetDateTime) -> String {
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let utc = time.to_offset(time::UtcOffset::UTC);
    utc.format(&format).unwrap_or_else(|_| utc.to_string())
}

/// A duration for people: its two largest units.
fn spoken(duration: Duration) -> String {
    let (days, hours, minutes) = (
        duration.whole_days(),
        duration.whole_hours() % 24,
        duration.whole_minutes() % 60,
    );
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

const NO_CHECKPOINT: &str = "the file `checkpoint` is missing";

/// The event `started`, with the findings of the store.
pub(super) fn filled_in(started: EventKind, found: Vec<Unsigned>, mark: Option<Mark>) -> EventKind {
    match started {
        EventKind::Started {
            version, server, ..
        } => EventKind::Started {
            version,
            server,
            signed_heads: true,
            restored: mark.is_some(),
            by_hand: mark == Some(Mark::ByHand),
            unsigned: found.iter().map(|event| event.index).collect(),
        },
        other => other,
    }
}

/// Refuses a database of a version that signed no heads, if it was not stopped in order. It stays
/// as it is, for the version that wrote it.
async fn expect_no_tail(
    connection: &mut Connection,
    checkpoint: Option<&SignedHead>,
) -> Result<(), Error> {
    let covered = checkpoint.map_or(0, |checkpoint| checkpoint.size);
    match ledger::count(connection).await?.saturating_sub(covered) {
        0 => Ok(()),
        _ if checkpoint.is_none() => Err(Error::Tampered(NO_CHECKPOINT.to_owned())),
        tail => Err(Error::Tampered(ledger::unsigned_tail(tail))),
    }
}

/// Logs the events that no signed head covers.
fn report(judged: u64, size: u64, unsigned: &[Unsigned]) {
    if judged > 0 {
        let from = size.saturating_sub(judged);
        tracing::info!(
            from,
            events = judged,
            "the ledger was not stopped in order: the events after its last checkpoint were checked one by one"
        );
    }
    for event in unsigned {
        tracing::error!(
            index = event.index,
            kind = event.kind,
            "an event of the ledger is not in its signed head: another program wrote it. It changes nothing; find out which"
        );
    }
}
