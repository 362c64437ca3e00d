//! Whose the tables of a database are, and of which version. Each engine reads them in its own way;
//! the judgement is here. Pure.

use std::collections::BTreeMap;

use super::migrations::MIGRATIONS;

/// The table in which sqlx records the steps.
pub(super) const STEPS: &str = "_sqlx_migrations";

/// Each step, the table that it makes, and its columns.
pub(super) const MADE: [(i64, &str, &[&str]); 4] = [
    (1, LEDGER, &["position", "event", "hashes"]),
    (2, HEAD, &["id", "note"]),
    (
        4,
        "mailbox",
        &[
            "name", "content", "orders", "holder", "label", "term", "until",
        ],
    ),
    (
        5,
        "report",
        &["host", "joined", "made", "received", "content"],
    ),
];

const LEDGER: &str = "ledger";
const HEAD: &str = "head";

/// What a database holds.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The tables that have a name of ours, and their columns.
    pub(super) tables: BTreeMap<String, Vec<String>>,
    /// The steps that were recorded; none without their table.
    pub(super) steps: Option<Vec<Step>>,
    /// Any other table.
    pub(super) other: Option<String>,
}

/// A step that was recorded.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) version: i64,
    pub(super) checksum: Vec<u8>,
    pub(super) is_done: bool,
}

/// The tables of a database that Daypass may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tables {
    /// It is empty.
    None,
    /// Those of an older version.
    Older {
        /// True if it has the head that commits sign.
        has_head: bool,
    },
    /// Those of this version.
    Current,
}

impl Tables {
    /// True if there is a ledger without the table of its signed head.
    pub(super) fn lack_head(self) -> bool {
        self == Self::Older { has_head: false }
    }
}

/// The reason why Daypass may not use a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It belongs to another program, which has this table.
    Foreign(String),
    /// A newer version of Daypass made its tables.
    Newer,
    /// Another text of this step made its tables.
    Changed(i64),
    /// This step is recorded as one that was not done.
    Undone(i64),
    /// A table that was made, or a column of it, is gone.
    Missing(String),
    /// A table has the name of one that is not made yet.
    Taken(String),
}

impl Seen {
    /// Says whose tables these are, and of which version.
    pub(super) fn judge(&self) -> Result<Tables, Unfit> {
        if !self.is_ours() {
            let any = self.tables.keys().next().or(self.other.as_ref());
            let has_steps = self.steps.as_ref().is_some_and(|steps| !steps.is_empty());
            let any = any.cloned().or(has_steps.then(|| STEPS.to_owned()));
            return any.map_or(Ok(Tables::None), |table| Err(Unfit::Foreign(table)));
        }
        for step in self.steps.iter().flatten() {
            match checksum(step.version) {
                None => return Err(Unfit::Newer),
                Some(known) if known != step.checksum => return Err(Unfit::Changed(step.version)),
                Some(_) if !step.is_done => return Err(Unfit::Undone(step.version)),
                Some(_) => {}
            }
        }
        for (step, table, columns) in MADE {
            let found = self.tables.get(table);
            match (self.has_done(step), found) {
                (true, None) => return Err(Unfit::Missing(format!("its table {table:?}"))),
                (false, Some(_)) => return Err(Unfit::Taken(table.to_owned())),
                (true, Some(found)) => expect_columns(table, columns, found)?,
                (false, None) if table == LEDGER => {
                    return Err(Unfit::Missing(format!("its table {table:?}")));
                }
                (false, None) => {}
            }
        }
        match MADE.iter().all(|(step, ..)| self.has_done(*step)) {
            true => Ok(Tables::Current),
            false => Ok(Tables::Older {
                has_head: self.tables.contains_key(HEAD),
            }),
        }
    }

    /// True if Daypass made any of it. The name of a table alone shows nothing, and other programs
    /// use sqlx too.
    fn is_ours(&self) -> bool {
        let mut steps = self.steps.iter().flatten();
        let is_own = |step: &Step| checksum(step.version).is_some_and(|it| it == step.checksum);
        // Two columns `id` and `note` are any program's.
        let telling = MADE.iter().filter(|(_, table, _)| *table != HEAD);
        let mut telling =
            telling.filter_map(|(_, table, made)| Some((self.tables.get(*table)?, made)));
        steps.any(is_own) || telling.any(|(found, made)| found == made)
    }

    fn has_done(&self, step: i64) -> bool {
        let mut steps = self.steps.iter().flatten();
        steps.any(|it| it.version == step)
    }
}

fn expect_columns(table: &str, columns: &[&str], found: &[String]) -> Result<(), Unfit> {
    let is_missing = |column: &&&str| !found.iter().any(|it| it == **column);
    match columns.iter().find(is_missing) {
        None => Ok(()),
        Some(column) => {
            let what = format!("the column {column:?} of its table {table:?}");
            Err(Unfit::Missing(what))
        }
    }
}

