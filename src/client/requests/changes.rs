//! Changes of requests, over as many watches as it takes. One watch ends with the token that it was
//! opened with, and when the server restarts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Status, Streaming};

use super::{RequestView, State};
use crate::{
    client::{Client, Error, Signed, clock::now, credentials::authorized},
    proto::v1,
};

/// Time for which a server that went away is tried again, if the caller names no other. After that
/// the user is told that it is away.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between the end of a watch and the next one.
const PAUSE: Duration = Duration::from_secs(1);
/// A watch that lasts shorter ended early. A server that ends many at once is not asked for ever.
const SHORT: Duration = Duration::from_secs(5);
/// Watches that may end early one after the other.
const MOST_SHORT: u32 = 8;
/// Silence after which a server that sends beats hangs, or is no longer reached.
const SILENCE: Duration = Duration::from_secs(12);
/// Requests whose last change is remembered, and that are looked up after a restart.
const REMEMBERED: usize = 500;

/// A stream of changes of requests, as they happen.
pub(crate) struct Changes<'a> {
    client: &'a Client,
    id: u64,
    stream: Streaming<v1::Request>,
    begun: Instant,
    /// Time of the last beat; none from a server that sends none.
    beat: Option<Instant>,
    /// Watches that ended early since the last that did not.
    short: u32,
    told: Told,
    /// Changes that came while no watch was open.
    missed: Vec<RequestView>,
    /// Time for which a server that went away is tried again.
    patience: Duration,
    is_away: Arc<AtomicBool>,
}

impl Client {
    /// Watches one request, or with `id` 0 all requests that this identity may see.
    ///
    /// # Errors
    /// Returns the server's refusal, and the errors of [`Client::signed_in`].
    pub(crate) async fn watch(&self, id: u64) -> Result<Changes<'_>, Error> {
        Ok(Changes {
            client: self,
            id,
            stream: open(&self.signed_in().await?, id).await?,
            begun: Instant::now(),
            beat: None,
            short: 0,
            told: Told::default(),
            missed: Vec::new(),
            patience: PATIENCE,
            is_away: Arc::default(),
        })
    }
}

impl Changes<'_> {
    /// The same, if a server that goes away is tried again for so long.
    pub(super) fn tried_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether the server is away for longer than it needs to start again.
    pub(super) fn is_away(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_away)
    }

    /// The next change. A dropped call may lose one.
    ///
    /// # Errors
    /// Returns [`Error::SignIn`] if the sign-in ended and cannot be renewed,
    /// [`Error::Unreachable`] if the server stays away, and [`Error::Untrusted`] if it sends an
    /// invalid request.
    pub(crate) async fn next(&mut self) -> Result<RequestView, Error> {
        loop {
            let view = match self.missed.pop() {
                Some(view) => view,
                None => match self.message().await {
                    Ok(Some(beat)) if beat == v1::Request::default() => continue,
                    Ok(Some(request)) => RequestView::read(request)?,
                    Ok(None) => {
                        self.resume(ended(self.client)).await?;
                        continue;
                    }
                    Err(error @ (Error::Unreachable { .. } | Error::SignIn { .. })) => {
                        self.resume(error).await?;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
            };
            if self.told.take_in(&view) {
                return Ok(view);
            }
        }
    }

    /// The next message. A call that is dropped and made again waits no longer for a silent server.
    async fn message(&mut self) -> Result<Option<v1::Request>, Error> {
        let message = self.stream.message();
        let message = match self.beat {
            None => message.await,
            Some(beat) => timeout_at(beat + SILENCE, message)
                .await
                .unwrap_or_else(|_| Err(Status::unavailable("the server went silent"))),
        };
        let message = message?;
        let is_beat = message.as_ref() == Some(&v1::Request::default());
        if is_beat || self.beat.is_some() {
            self.beat = Some(Instant::now());
        }
        Ok(message)
    }

    /// Opens another watch, after one that ended by `error`.
    async fn resume(&mut self, error: Error) -> Result<(), Error> {
        self.short = match self.begun.elapsed() < SHORT {
            true => self.short + 1,
            false => 0,
        };
        if self.short > MOST_SHORT {
            return Err(error);
        }
        let gone = Instant::now();
        loop {
            sleep(PAUSE).await;
            match self.reopen().await {
                Err(Error::Unreachable { .. }) if gone.elapsed() < self.patience => {
                    self.is_away.store(gone.elapsed() >= PATIENCE, Relaxed);
                }
                done => {
                    self.is_away.store(false, Relaxed);
                    return done;
                }
            }
        }
    }

    async fn reopen(&mut self) -> Result<(), Error> {
        let signed = self.client.signed_in().await?;
        self.stream = open(&signed, self.id).await?;
        self.begun = Instant::now();
        self.beat = None;
        // A watch begins with what is open: a request that ended meanwhile is not in it.
        if self.id == 0 {
            let (views, _) = signed.requests(true, REMEMBERED).await?;
            self.missed = views;
            self.missed.retain(|view| self.told.knows(view.id));
        }
        Ok(())
    }
}

/// The last change of each request that was told, by id.
#[derive(Default)]
struct Told(BTreeMap<u64, (State, usize)>);

impl Told {
    fn knows(&self, id: u64) -> bool {
        self.0.contains_key(&id)
    }

    /// Remembers a state. Returns whether it is another one than the last: each watch begins with
    /// what was told before.
    fn take_in(&mut self, view: &RequestView) -> bool {
        let new = (view.state, view.decisions.len());
        if self
            .0
            .get(&view.id)
            .is_some_and(|last| *last == new || last.1 > new.1)
        {
            return false;
        }
        if self.0.len() >= REMEMBERED && !self.knows(view.id) {
            self.0.pop_first();
        }
        self.0.insert(view.id, new);
        true
    }
}

async fn open(signed: &Signed, id: u64) -> Result<Streaming<v1::Request>, Error> {
    let request = authorized(&signed.login, v1::WatchRequest { id, beats: true })?;
    Ok(signed.server.requests().watch(request).await?.into_inner())
}

/// Reason why the server ended the watch: the login expired, or the server stops.
fn ended(client: &Client) -> Error {
    match client.login() {
        Ok(login) if login.expires > now() => {
            let server = client.address();
            let server =
                server.map_or_else(|_| "the server".to_owned(), |it| it.as_str().to_owned());
            Error::unreachable(&server, "it ended the watch; run the command again")
        }
        Ok(_) | Err(_) => Error::sign_in("your sign-in ended while the request waits"),
    }
}
