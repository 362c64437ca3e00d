//! Looks at a database for `serve --check`. Writes nothing.

use std::path::Path;

use super::{
    Error,
    database::{Connection, Database},
    ledger,
    migrations::MIGRATIONS,
    postgres::{self, PostgresAddress},
    snapshots, sqlite,
};
use crate::ledger::{Event, EventKind, keyring::Verifiers, state::CaKeys};

/// The state of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Examined {
    /// The number of events in its ledger; none if it has no ledger yet.
    pub(crate) size: Option<u64>,
    /// A sentence for each setting by which an acknowledged commit can be lost.
    pub(crate) weaknesses: Vec<String>,
}

/// Looks at the database.
///
/// # Errors
/// Returns the error that keeps a server with this key from starting.
pub(crate) async fn examine(
    address: &PostgresAddress,
    verifiers: &Verifiers,
) -> Result<Examined, Error> {
    let database = Database::Postgres(address.clone());
    let mut connection = database.open_writer().await?;
    let examined = read(&database, address, &mut connection, verifiers).await;
    connection.close().await.ok();
    examined.map_err(|error| address.named(error))
}

async fn read(
    database: &Database,
    address: &PostgresAddress,
    connection: &mut Connection,
    verifiers: &Verifiers,
) -> Result<Examined, Error> {
    let known = MIGRATIONS.iter().map(|step| step.version).max();
    let version = connection.version().await?;
    if version > known {
        return Err(postgres::newer(address));
    }
    connection.expect_rights(version == known).await?;
    // The first start makes the tables, and brings older ones up to date.
    let head = match version == known {
        true => ledger::signed_head(connection, verifiers).await?,
        false => None,
    };
    Ok(Examined {
        size: head.map(|head| head.size),
        weaknesses: database.weaknesses(connection).await?,
    })
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
