//! Programs that keep a CA key: an ssh-agent ([`agent`]), a PKCS#11 token ([`pkcs11`]), `daypass
//! signer` ([`signer`]).
//!
//! A [`Keeper`] bounds each signature by a deadline, remembers whether the key answered, and asks
//! again by itself until it does. While nothing is signed, it is asked now and then if the key is
//! still there ([`Elsewhere::look`]). Whether a signature is good is for [`crate::ca`] to say: it
//! verifies each one with the configured public key.

pub(crate) mod agent;
pub(crate) mod pkcs11;
pub(crate) mod signer;

use std::{
    future::Future,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use ssh_key::Signature;
use tokio::time::{Instant, timeout};

use crate::ca::{
    key::{Away, Elsewhere, Looking, Signing, Unsigned},
    to_sign::ToSign,
};

/// The longest that a caller waits for a signature. An emergency cannot wait long, and a token
/// that is asked over a network needs a moment.
const DEADLINE: Duration = Duration::from_secs(5);
/// How often a key that is away is looked for.
const EVERY: Duration = Duration::from_secs(1);

/// A way to one key.
pub(crate) trait Way: Send + Sync + 'static {
    /// Signs a message.
    fn sign(&self, to_sign: ToSign<'_>)
    -> impl Future<Output = Result<Signature, Unsigned>> + Send;

    /// Whether the key is there, and would sign.
    fn find(&self) -> impl Future<Output = Result<(), Away>> + Send;

    /// Whether a key that was found is still there, by the cheapest question that reaches it.
    fn look(&self) -> impl Future<Output = Result<(), Away>> + Send {
        self.find()
    }
}

/// A key behind a [`Way`].
pub(crate) struct Keeper<W>(Arc<Inner<W>>);

struct Inner<W> {
    way: W,
    deadline: Duration,
    every: Duration,
    state: Mutex<State>,
}

/// What is known of the key.
#[derive(Default)]
struct State {
    /// Why the key is away, and that a task looks for it. `None` while it answers.
    away: Option<String>,
    /// Signatures that are being made. They tell by themselves if the key does not answer.
    in_flight: usize,
    /// When it was last heard of.
    answered: Option<Instant>,
    /// Whether the last look failed. A keeper that is started anew fails one.
    has_missed: bool,
}

impl State {
    fn found(&mut self) {
        self.away = None;
        self.heard();
    }

    fn heard(&mut self) {
        self.has_missed = false;
        self.answered = Some(Instant::now());
    }

    /// Whether it is worth a look: the key is not known to be away, and nothing else has asked it.
    fn is_idle(&self, every: Duration) -> bool {
        let is_fresh = |at: Instant| at.elapsed() < every;
        self.away.is_none() && self.in_flight == 0 && !self.answered.is_some_and(is_fresh)
    }
}

/// A signature that is being made, also if its caller gives up.
struct InFlight<'a>(&'a Mutex<State>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}

impl<W: Way> Keeper<W> {
    pub(crate) fn new(way: W) -> Self {
        Self::timed(way, DEADLINE, EVERY)
    }

    fn timed(way: W, deadline: Duration, every: Duration) -> Self {
        Self(Arc::new(Inner {
            way,
            deadline,
            every,
            state: Mutex::default(),
        }))
    }
}

impl<W: Way> Elsewhere for Keeper<W> {
    fn sign<'a>(&'a self, to_sign: ToSign<'a>) -> Signing<'a> {
        Box::pin(async move {
            let _in_flight = self.0.begin()?;
            let signed = within(self.0.deadline, self.0.way.sign(to_sign)).await;
            match &signed {
                Err(Unsigned::Away(away)) => self.0.lose(&away.0),
                Ok(_) | Err(Unsigned::Refused(_)) => self.0.state.lock().heard(),
            }
            signed
        })
    }

    fn start(&self) -> Looking<'_> {
        Box::pin(async {
            let found = self.find().await;
            if let Err(away) = &found {
                self.0.lose(&away.0);
            }
            found
        })
    }

    fn find(&self) -> Looking<'_> {
        Box::pin(async {
            within(self.0.deadline, self.0.way.find()).await?;
            // The search in the background ends at its next look.
            self.0.state.lock().found();
            Ok(())
        })
    }

    fn look(&self) -> Looking<'_> {
        Box::pin(async {
            if !self.0.state.lock().is_idle(self.0.every) {
                return Ok(());
            }
            let begun = Instant::now();
            let looked = timeout(self.0.deadline, self.0.way.look()).await;
            if self.0.state.lock().answered.is_some_and(|at| at > begun) {
                // A signature was made meanwhile.
                return Ok(());
            }
            match &looked {
                Ok(Ok(())) => self.0.state.lock().heard(),
                Ok(Err(Away(why))) => self.0.miss(why),
                Err(_) => self.0.lose(&unanswered(self.0.deadline)),
            }
            looked.unwrap_or_else(|_| Err(Away(unanswered(self.0.deadline))))
        })
    }

    fn away(&self) -> Option<String> {
        self.0.state.lock().away.clone()
    }
}

impl<W: Way> Inner<W> {
    /// Begins a signature, unless the key is known to be away: the search goes on in the
    /// background, and no caller waits for it.
    fn begin(&self) -> Result<InFlight<'_>, Away> {
        let mut state = self.state.lock();
        if let Some(why) = &state.away {
            return Err(Away(why.clone()));
        }
        state.in_flight += 1;
        drop(state);
        Ok(InFlight(&self.state))
    }

    /// Notes that a look failed. The key is away if the one before did, too: a keeper that was
    /// started anew between two looks has lost nothing.
    fn miss(self: &Arc<Self>, why: &str) {
        let has_missed = std::mem::replace(&mut self.state.lock().has_missed, true);
        if has_missed {
            self.lose(why);
        }
    }

    /// Notes that the key is away. The first to do so starts the search.
    fn lose(self: &Arc<Self>, why: &str) {
        let was = self.state.lock().away.replace(why.to_owned());
        if was.is_none() {
            tracing::error!(
                cause = why,
                "a CA key does not answer: nothing is signed with it"
            );
            tokio::spawn(search(Arc::downgrade(self)));
        }
    }
}

/// Looks for the key until it is there, or nothing needs it any more.
async fn search<W: Way>(inner: Weak<Inner<W>>) {
    let mut said = String::new();
    loop {
        let Some(inner) = inner.upgrade() else { return };
        match within(inner.deadline, inner.way.find()).await {
            Ok(()) => {
                inner.state.lock().found();
                tracing::info!("the CA key answers again");
                return;
            }
            Err(Away(why)) => {
                if why != said {
                    tracing::error!(cause = why, "a CA key does not answer");
                }
                inner.state.lock().away = Some(why.clone());
                said = why;
            }
        }
        let every = inner.every;
        drop(inner);
        tokio::time::sleep(every).await;
    }
}

/// The answer, within the deadline.
async fn within<T, E: From<Away>>(
    deadline: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let answered = timeout(deadline, answer).await;
    answered.unwrap_or_else(|_| Err(Away(unanswered(deadline)).into()))
}

fn unanswered(deadline: Duration) -> String {
    format!("no answer within {deadline:?}")
}

#[cfg(test)]
mod tests;
