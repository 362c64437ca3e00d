//! Looks at the tables of a database before anything is written to it.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::PostgresAddress;
use crate::store::{
    Error,
    migrations::{changed, undone},
    tables::{MADE, STEPS, Seen, Step, Tables, Unfit},
};

/// The columns of the table of steps that are read.
const OF_STEPS: [&str; 3] = ["version", "checksum", "success"];

/// Says what the database holds, and checks that no other program changed it. The connection reads
/// one state of the database.
///
/// # Errors
/// Returns [`Error::Start`] if the database is another program's or a newer version's, and
/// [`Error::Tampered`] or [`Error::Unavailable`] if another program changed it.
pub(in crate::store) async fn look(
    connection: &mut PgConnection,
    address: &PostgresAddress,
) -> Result<Tables, Error> {
    let tables = seen(connection).await?.judge();
    let tables = tables.map_err(|unfit| refusal(unfit, address))?;
    expect_own_tables(connection).await?;
    Ok(tables)
}

/// The tables that statements of ours would reach, and any other one where ours are made. Those of
/// an extension belong to no program.
async fn seen(connection: &mut PgConnection) -> Result<Seen, Error> {
    let mut ours = MADE.map(|(_, table, _)| table.to_owned()).to_vec();
    ours.push(STEPS.to_owned());
    let found: Vec<(String, Vec<String>)> = sqlx::query_as(
        "SELECT c.relname::text, \
           ARRAY(SELECT a.attname::text FROM pg_attribute a \
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid) \
           AND (c.relname = ANY($1) OR n.nspname = current_schema()) \
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e' \
                           AND d.classid = 'pg_class'::regclass AND d.objid = c.oid) \
         ORDER BY c.relname <> ALL($1), c.relname LIMIT 16",
    )
    .bind(&ours)
    .fetch_all(&mut *connection)
    .await?;
    let (ours, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
        found.into_iter().partition(|(name, _)| ours.contains(name));
    let mut seen = Seen {
        tables: ours,
        steps: None,
        other: others.into_keys().next(),
    };
    if let Some(columns) = seen.tables.remove(STEPS) {
        let has = |name: &&str| columns.iter().any(|it| it == *name);
        match OF_STEPS.iter().all(has) {
            true => seen.steps = Some(steps(connection).await?),
            false => seen.other = Some(STEPS.to_owned()),
        }
    }
    Ok(seen)
}

async fn steps(connection: &mut PgConnection) -> Result<Vec<Step>, Error> {
    let statement =
        "SELECT version::bigint, checksum::bytea, success FROM _sqlx_migrations ORDER BY version";
    let rows: Vec<(i64, Vec<u8>, bool)> = sqlx::query_as(statement).fetch_all(connection).await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(version, checksum, is_done)| Step {
            version,
            checksum,
            is_done,
        })
        .collect())
}

fn refusal(unfit: Unfit, address: &PostgresAddress) -> Error {
    match unfit {
        Unfit::Foreign(table) => Error::Start(format!(
            "the {address} belongs to another program: it has the table {table:?}. Nothing was written to it. Correct the \
             address, or make an empty database (createdb --owner USER DATABASE)"
        )),
        Unfit::Taken(table) => Error::Start(format!(
            "the {address} has a table {table:?} that daypass did not make, and daypass needs that name. Nothing was \
             written to it. Restore the database if another program changed it; else rename that table, or name an \
             empty database"
        )),
        Unfit::Newer => Error::Start(format!(
            "the {address} has the tables of a newer version of daypass: start that version, or a newer one"
        )),
        Unfit::Missing(what) => Error::Tampered(format!(
            "{what} is missing: another program changed the database"
        )),
        Unfit::Changed(step) => changed(step),
        Unfit::Undone(step) => undone(step),
    }
}

/// Refuses tables on which another program put a trigger, a rule or a row policy, or which are
/// views: they would change what statements do, below all checks.
pub(super) async fn expect_own_tables(connection: &mut PgConnection) -> Result<(), Error> {
    let changed: Option<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class c \
         WHERE c.oid IN (to_regclass('ledger'), to_regclass('head'), to_regclass('mailbox'), to_regclass('report')) \
         AND (c.relkind <> 'r' OR c.relhasrules OR c.relrowsecurity \
              OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
              OR EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhparent, i.inhrelid))) \
         LIMIT 1",
    )
    .fetch_optional(connection)
    .await?;
    match changed {
        None => Ok(()),
        Some(table) => Err(Error::Unavailable(format!(
            "it holds the table {table:?} with a trigger, a rule, a row policy or another kind than daypass gives it: \
             another program changed the database. Find out which; then remove it, or restore the database"
        ))),
    }
}
