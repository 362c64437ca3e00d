//! Programs that keep a CA key: an ssh-agent ([`agent`]), a PKCS#11 token ([`pkcs11`]), `daypass
//! signer` ([`signer`]).
//!
//! A [`Keeper`] bounds each signature by a deadline, remembers whether the key answered, and asks
//! again by itself until it does. Whether a signature is good is for [`crate::ca`] to say: it
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
use tokio::time::timeout;

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

    /// Whether the key is there.
    fn find(&self) -> impl Future<Output = Result<(), Away>> + Send;
}

/// A key behind a [`Way`].
pub(crate) struct Keeper<W>(Arc<Inner<W>>);

struct Inner<W> {
    way: W,
    deadline: Duration,
    every: Duration,
    /// Why the key is away, and that a task looks for it. `None` while it answers.
    away: Mutex<Option<String>>,
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
            away: Mutex::new(None),
        }))
    }
}

impl<W: Way> Elsewhere for Keeper<W> {
    fn sign<'a>(&'a self, to_sign: ToSign<'a>) -> Signing<'a> {
        Box::pin(async move {
            // The search goes on in the background: no caller waits for it.
            if let Some(why) = self.away() {
                return Err(Away(why).into());
            }
            let signed = within(self.0.deadline, self.0.way.sign(to_sign)).await;
            if let Err(Unsigned::Away(away)) = &signed {
                self.0.lose(&away.0);
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
            *self.0.away.lock() = None;
            Ok(())
        })
    }

    fn away(&self) -> Option<String> {
        self.0.away.lock().clone()
    }
}

impl<W: Way> Inner<W> {
    /// Notes that the key is away. The first to do so starts the search.
    fn lose(self: &Arc<Self>, why: &str) {
        let was = self.away.lock().replace(why.to_owned());
        if was.is_none() {
            tracing::error!(
                cause = why,
                "a CA key does not answer: nothing is signed with it"
            );
            tokio::spawn(look(Arc::downgrade(self)));
        }
    }
}

/// Looks for the key until it is there, or nothing needs it any more.
async fn look<W: Way>(inner: Weak<Inner<W>>) {
    let mut said = String::new();
    loop {
        let Some(inner) = inner.upgrade() else { return };
        match within(inner.deadline, inner.way.find()).await {
            Ok(()) => {
                *inner.away.lock() = None;
                tracing::info!("the CA key answers again");
                return;
            }
            Err(Away(why)) => {
                if why != said {
                    tracing::error!(cause = why, "a CA key does not answer");
                }
                *inner.away.lock() = Some(why.clone());
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
    answered.unwrap_or_else(|_| Err(Away(format!("no answer within {deadline:?}")).into()))
}

#[cfg(test)]
mod tests;
