//! Questions to the search index, in bounded steps.
//!
//! Each step looks at the rarest group of terms in some window of the ledger, and keeps the events
//! that have a term of each other group. So no statement reads more than some thousand rows.

use std::time::Duration;

use serde_json::json;
use sqlx::{AssertSqlSafe, SqliteConnection};
use tokio::time::Instant;

use super::{
    progress::Found,
    stretches::{self, Stretches, Times},
};
use crate::{
    ledger::search::{Question, Term},
    store::ledger,
};

/// Rows of the rarest term in one step.
const STEP: i64 = 8192;

/// The time of one question, after which it ends with what it has.
const BUDGET: Duration = Duration::from_millis(60);

/// Finds indices from `from` down. The time of an event and its reason remain to be checked.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    question: &Question,
    from: u64,
    limit: usize,
) -> Result<Found, sqlx::Error> {
    let begun = Instant::now();
    let mut found = Found::default();
    let times = Times::of(question);
    let Stretches { all, next } = stretches::of(connection, times, from).await?;
    for stretch in all {
        for (low, high) in stretch.runs(connection, times, from).await? {
            let mut top = Some(high.min(from)).filter(|top| *top >= low);
            while let Some(at) = top {
                if found.positions.len() >= limit || begun.elapsed() > BUDGET {
                    found.next = Some(at);
                    return Ok(found);
                }
                let room = limit - found.positions.len();
                let (positions, bottom) = step(connection, question, (low, at), room).await?;
                let is_full = positions.len() >= room;
                let lowest = positions.last().copied();
                found.positions.extend(positions);
                let next = lowest.filter(|_| is_full).unwrap_or(bottom);
                top = next.checked_sub(1).filter(|top| *top >= low);
            }
        }
    }
    found.next = next;
    Ok(found)
}

/// Of these indices, those with a term of each group, in their order.
pub(super) async fn having(
    connection: &mut SqliteConnection,
    groups: &[&[Term]],
    indices: &[u64],
) -> Result<Vec<u64>, sqlx::Error> {
    let sizes: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let mut query = sqlx::query_scalar(AssertSqlSafe(having_sql(&sizes)));
    query = query.bind(json!(indices).to_string());
    for term in groups.iter().copied().flatten() {
        query = query.bind(term.0);
    }
    let found: Vec<i64> = query.fetch_all(connection).await?;
    let found = found.into_iter();
    Ok(found.filter_map(|at| u64::try_from(at).ok()).collect())
}

pub(super) fn having_sql(sizes: &[usize]) -> String {
    let mut next = 2;
    let conditions = sizes.iter().map(|size| {
        let places: Vec<_> = (next..next + size).map(|at| format!("?{at}")).collect();
        next += size;
        let list = places.join(", ");
        format!("EXISTS (SELECT 1 FROM posting WHERE term IN ({list}) AND position = j.value)")
    });
    let conditions: Vec<_> = conditions.collect();
    format!(
        "SELECT j.value FROM json_each(?1) j WHERE {} ORDER BY j.key",
        conditions.join(" AND ")
    )
}

/// One step from `top` down: the indices that fit, and the lowest index that it looked at.
async fn step(
    connection: &mut SqliteConnection,
    question: &Question,
    (low, top): (u64, u64),
    room: usize,
) -> Result<(Vec<u64>, u64), sqlx::Error> {
    let mut rarest: Option<(usize, u64)> = None;
    for (place, group) in question.groups.iter().enumerate() {
        let mut bottom = low;
        if !are_few(connection, group, (low, top)).await? {
            for term in group {
                bottom = bottom.max(window(connection, *term, (low, top)).await?);
            }
        }
        if rarest.is_none_or(|(_, least)| bottom < least) {
            rarest = Some((place, bottom));
        }
    }
    let Some((driver, bottom)) = rarest else {
        let count = top.saturating_sub(low).saturating_add(1).min(room as u64);
        let bottom = top.saturating_add(1).saturating_sub(count);
        return Ok(((bottom..=top).rev().collect(), bottom));
    };
    let sizes: Vec<usize> = question.groups.iter().map(Vec::len).collect();
    let mut query = sqlx::query_scalar(AssertSqlSafe(step_sql(&sizes, driver)))
        .bind(ledger::position(bottom))
        .bind(ledger::position(top))
        .bind(i64::try_from(room).unwrap_or(i64::MAX));
    for term in question.groups.iter().flatten() {
        query = query.bind(term.0);
    }
    let positions: Vec<i64> = query.fetch_all(connection).await?;
    let positions = positions.into_iter();
    Ok((
        positions.filter_map(|at| u64::try_from(at).ok()).collect(),
        bottom,
    ))
}

/// The statement of a step: only the numbers of terms vary.
pub(super) fn step_sql(sizes: &[usize], driver: usize) -> String {
    let mut next = 4;
    let lists: Vec<String> = sizes
        .iter()
        .map(|size| {
            let places: Vec<_> = (next..next + size)
                .map(|place| format!("?{place}"))
                .collect();
            next += size;
            places.join(", ")
        })
        .collect();
    let own = lists.get(driver).cloned().unwrap_or_default();
    let others = lists.iter().enumerate().filter(|(at, _)| *at != driver);
    let others: String = others
        .map(|(_, list)| {
            format!(
                " AND EXISTS (SELECT 1 FROM posting q WHERE q.term IN ({list}) AND q.position = p.position)"
            )
        })
        .collect();
    format!(
        "SELECT DISTINCT p.position FROM posting p WHERE p.term IN ({own}) \
         AND p.position BETWEEN ?1 AND ?2{others} ORDER BY p.position DESC LIMIT ?3"
    )
}

/// Terms from which on one statement counts the events of all.
const MANY: usize = 8;

/// Whether many terms have at most [`STEP`] events between two indices, so that no window is
/// needed.
async fn are_few(
    connection: &mut SqliteConnection,
    group: &[Term],
    (low, top): (u64, u64),
) -> Result<bool, sqlx::Error> {
    if group.len() < MANY {
        return Ok(false);
    }
    let places: Vec<_> = (4..4 + group.len()).map(|at| format!("?{at}")).collect();
    let counted = format!(
        "SELECT count(*) FROM (SELECT 1 FROM posting \
         WHERE term IN ({}) AND position BETWEEN ?1 AND ?2 LIMIT ?3)",
        places.join(", ")
    );
    let mut query = sqlx::query_scalar(AssertSqlSafe(counted))
        .bind(ledger::position(low))
        .bind(ledger::position(top))
        .bind(STEP + 1);
    for term in group {
        query = query.bind(term.0);
    }
    let count: i64 = query.fetch_one(connection).await?;
    Ok(count <= STEP)
}

/// The lowest index of a window with at most [`STEP`] events of this term.
async fn window(
    connection: &mut SqliteConnection,
    term: Term,
    (low, top): (u64, u64),
) -> Result<u64, sqlx::Error> {
    let position: Option<i64> = sqlx::query_scalar(WINDOW_SQL)
        .bind(term.0)
        .bind(ledger::position(low))
        .bind(ledger::position(top))
        .bind(STEP)
        .fetch_optional(connection)
        .await?;
    Ok(position.map_or(low, |at| u64::try_from(at).unwrap_or(low)))
}

pub(super) const WINDOW_SQL: &str = "SELECT position FROM posting \
     WHERE term = $1 AND position BETWEEN $2 AND $3 ORDER BY position DESC LIMIT 1 OFFSET $4";
