//! A CA key behind `daypass signer`, which signs only what the ledger has recorded.
//!
//! Passes that were committed together are signed together: one task has the connection, and each
//! call takes along every pass that waits, with one proof that the ledger goes on and one for each
//! event. Where the proofs come from is for the caller to say ([`Ledger`]).

mod address;
mod call;
mod place;

use std::sync::{Arc, OnceLock};

use ssh_key::Signature;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};

use super::Way;
use crate::ca::{
    key::{Away, Unsigned},
    signer::message::{LONGEST_REQUEST, MOST_ITEMS},
    to_sign::ToSign,
};
pub(crate) use address::Address;
use call::Caller;
use place::Waiting;
pub(crate) use place::{Ledger, LedgerSlot, Place, Proving};

/// Callers that wait for a call.
const QUEUE: usize = 1024;

/// The most bytes of messages in one call. Events and proofs take a few times as much.
const MOST_BYTES: usize = LONGEST_REQUEST / 8;

/// A key behind a signer.
pub(crate) struct Signer {
    place: Arc<Place>,
    /// The task's queue, once there is a question.
    jobs: OnceLock<mpsc::Sender<Job>>,
}

/// A question for the task.
enum Job {
    Sign(Waiting),
    Find(oneshot::Sender<Result<(), Away>>),
    Look(oneshot::Sender<Result<(), Away>>),
}

impl Signer {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place: Arc::new(place),
            jobs: OnceLock::new(),
        }
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, Away> {
        let jobs = self.jobs.get_or_init(|| {
            let (jobs, waiting) = mpsc::channel(QUEUE);
            tokio::spawn(work(Caller::new(self.place.clone()), waiting));
            jobs
        });
        let (answer, answered) = oneshot::channel();
        let full = |_| Away("the signer does not keep up".to_owned());
        jobs.try_send(job(answer)).map_err(full)?;
        answered
            .await
            .map_err(|_| Away("the server stops".to_owned()))
    }
}

impl Way for Signer {
    async fn sign(&self, to_sign: ToSign<'_>) -> Result<Signature, Unsigned> {
        let message = to_sign.into();
        self.ask(|answer| Job::Sign(Waiting { message, answer }))
            .await?
    }

    async fn find(&self) -> Result<(), Away> {
        self.ask(Job::Find).await?
    }

    async fn look(&self) -> Result<(), Away> {
        self.ask(Job::Look).await?
    }
}

/// Makes one call after the other, until the key is needed no more.
async fn work(mut caller: Caller, mut jobs: mpsc::Receiver<Job>) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        match first {
            Job::Find(answer) => drop(answer.send(caller.find().await)),
            // Its caller has given up.
            Job::Look(answer) if answer.is_closed() => {}
            Job::Look(answer) => drop(answer.send(caller.look().await)),
            Job::Sign(first) => {
                let batch = gather(first, &mut jobs, &mut next).await;
                caller.sign(batch).await;
            }
        }
    }
}

/// Takes every message that waits, and those of callers that are about to ask: a commit answers
/// all of its callers at once. What does not fit, or is another question, is the next one.
async fn gather(
    first: Waiting,
    jobs: &mut mpsc::Receiver<Job>,
    next: &mut Option<Job>,
) -> Vec<Waiting> {
    let mut bytes = first.message.length();
    let mut batch = vec![first];
    loop {
        let before = batch.len();
        yield_now().await;
        while next.is_none()
            && batch.len() < MOST_ITEMS
            && let Ok(job) = jobs.try_recv()
        {
            match job {
                // Its caller has given up.
                Job::Sign(waiting) if waiting.answer.is_closed() => {}
                Job::Sign(waiting) if bytes + waiting.message.length() <= MOST_BYTES => {
                    bytes += waiting.message.length();
                    batch.push(waiting);
                }
                job => *next = Some(job),
            }
        }
        if batch.len() == before {
            batch.retain(|waiting| !waiting.answer.is_closed());
            return batch;
        }
    }
}