/// The checksum of a step of this version.
fn checksum(step: i64) -> Option<&'static [u8]> {
    let known = MIGRATIONS.iter().find(|it| it.version == step);
    known.map(|it| &*it.checksum)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use sqlx::{Connection, SqliteConnection};

    use super::*;

    /// The database after the first `count` steps.
    fn after(count: usize) -> Seen {
        let made = MADE.iter().take(count);
        let columns = |it: &[&str]| it.iter().map(|&it| it.to_owned()).collect();
        Seen {
            tables: made
                .clone()
                .map(|(_, name, it)| ((*name).to_owned(), columns(it)))
                .collect(),
            steps: Some(
                made.map(|(step, ..)| Step {
                    version: *step,
                    checksum: checksum(*step).unwrap().to_vec(),
                    is_done: true,
                })
                .collect(),
            ),
            other: None,
        }
    }

    fn foreign_step() -> Step {
        Step {
            version: 20_240_101,
            checksum: vec![7],
            is_done: true,
        }
    }

    /// A database, what is changed in it, and the judgement.
    type Case = (&'static str, usize, fn(&mut Seen), Result<Tables, Unfit>);

    #[test]
    fn tables_are_judged_by_what_made_them_and_not_by_their_names() {
        let foreign = |table: &str| Err(Unfit::Foreign(table.to_owned()));
        let missing = |what: &str| Err(Unfit::Missing(what.to_owned()));
        let taken = |table: &str| Err(Unfit::Taken(table.to_owned()));
        let cases: [Case; 20] = [
            ("nothing", 0, |it| it.steps = None, Ok(Tables::None)),
            ("no step yet", 0, |_| (), Ok(Tables::None)),
            ("one", 1, |_| (), Ok(Tables::Older { has_head: false })),
            ("two", 2, |_| (), Ok(Tables::Older { has_head: true })),
            ("three", 3, |_| (), Ok(Tables::Older { has_head: true })),
            ("all", 4, |_| (), Ok(Tables::Current)),
            (
                "a table of the operator's beside ours",
                4,
                |it| it.other = Some("heartbeat".to_owned()),
                Ok(Tables::Current),
            ),
            (
                "another program's",
                0,
                |it| it.other = Some("customers".to_owned()),
                foreign("customers"),
            ),
            (
                "a table with a name of ours",
                0,
                |it| drop(it.tables.insert("report".to_owned(), vec!["id".to_owned()])),
                foreign("report"),
            ),
            (
                "a table like ours that many have",
                0,
                |it| {
                    it.tables
                        .insert("head".to_owned(), ["id", "note"].map(str::to_owned).into());
                },
                foreign("head"),
            ),
            (
                "another program of sqlx",
                0,
                |it| it.steps = Some(vec![foreign_step()]),
                foreign(STEPS),
            ),
            (
                "another program of sqlx whose first step is 1",
                0,
                |it| {
                    it.steps = Some(vec![Step {
                        version: 1,
                        ..foreign_step()
                    }]);
                },
                foreign(STEPS),
            ),
            (
                "a newer version",
                4,
                |it| it.steps.as_mut().unwrap().push(foreign_step()),
                Err(Unfit::Newer),
            ),
            (
                "another text",
                4,
                |it| it.steps.as_mut().unwrap()[0].checksum.clear(),
                Err(Unfit::Changed(1)),
            ),
            (
                "a step that failed",
                4,
                |it| it.steps.as_mut().unwrap()[3].is_done = false,
                Err(Unfit::Undone(5)),
            ),
            (
                "a table that is gone",
                4,
                |it| drop(it.tables.remove("mailbox")),
                missing("its table \"mailbox\""),
            ),
            (
                "a column that is gone",
                4,
                |it| it.tables.get_mut("head").unwrap()[1].push('s'),
                missing("the column \"note\" of its table \"head\""),
            ),
            (
                "a table before its step",
                3,
                |it| drop(it.tables.insert("report".to_owned(), vec!["id".to_owned()])),
                taken("report"),
            ),
            (
                "a ledger without its first step",
                4,
                |it| drop(it.steps.as_mut().unwrap().remove(0)),
                taken("ledger"),
            ),
            (
                "tables without steps",
                4,
                |it| it.steps = None,
                taken("ledger"),
            ),
        ];
        for (case, count, change, expected) in cases {
            let mut seen = after(count);
            change(&mut seen);
            assert_eq!(seen.judge(), expected, "{case}");
        }
    }

    #[tokio::test]
    async fn every_step_makes_the_table_that_is_named_here() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let steps: Vec<i64> = MIGRATIONS.iter().map(|step| step.version).collect();
        assert_eq!(steps, MADE.map(|(step, ..)| step));
        for (step, table, columns) in MADE {
            let up_to = MIGRATIONS.run_direct(Some(step), &mut connection, false);
            up_to.await.unwrap();
            let statement = "SELECT name FROM pragma_table_info(?)";
            let query = sqlx::query_scalar(statement).bind(table);
            let found: Vec<String> = query.fetch_all(&mut connection).await.unwrap();
            assert_eq!(found, columns, "{table}");
        }
    }
}
