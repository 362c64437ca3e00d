//! What a start looks at before the ledger is written to, and what it says about it.

use sqlx::SqliteConnection;

use super::{Error, ledger, replay::Unsigned};
use crate::ledger::{What, checkpoint::Checkpoint};

pub(super) const NO_CHECKPOINT: &str = "the file `checkpoint` is missing";

/// `started`, with what the store has to say of itself.
pub(super) fn filled_in(started: What, found: Vec<Unsigned>) -> What {
    match started {
        What::Started {
            version, server, ..
        } => What::Started {
            version,
            server,
            signed_heads: true,
            unsigned: found.iter().map(|event| event.index).collect(),
        },
        other => other,
    }
}

/// A database that signed no heads and was not stopped in order is left as it is, for the version that wrote it.
pub(super) async fn expect_no_tail(
    connection: &mut SqliteConnection,
    checkpoint: Option<&Checkpoint>,
) -> Result<(), Error> {
    let covered = checkpoint.map_or(0, |checkpoint| checkpoint.size);
    match ledger::count(connection).await?.saturating_sub(covered) {
        0 => Ok(()),
        _ if checkpoint.is_none() => Err(Error::Tampered(NO_CHECKPOINT.to_owned())),
        tail => Err(Error::Tampered(ledger::unsigned_tail(tail))),
    }
}

/// Names in the log what was not signed as the rest.
pub(super) fn report(judged: u64, size: u64, unsigned: &[Unsigned]) {
    if judged > 0 {
        let from = size.saturating_sub(judged);
        tracing::info!(
            from,
            events = judged,
            "the ledger was not stopped in order: the events after its last checkpoint were checked one by one"
        );
    }
    for event in unsigned {
        tracing::error!(
            index = event.index,
            kind = event.kind,
            "an event of the ledger is not in its signed head: another program wrote it. It changes nothing; find out which"
        );
    }
}
