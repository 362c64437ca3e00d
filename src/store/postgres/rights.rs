//! Rights that a user of the database needs.

use sqlx::PgConnection;

use super::explained::NO_RIGHTS;
use crate::store::Error;

/// What the statements of Daypass do to its tables.
const RIGHTS: [(&str, &str); 9] = [
    ("ledger", "SELECT"),
    ("ledger", "INSERT"),
    ("head", "SELECT"),
    ("head", "INSERT"),
    ("head", "UPDATE"),
    ("mailbox", "SELECT"),
    ("mailbox", "INSERT"),
    ("mailbox", "UPDATE"),
    ("mailbox", "DELETE"),
];

/// Checks the user's rights: all that are used if there are tables, else to make them.
///
/// # Errors
/// Returns [`Error::Unavailable`] if one is missing.
pub(in crate::store) async fn expect_rights(
    connection: &mut PgConnection,
    has_tables: bool,
) -> Result<(), Error> {
    let may: bool = match has_tables {
        true => {
            let (tables, rights): (Vec<&str>, Vec<&str>) = RIGHTS.into_iter().unzip();
            let statement = "SELECT bool_and(has_table_privilege(name, may)) \
                             FROM unnest($1::text[], $2::text[]) AS needed (name, may)";
            let query = sqlx::query_scalar(statement).bind(tables).bind(rights);
            query.fetch_one(connection).await?
        }
        false => {
            let statement =
                "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
            sqlx::query_scalar(statement).fetch_one(connection).await?
        }
    };
    match may {
        true => Ok(()),
        false => Err(Error::Unavailable(NO_RIGHTS.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The files with statements for PostgreSQL.
    const SOURCES: [&str; 3] = [
        include_str!("../ledger.rs"),
        include_str!("../postgres.rs"),
        include_str!("mailboxes.rs"),
    ];

    /// The rights that the statements in a text need.
    fn used(text: &str) -> BTreeSet<(&'static str, &'static str)> {
        let words = text.split(|it: char| !it.is_alphanumeric() && it != '_');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let tables = RIGHTS.map(|(table, _)| table);
        let mut used = BTreeSet::new();
        let mut target = "";
        for around in words.windows(3) {
            let [before, verb, name] = around else {
                continue;
            };
            // The table of `INSERT ... ON CONFLICT DO UPDATE` stands before.
            if (*before, *verb, *name) == ("DO", "UPDATE", "SET") {
                used.insert((target, "UPDATE"));
            }
            let Some(table) = tables.into_iter().find(|table| table == name) else {
                continue;
            };
            let right = match (*before, *verb) {
                ("DELETE", "FROM") => "DELETE",
                (_, "FROM") => "SELECT",
                ("INSERT", "INTO") => "INSERT",
                (_, "UPDATE") => "UPDATE",
                _ => continue,
            };
            target = if right == "INSERT" { table } else { target };
            used.insert((table, right));
        }
        used
    }

    #[test]
    fn every_right_that_a_statement_uses_is_asked_for() {
        let used: BTreeSet<_> = SOURCES.into_iter().flat_map(used).collect();
        assert_eq!(used, RIGHTS.into_iter().collect());
    }
}
