//! Rights that a user of the database needs.

use sqlx::PgConnection;

use super::explained::NO_RIGHTS;
use crate::store::Error;

/// What the statements of Daypass do to its tables.
const RIGHTS: [(&str, &str); 13] = [
    ("ledger", "SELECT"),
    ("ledger", "INSERT"),
    ("head", "SELECT"),
    ("head", "INSERT"),
    ("head", "UPDATE"),
    ("mailbox", "SELECT"),
    ("mailbox", "INSERT"),
    ("mailbox", "UPDATE"),
    ("mailbox", "DELETE"),
    ("report", "SELECT"),
    ("report", "INSERT"),
    ("report", "UPDATE"),
    ("report", "DELETE"),
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
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Files of the store whose statements never reach PostgreSQL, and tests.
    const OTHERS: [&str; 6] = [
        "search",
        "search.rs",
        "sqlite",
        "sqlite.rs",
        "tests",
        "tests.rs",
    ];

    /// The statements of the store, of all files below a folder.
    fn sources(folder: &Path) -> Vec<String> {
        let mut sources = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if OTHERS.iter().any(|other| path.ends_with(other)) {
                continue;
            }
            if path.is_dir() {
                sources.extend(self::sources(&path));
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            sources.push(code.to_owned());
        }
        sources
    }

    /// The rights that the statements in a text need.
    fn used(text: &str) -> BTreeSet<(&'static str, &'static str)> {
        let words = text.split(|it: char| !it.is_alphanumeric() && it != '_');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let tables = RIGHTS.map(|(table, _)| table);
        let mut used = BTreeSet::new();
        let (mut inserted, mut read) = ("", "");
        for around in words.windows(3) {
            let [before, verb, name] = around else {
                continue;
            };
            // The table of `INSERT ... ON CONFLICT DO UPDATE` stands before, and so does that of
            // `SELECT ... FOR UPDATE`.
            match (*before, *verb) {
                ("DO", "UPDATE") => used.insert((inserted, "UPDATE")),
                ("FOR", "UPDATE") => used.insert((read, "UPDATE")),
                _ => false,
            };
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
            match right {
                "INSERT" => inserted = table,
                "SELECT" => read = table,
                _ => {}
            }
            used.insert((table, right));
        }
        used
    }

    #[test]
    fn every_right_that_a_statement_uses_is_asked_for() {
        let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
        let used: BTreeSet<_> = sources(&store).iter().flat_map(|it| used(it)).collect();
        assert_eq!(used, RIGHTS.into_iter().collect());
    }

    #[test]
    fn a_locked_row_and_an_update_on_conflict_need_the_right_to_update() {
        for (statement, expected) in [
            (
                "SELECT note FROM head WHERE id = 0 FOR UPDATE; SELECT position FROM ledger",
                vec![("head", "SELECT"), ("head", "UPDATE"), ("ledger", "SELECT")],
            ),
            (
                "INSERT INTO head (id) SELECT 0 ON CONFLICT (id) DO UPDATE SET note = 1",
                vec![("head", "INSERT"), ("head", "UPDATE")],
            ),
            ("DELETE FROM mailbox WHERE 1", vec![("mailbox", "DELETE")]),
        ] {
            assert_eq!(
                used(statement),
                expected.into_iter().collect(),
                "{statement}"
            );
        }
    }
}
