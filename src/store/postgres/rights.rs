//! Rights that a user of the database needs.

use sqlx::PgConnection;

use super::explained::{NO_RIGHTS, STANDBY};
use crate::store::{
    Error,
    tables::{STEPS, Tables},
};

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

/// What making tables does to the table of steps.
const TO_MAKE: [(&str, &str); 3] = [(STEPS, "SELECT"), (STEPS, "INSERT"), (STEPS, "UPDATE")];

/// Checks the user's rights: to use the tables that are there, and if some are missing, to make
/// them.
///
/// # Errors
/// Returns [`Error::Unavailable`] with those that are missing, and for a standby.
pub(in crate::store) async fn expect_rights(
    connection: &mut PgConnection,
    has: Tables,
) -> Result<(), Error> {
    let mut needed = RIGHTS.to_vec();
    if has != Tables::Current {
        needed.extend(TO_MAKE);
    }
    let (tables, rights): (Vec<&str>, Vec<&str>) = needed.into_iter().unzip();
    let (lacking, may_make, is_standby): (Option<String>, bool, bool) = sqlx::query_as(
        "SELECT (SELECT string_agg(may || ' on ' || name, ', ') \
                 FROM unnest($1::text[], $2::text[]) AS needed (name, may) \
                 WHERE NOT has_table_privilege(to_regclass(name), may)), \
           coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), pg_is_in_recovery()",
    )
    .bind(tables)
    .bind(rights)
    .fetch_one(connection)
    .await?;
    let lacking = lacking.or_else(|| {
        let makes = has != Tables::Current && !may_make;
        makes.then(|| "CREATE on the schema".to_owned())
    });
    match lacking {
        Some(lacking) => Err(Error::Unavailable(format!(
            "the user lacks {lacking}: {NO_RIGHTS}"
        ))),
        None if is_standby => Err(Error::Unavailable(STANDBY.to_owned())),
        None => Ok(()),
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
