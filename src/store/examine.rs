//! Looks at a database for `serve --check`. Writes nothing.

use std::path::Path;

use super::{
    Error,
    database::{Connection, Database},
    ledger,
    postgres::PostgresAddress,
    signed, snapshots, sqlite,
    tables::Tables,
};
use crate::ledger::{
    Event, EventKind,
    keyring::{SignedHead, Verifiers},
    state::CaKeys,
};

/// The state of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Examined {
    /// The number of events in its ledger; none if it has no ledger yet.
    pub(crate) size: Option<u64>,
    /// A sentence for each setting by which an acknowledged commit can be lost.
    pub(crate) weaknesses: Vec<String>,
}

/// Looks at the database, and compares it with the checkpoint in the folder of a server, if there
/// is one.
///
/// # Errors
/// Returns the error that keeps a server with this key from starting.
pub(crate) async fn examine(
    address: &PostgresAddress,
    verifiers: &Verifiers,
    folder: Option<&Path>,
) -> Result<Examined, Error> {
    let checkpoint = match folder {
        Some(folder) => signed::checkpoint(folder, verifiers)?.map(|(_, head)| head),
        None => None,
    };
    let database = Database::Postgres(address.clone());
    let mut connection = database.open().await?;
    let examined = read(&database, &mut connection, verifiers, checkpoint).await;
    connection.close().await.ok();
    examined.map_err(|error| address.named(error))
}

async fn read(
    database: &Database,
    connection: &mut Connection,
    verifiers: &Verifiers,
    checkpoint: Option<SignedHead>,
) -> Result<Examined, Error> {
    let tables = database.look(connection).await?;
    connection.expect_rights(tables).await?;
    let size = match tables {
        // The first start makes the tables.
        Tables::None => 0,
        Tables::Older { has_head: false } => ledger::count(connection).await?,
        Tables::Older { has_head: true } | Tables::Current => {
            let head = ledger::signed_head(connection, verifiers).await?;
            head.map_or(0, |head| head.size)
        }
    };
    if size == 0 {
        database.expect_known_ledger(checkpoint.as_ref())?;
    }
    if let Some(known) = checkpoint.filter(|known| known.size > 0) {
        expect_known(connection, size, &known).await?;
    }
    Ok(Examined {
        size: Some(size).filter(|size| *size > 0),
        weaknesses: database.weaknesses(connection).await?,
    })
}

/// Refuses a ledger that a start would refuse beside this checkpoint. The start reads every event;
/// this only its hashes.
async fn expect_known(
    connection: &mut Connection,
    size: u64,
    known: &SignedHead,
) -> Result<(), Error> {
    if size < known.size {
        return Err(Error::Tampered(format!(
            "it has {size} events, and {} were signed",
            known.size
        )));
    }
    let stored = ledger::stored_frontier(connection, known.size).await?;
    match stored.is_some_and(|stored| stored.root() == known.root) {
        true => Ok(()),
        false => Err(Error::Tampered(format!(
            "its first {} events are not the ones that were signed",
            known.size
        ))),
    }
}

/// The CA's keys as the orders in a folder's ledger have left them: of the newest snapshot, and of
/// the events behind it. Proves nothing: a start does.
///
/// # Errors
/// Returns [`Error::Unavailable`] if the database cannot be read.
pub(crate) async fn ordered_keys(folder: &Path, verifiers: &Verifiers) -> Result<CaKeys, Error> {
    let (mut keys, from) = match snapshots::newest(folder, verifiers) {
        Some((it, _)) => (it.judge.state().ca_keys().clone(), it.head.size()),
        None => (CaKeys::default(), 0),
    };
    let file = folder.join(sqlite::FILE);
    let connection = sqlite::open_to_look(&file).await?;
    let mut connection = Connection::Sqlite(connection);
    let orders = ledger::with_text(&mut connection, from, "\"ca_key_ordered\"").await;
    connection.close().await.ok();
    for (index, leaf) in orders? {
        // Another event can have the text in a reason.
        if let Ok(event) = Event::parse(&leaf)
            && let EventKind::CaKeyOrdered(ordered) = &event.what
        {
            keys.apply(index, event.at.into(), ordered);
        }
    }
    Ok(keys)
}
