//! What waits for the writer, and how it becomes an event: composed, admitted by the standing, given its index.

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::Error;
use crate::{
    ca::Draft,
    ledger::{
        Event, EventKind, LedgerState, Receipt, denials::DenialRate, event::Issued,
        state::Rejection, tree::Hash,
    },
};

/// Makes an event out of what stands just before it.
pub(super) type Compose = Box<dyn FnOnce(&LedgerState) -> Result<EventKind, Rejection> + Send>;

/// A write that waits for its commit. Whether somebody still waits for the answer does not matter.
pub(super) enum Job {
    Issue {
        draft: Draft,
        issued: Box<Issued>,
        at: OffsetDateTime,
        answer: oneshot::Sender<Result<(Draft, Receipt), Error>>,
    },
    Record {
        compose: Compose,
        at: OffsetDateTime,
        answer: oneshot::Sender<Result<Event, Error>>,
    },
}

impl Job {
    /// The event that this job is at `index`, if the standing lets it: else the refusal of it, or nothing if that is only
    /// counted.
    pub(super) fn prepare(
        self,
        index: u64,
        state: &LedgerState,
        denials: &Mutex<DenialRate>,
    ) -> Option<QueuedEvent> {
        let (composed, at, answer) = self.compose(index, state);
        let what = match composed {
            Ok(what) => what,
            Err(rejection) => {
                answer.refuse(Error::Rejection(rejection));
                return None;
            }
        };
        let event = Event { index, at, what };
        let Err(rejection) = state.admit(&event) else {
            return Some(QueuedEvent::new(event, answer));
        };
        let refused = event.what.refused(&rejection);
        match refused.filter(|what| is_recorded(denials, what, at)) {
            Some(what) => Some(QueuedEvent::new(
                Event { index, at, what },
                Answer::Rejection(rejection, Box::new(answer)),
            )),
            None => {
                answer.refuse(Error::Rejection(rejection));
                None
            }
        }
    }

    /// The hash of what will be signed is taken here, for it holds the serial.
    fn compose(
        self,
        index: u64,
        state: &LedgerState,
    ) -> (Result<EventKind, Rejection>, OffsetDateTime, Answer) {
        match self {
            Self::Issue {
                draft,
                mut issued,
                at,
                answer,
            } => {
                let tbs_hash = draft.to_be_signed_hash(index);
                issued.to_be_signed = base16ct::lower::encode_string(&tbs_hash);
                let answer = Answer::Pass(draft, tbs_hash, answer);
                (Ok(EventKind::Issued(issued)), at, answer)
            }
            Self::Record {
                compose,
                at,
                answer,
            } => (compose(state), at, Answer::Event(answer)),
        }
    }

    pub(super) fn refuse(self, error: &Error) {
        match self {
            Self::Issue { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Record { answer, .. } => drop(answer.send(Err(error.clone()))),
        }
    }
}

/// An event that is in the transaction, and who waits for it.
pub(super) struct QueuedEvent {
    pub(super) event: Event,
    /// Its leaf's hash, once it has its bytes.
    pub(super) digest: Hash,
    pub(super) answer: Answer,
}

impl QueuedEvent {
    fn new(event: Event, answer: Answer) -> Self {
        let digest = Hash::default();
        Self {
            event,
            digest,
            answer,
        }
    }
}

/// Who waits, and what for.
pub(super) enum Answer {
    Pass(
        Draft,
        [u8; 32],
        oneshot::Sender<Result<(Draft, Receipt), Error>>,
    ),
    Event(oneshot::Sender<Result<Event, Error>>),
    /// The event is the refusal of what was wanted.
    Rejection(Rejection, Box<Answer>),
}

impl Answer {
    pub(super) fn refuse(self, error: Error) {
        match self {
            Self::Pass(_, _, answer) => drop(answer.send(Err(error))),
            Self::Event(answer) => drop(answer.send(Err(error))),
            Self::Rejection(_, answer) => answer.refuse(error),
        }
    }
}

/// Whether this event is recorded: every one but a denial beyond the rate, which is counted here.
pub(super) fn is_recorded(rate: &Mutex<DenialRate>, what: &EventKind, now: OffsetDateTime) -> bool {
    let EventKind::Denied { who, reason, .. } = what else {
        return true;
    };
    rate.lock().take(who, reason, now)
}
