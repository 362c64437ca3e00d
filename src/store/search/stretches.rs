//! Stretches of the ledger whose events can fit the times of a question.
//!
//! A year of passes has some hundred large blocks. Those that fit as a whole are taken as they are;
//! of the others the small blocks are read, and only when the search comes to them.

use sqlx::{
    FromRow, Sqlite, SqliteConnection,
    query::QueryAs,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::rows::{BLOCKS, SMALL_IN_LARGE};
use crate::{ledger::search::Question, store::ledger};

/// Large blocks that one question reads.
const MOST: i64 = 1000;

/// The times of a question, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    since: i64,
    until: i64,
    /// Passes that are valid after the first one and up to the second.
    valid: (i64, i64),
}

/// Stretches, descending.
pub(super) struct Stretches {
    pub(super) all: Vec<Stretch>,
    /// The highest index below them, if there may be more.
    pub(super) next: Option<u64>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stretch {
    /// From the first index to the last one.
    Whole(u64, u64),
    /// A large block of which some small ones may fit.
    Part(u64),
}

impl Times {
    const ANY: Self = Self {
        since: i64::MIN,
        until: i64::MAX,
        // Blocks without passes fit too.
        valid: (i64::MIN, i64::MAX),
    };

    pub(super) fn of(question: &Question) -> Self {
        let any = Self::ANY;
        let valid = question
            .valid
            .map(|(from, to)| (ledger::position(from), ledger::position(to)));
        Self {
            since: question.since.map_or(any.since, |it| it.unix_timestamp()),
            // Times have parts of seconds, which are in no row.
            until: question.until.map_or(any.until, |it| it.unix_timestamp()),
            valid: valid.unwrap_or(any.valid),
        }
    }

    /// Whether events between these times fit. A pass is valid from about its event on.
    fn have(self, low: i64, high: i64) -> bool {
        let (from, to) = self.valid;
        low >= self.since.max(from) && high <= self.until.min(to)
    }

    /// Binds the parameters of [`LARGE_SQL`] and [`SMALL_SQL`].
    fn bind<T>(self, statement: &'static str, (low, high): (u64, u64)) -> Fetch<T>
    where
        T: for<'row> FromRow<'row, SqliteRow>,
    {
        let (from, to) = self.valid;
        sqlx::query_as(statement)
            .bind(ledger::position(low))
            .bind(ledger::position(high))
            .bind(self.since)
            .bind(self.until)
            .bind(from)
            .bind(to)
    }
}

type Fetch<T> = QueryAs<'static, Sqlite, T, SqliteArguments>;

/// The stretches from index `from` down.
pub(super) async fn of(
    connection: &mut SqliteConnection,
    times: Times,
    from: u64,
) -> Result<Stretches, sqlx::Error> {
    if times == Times::ANY {
        let all = vec![Stretch::Whole(0, from)];
        return Ok(Stretches { all, next: None });
    }
    let [_, events] = BLOCKS;
    let blocks = times.bind::<(i64, i64, i64)>(LARGE_SQL, (0, from / events));
    let blocks = blocks.bind(MOST).fetch_all(connection).await?;
    let lowest = blocks.last().filter(|_| blocks.len() >= MOST as usize);
    let next = lowest.and_then(|(block, ..)| start(*block, events).checked_sub(1));
    let mut all = Vec::new();
    for (block, low, high) in blocks {
        let (first, end) = (start(block, events), start(block + 1, events));
        match (times.have(low, high), all.last_mut()) {
            (false, _) => all.push(Stretch::Part(first / events)),
            (true, Some(Stretch::Whole(lowest, _))) if *lowest == end => *lowest = first,
            (true, _) => all.push(Stretch::Whole(first, end.saturating_sub(1))),
        }
    }
    Ok(Stretches { all, next })
}

impl Stretch {
    /// First and last index of each run of blocks that fit, descending.
    pub(super) async fn runs(
        self,
        connection: &mut SqliteConnection,
        times: Times,
        from: u64,
    ) -> Result<Vec<(u64, u64)>, sqlx::Error> {
        let block = match self {
            Self::Whole(low, high) => return Ok(vec![(low, high)]),
            Self::Part(block) => block,
        };
        let [events, _] = BLOCKS;
        let low = block.saturating_mul(SMALL_IN_LARGE);
        let high = low.saturating_add(SMALL_IN_LARGE - 1).min(from / events);
        let blocks = times.bind::<(i64,)>(SMALL_SQL, (low, high));
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (block,) in blocks.fetch_all(connection).await? {
            let (first, end) = (start(block, events), start(block + 1, events));
            match runs.last_mut() {
                Some((lowest, _)) if *lowest == end => *lowest = first,
                Some(_) | None => runs.push((first, end.saturating_sub(1))),
            }
        }
        Ok(runs)
    }
}

/// The first index of a block of so many events.
fn start(block: i64, events: u64) -> u64 {
    u64::try_from(block).unwrap_or(0).saturating_mul(events)
}

pub(super) const LARGE_SQL: &str = "SELECT block, low, high FROM span \
     WHERE level = 1 AND block BETWEEN $1 AND $2 AND high >= $3 AND low <= $4 AND last > $5 AND first <= $6 \
     ORDER BY block DESC LIMIT $7";

pub(super) const SMALL_SQL: &str = "SELECT block FROM span \
     WHERE level = 0 AND block BETWEEN $1 AND $2 AND high >= $3 AND low <= $4 AND last > $5 AND first <= $6 \
     ORDER BY block DESC";
