//! A write in the queue, and how it becomes an event: composed, admitted by the ledger's state,
//! given its index.

use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::{Error, reports::ReportChange};
use crate::{
    ca::{Draft, HostDraft},
    ledger::{
        Event, EventKind, LedgerState, Receipt,
        denials::DenialRate,
        event::{HostCertified, Issued},
        state::Rejection,
        tree::Hash,
    },
};

/// Makes an event from its index and the ledger's state just before it.
pub(super) type Compose = Box<dyn FnOnce(u64, &LedgerState) -> Result<EventKind, Rejection> + Send>;

/// A write that waits for its commit. It is committed even if its caller no longer waits.
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
    Certify {
        draft: HostDraft,
        certified: Box<HostCertified>,
        at: OffsetDateTime,
        answer: oneshot::Sender<Result<(HostDraft, Receipt), Error>>,
    },
    /// Is no event: a change of the table of reports.
    Report {
        change: ReportChange,
        answer: oneshot::Sender<Result<bool, Error>>,
    },
    /// Writes nothing: answered when all events are known that were committed before.
    Follow {
        answer: oneshot::Sender<Result<(), Error>>,
    },
}

impl Job {
    /// The event of this job at `index`, if the ledger's state admits it. Else its refusal, or none
    /// if the refusal is only counted.
    pub(super) fn prepare(
        self,
        index: u64,
        state: &LedgerState,
        denials: &Mutex<DenialRate>,
    ) -> Option<QueuedEvent> {
        let (composed, at, answer) = self.compose(index, state)?;
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

    /// Composes the event; none if the job writes none. The hash of the bytes to be signed is taken
    /// here, because they hold the serial.
    fn compose(
        self,
        index: u64,
        state: &LedgerState,
    ) -> Option<(Result<EventKind, Rejection>, OffsetDateTime, Answer)> {
        Some(match self {
            Self::Issue {
                draft,
                mut issued,
                at,
                answer,
            } => {
                #[cfg(feature = "deliberate-bugs")]
                let index = crate::deliberate::serial(index);
                let tbs_hash = draft.to_be_signed_hash(index);
                issued.to_be_signed = base16ct::lower::encode_string(&tbs_hash);
                let answer = Answer::Pass(draft, tbs_hash, answer);
                (Ok(EventKind::Issued(issued)), at, answer)
            }
            Self::Certify {
                draft,
                mut certified,
                at,
                answer,
            } => {
                let tbs_hash = draft.to_be_signed_hash(index);
                certified.to_be_signed = base16ct::lower::encode_string(&tbs_hash);
                let answer = Answer::Certificate(draft, tbs_hash, answer);
                (Ok(EventKind::HostCertified(certified)), at, answer)
            }
            Self::Record {
                compose,
                at,
                answer,
            } => (compose(index, state), at, Answer::Event(answer)),
            // `Append::assign` has taken it out.
            Self::Report { answer, .. } => {
                drop(answer.send(Ok(false)));
                return None;
            }
            Self::Follow { answer } => {
                drop(answer.send(Ok(())));
                return None;
            }
        })
    }

    pub(super) fn refuse(self, error: &Error) {
        match self {
            Self::Issue { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Certify { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Report { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Record { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Follow { answer } => drop(answer.send(Err(error.clone()))),
        }
    }
}

/// An event that is in the transaction, and the channel of its caller.
pub(super) struct QueuedEvent {
    pub(super) event: Event,
    /// Its leaf's hash and length, once it has its bytes.
    pub(super) digest: Hash,
    pub(super) length: usize,
    pub(super) answer: Answer,
}

impl QueuedEvent {
    fn new(event: Event, answer: Answer) -> Self {
        Self {
            event,
            digest: Hash::default(),
            length: 0,
            answer,
        }
    }

    /// The job of an event that was not committed, for another attempt. A pass gets its index at
    /// each attempt. Other events are as the state was: they are refused with `error`, unless the
    /// state is the same.
    pub(super) fn again(self, is_same: bool, error: &Error) -> Option<Job> {
        let Event { at, what, .. } = self.event;
        match (self.answer, what) {
            (Answer::Pass(draft, _, answer), EventKind::Issued(issued)) => Some(Job::Issue {
                draft,
                issued,
                at,
                answer,
            }),
            (Answer::Certificate(draft, _, answer), EventKind::HostCertified(certified)) => {
                Some(Job::Certify {
                    draft,
                    certified,
                    at,
                    answer,
                })
            }
            (Answer::Event(answer), what) if is_same => Some(Job::Record {
                compose: Box::new(|_, _| Ok(what)),
                at,
                answer,
            }),
            (answer, _) => {
                answer.refuse(error.clone());
                None
            }
        }
    }
}

/// The caller's channel, and the kind of its answer.
pub(super) enum Answer {
    Pass(
        Draft,
        [u8; 32],
        oneshot::Sender<Result<(Draft, Receipt), Error>>,
    ),
    Certificate(
        HostDraft,
        [u8; 32],
        oneshot::Sender<Result<(HostDraft, Receipt), Error>>,
    ),
    Event(oneshot::Sender<Result<Event, Error>>),
    /// The event is the refusal of the job.
    Rejection(Rejection, Box<Answer>),
}

impl Answer {
    pub(super) fn refuse(self, error: Error) {
        match self {
            Self::Pass(_, _, answer) => drop(answer.send(Err(error))),
            Self::Certificate(_, _, answer) => drop(answer.send(Err(error))),
            Self::Event(answer) => drop(answer.send(Err(error))),
            Self::Rejection(_, answer) => answer.refuse(error),
        }
    }
}

/// True if this event is recorded. Counts a denial beyond the rate and returns false; every other
/// event is recorded.
pub(super) fn is_recorded(rate: &Mutex<DenialRate>, what: &EventKind, now: OffsetDateTime) -> bool {
    let EventKind::Denied { who, reason, .. } = what else {
        return true;
    };
    rate.lock().take(who, reason, now)
}
