//! The check of the search index against the ledger, in the background: a row that was taken out
//! of the file would hide its event from auditors.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::json;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{
    fault::fault,
    lenders::lenders,
    progress::Progress,
    rows::{Rows, Span},
};
use crate::{
    ledger::{
        Event,
        search::{Term, closed_review},
    },
    store::{Error, database::Readers, ledger},
};

/// Events that are compared at once.
const PAGE: u64 = 64;

/// Parts of time that the check rests, for each part that it works.
const REST: u32 = 19;

/// The time between two rounds.
const BETWEEN: Duration = Duration::from_secs(24 * 3600);

/// The time after which an index that cannot be read is asked again.
const RETRY: Duration = Duration::from_secs(10);

/// The check of one index.
pub(super) struct Check {
    pub(super) ledger: Readers,
    pub(super) progress: watch::Receiver<Progress>,
    /// The difference that it found.
    pub(super) damage: Arc<Mutex<Option<String>>>,
    /// Told if the file cannot be read: it is made again.
    pub(super) failed: Arc<Notify>,
}

impl Check {
    /// Compares until it finds a difference.
    pub(super) async fn run(mut self) {
        loop {
            let is_filled = |progress: &Progress| progress.size > 0 && progress.readers.is_some();
            let (size, readers) = match self.progress.wait_for(is_filled).await {
                Ok(progress) => (progress.size, progress.readers.clone()),
                Err(_) => return,
            };
            let Some(readers) = readers else { continue };
            match self.round(&readers, size).await {
                Ok(()) => sleep(BETWEEN).await,
                // The file was replaced meanwhile.
                Err(_) if readers.is_closed() => (),
                Err(Fault::Difference(difference)) => {
                    tracing::error!(
                        difference,
                        "the search index was changed: keep a copy of search.db as evidence, then remove it and restart"
                    );
                    *self.damage.lock() = Some(difference);
                    return;
                }
                Err(Fault::Unread(error)) => {
                    tracing::warn!(%error, "the search index cannot be compared with the ledger");
                    if matches!(error, Error::Tampered(_)) {
                        self.failed.notify_one();
                    }
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn round(&self, readers: &SqlitePool, size: u64) -> Result<(), Fault> {
        let mut from = 0;
        while from < size {
            let begun = Instant::now();
            let to = size.min(from + PAGE);
            let entries = self.entries(from, to).await.map_err(of_ledger)?;
            let mut rows = Rows::of(&entries);
            let leaves = |wanted| lenders(&self.ledger, wanted);
            rows.complete(leaves).await.map_err(of_ledger)?;
            let mut index = readers.acquire().await.map_err(unread)?;
            let reviews = compare(&mut index, &rows).await?;
            expect_reviews(&self.ledger, &reviews).await?;
            drop(index);
            from = to;
            sleep(begun.elapsed() * REST).await;
        }
        Ok(())
    }

    async fn entries(&self, from: u64, to: u64) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        ledger::entries(&mut self.ledger.acquire().await?, from, to).await
    }
}

/// Why a round did not end.
#[derive(Debug)]
pub(super) enum Fault {
    /// The index hides something.
    Difference(String),
    /// Index or ledger cannot be read now. With [`Error::Tampered`], the index's file is made
    /// again, and nothing was hidden.
    Unread(Error),
}

fn unread(error: sqlx::Error) -> Fault {
    Fault::Unread(fault(error))
}

/// Damage of the ledger is the scrub's to tell.
fn of_ledger(error: impl ToString) -> Fault {
    Fault::Unread(Error::Unavailable(error.to_string()))
}

/// Checks that the index has each of these rows. Returns emergencies whose reviews the index
/// says are closed, and by which events.
///
/// # Errors
/// Returns [`Fault::Difference`] with the first event that it lacks.
pub(super) async fn compare(
    index: &mut SqliteConnection,
    rows: &Rows,
) -> Result<Vec<(u64, u64)>, Fault> {
    let missing: Vec<(i64, i64)> = sqlx::query_as(MISSING_SQL)
        .bind(json!(rows.postings).to_string())
        .fetch_all(&mut *index)
        .await
        .map_err(unread)?;
    let mut reviews = Vec::new();
    for (term, position) in missing {
        let at = u64::try_from(position).unwrap_or(0);
        let is_review = term == Term::unreviewed().0;
        match review(index, at).await? {
            Some(review) if is_review => reviews.push((at, review)),
            Some(_) | None => return Err(lacks(at)),
        }
    }
    for ((level, block), span) in &rows.spans {
        let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT low, high, first, last FROM span WHERE level = $1 AND block = $2",
        )
        .bind(level)
        .bind(ledger::position(*block))
        .fetch_optional(&mut *index)
        .await
        .map_err(unread)?;
        let covers = row.is_some_and(|(low, high, first, last)| {
            let row = Span {
                low,
                high,
                first,
                last,
            };
            row.join(*span) == row
        });
        if !covers {
            return Err(Fault::Difference(format!(
                "the times of block {block} are other ones"
            )));
        }
    }
    Ok(reviews)
}

fn lacks(index: u64) -> Fault {
    Fault::Difference(format!("event {index} lacks a row"))
}

/// Checks in the ledger that each of these emergencies was reviewed by that event.
async fn expect_reviews(ledger: &Readers, reviews: &[(u64, u64)]) -> Result<(), Fault> {
    if reviews.is_empty() {
        return Ok(());
    }
    let events: Vec<u64> = reviews.iter().map(|(_, review)| *review).collect();
    let mut ledger = ledger.acquire().await.map_err(of_ledger)?;
    let leaves = ledger::leaves(&mut ledger, &events)
        .await
        .map_err(of_ledger)?;
    for (emergency, review) in reviews {
        let leaf = leaves.iter().find(|(at, _)| at == review);
        let event = leaf.and_then(|(_, leaf)| Event::parse(leaf).ok());
        if event.as_ref().and_then(closed_review) != Some(*emergency) {
            return Err(lacks(*emergency));
        }
    }
    Ok(())
}

const MISSING_SQL: &str = "SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each($1) \
     WHERE NOT EXISTS (SELECT 1 FROM posting WHERE term = json_extract(value, '$[0]') \
     AND position = json_extract(value, '$[1]'))";

/// The review of this emergency, as the index has it.
async fn review(index: &mut SqliteConnection, emergency: u64) -> Result<Option<u64>, Fault> {
    let review: Option<i64> = sqlx::query_scalar(
        "SELECT p.position FROM posting p WHERE p.term = $1 AND EXISTS \
         (SELECT 1 FROM posting q WHERE q.term = $2 AND q.position = p.position) LIMIT 1",
    )
    .bind(Term::about(emergency).0)
    .bind(Term::kind("reviewed").0)
    .fetch_optional(index)
    .await
    .map_err(unread)?;
    Ok(review.and_then(|at| u64::try_from(at).ok()))
}
