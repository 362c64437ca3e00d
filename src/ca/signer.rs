//! The rules of `daypass signer`: a CA key that signs only what the ledger has recorded.
//!
//! ```text
//! Request ─verify─▶ Approved ─written to disk─▶ Remembered
//!                       └────────── sign ◀──────────┘
//! ```
//!
//! [`verify`] decides and is pure; [`ceiling`], [`document`] and [`message`] are its parts. What is
//! not approved is never signed, and nothing is signed before the checkpoint behind it is
//! remembered: a daemon cannot show a signer two histories, not even around a crash.

pub(crate) mod ceiling;
pub(crate) mod document;
pub(crate) mod message;
pub(crate) mod refusal;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod verify;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::mpsc, time::timeout};

use super::key::Key;
use message::{MOST_ITEMS, Verdict};
use verify::{Approved, ApprovedItem, Remembered};

/// Messages that the key is asked for at once. An agent and a token bound their own work too.
const AT_ONCE: usize = 4;

/// Time after which a request is answered with what is signed by then. A daemon gives a pass up
/// after 5 s, which it may have spent in part behind the call before.
const PATIENCE: Duration = Duration::from_secs(2);

/// The verdict for a message that had no turn in time.
const LATE: &str = "the key is slow: it did not sign this in time";

/// Signs each approved message of a request whose checkpoint is remembered.
///
/// A key that does not answer signs nothing: the verdict says why. A slow one signs what it can:
/// the messages that had no turn in time are away.
pub(crate) async fn sign(
    key: &Arc<Key>,
    approved: Approved,
    remembered: Remembered,
) -> Vec<Verdict> {
    let Some(items) = approved.behind(&remembered) else {
        return Vec::new();
    };
    let mut verdicts = Vec::with_capacity(items.len());
    let mut waiting = VecDeque::new();
    for (at, item) in items.into_iter().enumerate() {
        verdicts.push(match item {
            Err(fault) => Verdict::Refused(fault.to_string()),
            Ok(item) => {
                waiting.push_back((at, item));
                Verdict::Away(LATE.to_owned())
            }
        });
    }
    let workers = waiting.len().min(AT_ONCE);
    let waiting = Arc::new(Mutex::new(waiting));
    let (sender, mut signed) = mpsc::channel(MOST_ITEMS);
    for _ in 0..workers {
        tokio::spawn(work(key.clone(), waiting.clone(), sender.clone()));
    }
    drop(sender);
    let put = |verdicts: &mut Vec<Verdict>, (at, verdict): (usize, Verdict)| {
        if let Some(place) = verdicts.get_mut(at) {
            *place = verdict;
        }
    };
    let collect = async {
        while let Some(done) = signed.recv().await {
            put(&mut verdicts, done);
        }
    };
    let is_late = timeout(PATIENCE, collect).await.is_err();
    // A key that has signed none of them yet may hang: the caller learns that from the key itself.
    if is_late
        && !verdicts.iter().any(|it| matches!(it, Verdict::Signed(_)))
        && let Some(first) = signed.recv().await
    {
        put(&mut verdicts, first);
    }
    while let Ok(done) = signed.try_recv() {
        put(&mut verdicts, done);
    }
    verdicts
}

/// A message, by its place in the request.
type Waiting = (usize, ApprovedItem);

/// Signs one message after the other, until there is none or the caller has its answer. What is
/// under way is finished, so that a key that does not answer is noticed.
async fn work(
    key: Arc<Key>,
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    signed: mpsc::Sender<(usize, Verdict)>,
) {
    while !signed.is_closed() {
        let next = waiting.lock().pop_front();
        let Some((at, item)) = next else {
            return;
        };
        let verdict = match key.sign(item.to_sign()).await {
            Err(error) => Verdict::Away(error.to_string()),
            Ok(signature) => Vec::<u8>::try_from(signature)
                .map_or_else(|error| Verdict::Away(error.to_string()), Verdict::Signed),
        };
        if signed.send((at, verdict)).await.is_err() {
            return;
        }
    }
}
