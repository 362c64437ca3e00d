//! The signer's service: one question after the other, under the lock of its memory.

use std::{borrow::Cow, sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

use super::memory::Memory;
use crate::{
    ca::{
        key::Key,
        signer::{
            self,
            message::{Answer, Question, Request},
            refusal::Refusal,
            verify::{Rules, verify},
        },
    },
    ledger::handover::{Fault, Handover},
};

/// The longest that a question waits for those before it.
const TURN: Duration = Duration::from_secs(4);

/// The signer's clock.
pub(crate) type Clock = fn() -> OffsetDateTime;

/// A signer: its key, its rules and its memory.
pub(crate) struct Service {
    pub(crate) key: Arc<Key>,
    pub(crate) rules: Rules,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) now: Clock,
}

/// An answer, and the turn of a caller that was asked to come back at once.
pub(super) type Answered = (Answer, Option<Turn>);

/// The lock of the memory.
pub(super) type Turn = OwnedMutexGuard<Memory>;

impl Service {
    /// Answers a question. `turn` is that of the connection's last question.
    pub(super) async fn answer(&self, question: Question, turn: Option<Turn>) -> Answered {
        let turn = match turn {
            Some(turn) => turn,
            None => match timeout(TURN, self.memory.clone().lock_owned()).await {
                Ok(turn) => turn,
                Err(_) => return (refused("it is busy with other calls"), None),
            },
        };
        match question {
            Question::Status => (self.status(&turn), None),
            Question::Sign(request) => self.sign(request, turn).await,
            Question::Keys(handovers) => (self.follow(&handovers, turn).await, None),
        }
    }

    /// A key that is away is said before a pass is recorded that it would not sign.
    fn status(&self, memory: &Memory) -> Answer {
        let away = || Some(self.key.expect_here().err()?.to_string());
        let alarm = memory.alarm().map(str::to_owned).or_else(away);
        Answer::Status {
            key: self.rules.ca.to_bytes().unwrap_or_default(),
            remembered: memory.seen().head.size,
            alarm: alarm.unwrap_or_default(),
        }
    }

    /// Follows the ledger's key. The new one is on disk before the answer.
    async fn follow(&self, handovers: &[Handover], mut memory: Turn) -> Answer {
        match memory.keys().after(handovers) {
            Ok(None) => self.status(&memory),
            Ok(Some(keys)) => {
                let key = keys.newest().to_string();
                let kept = tokio::task::spawn_blocking(move || {
                    let kept = memory.follow(keys);
                    kept.map(|()| memory)
                });
                match kept.await {
                    Ok(Ok(memory)) => {
                        tracing::info!(key, "the ledger was handed over to another key: followed");
                        self.status(&memory)
                    }
                    Ok(Err(error)) => {
                        tracing::error!(%error, "the ledger's new key is not followed");
                        refused(&format!("the ledger's new key is not followed: {error}"))
                    }
                    Err(_) => refused("a bug: see its log"),
                }
            }
            Err(fault) => {
                let refusal = Refusal::Keys {
                    why: fault.to_string(),
                    is_fork: matches!(fault, Fault::Forked { .. }),
                };
                refuse(&refusal, &mut memory)
            }
        }
    }

    /// The rules, with the ledger's key as the memory knows it.
    fn rules(&self, memory: &Memory) -> Cow<'_, Rules> {
        let newest = memory.keys().newest();
        match *newest == self.rules.ledger {
            true => Cow::Borrowed(&self.rules),
            false => Cow::Owned(Rules {
                ledger: newest.clone(),
                ..self.rules.clone()
            }),
        }
    }

    async fn sign(&self, request: Request, mut memory: Turn) -> Answered {
        if let Some(why) = memory.alarm() {
            return (refused(why), None);
        }
        let approved = match verify(&self.rules(&memory), memory.seen(), request, (self.now)()) {
            Ok(approved) => approved,
            // The caller comes back at once with proofs from there, and meanwhile no other call
            // may go on from there.
            Err(Refusal::Stale(remembered)) => return (Answer::Stale(remembered), Some(memory)),
            Err(refusal) => return (refuse(&refusal, &mut memory), None),
        };
        for fault in approved.faults() {
            tracing::error!(%fault, "refused: not signed");
        }
        // The file system may take its time.
        let remembering = tokio::task::spawn_blocking(move || {
            let remembered = memory.remember(approved.head(), approved.checkpoint());
            remembered.map(|remembered| (approved, remembered))
        });
        match remembering.await {
            Ok(Ok((approved, remembered))) => {
                let verdicts = signer::sign(&self.key, approved, remembered).await;
                (Answer::Verdicts(verdicts), None)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot remember the checkpoint: nothing is signed");
                (refused("it cannot write its memory: see its log"), None)
            }
            Err(_) => (refused("a bug: see its log"), None),
        }
    }
}

fn refuse(refusal: &Refusal, memory: &mut Memory) -> Answer {
    let why = refusal.to_string();
    if refusal.is_alarming() {
        let why = format!("{why}. Nothing is signed until an operator acts: daypass help signer");
        tracing::error!(why, "ALARM");
        if let Err(error) = memory.raise(&why) {
            tracing::error!(%error, "cannot write the alarm");
        }
        return Answer::Refused(why);
    }
    tracing::error!(why, "refused");
    Answer::Refused(why)
}

fn refused(why: &str) -> Answer {
    Answer::Refused(why.to_owned())
}
