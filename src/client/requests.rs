//! Requests: ask for somebody else's yes, wait for it, give it. What a decision signs is computed from the very bytes
//! that were shown, never from what the server says about them.

mod seen;

use std::time::Duration;

use tokio::time::{Instant, interval, sleep_until};
use tonic::Streaming;

use super::{Error, Signed, choose::Wish, connect::authorized, key::Key, now};
use crate::{
    ledger::{approval, standing::Verb},
    proto::v1,
};

pub use crate::proto::v1::request::State;
pub use seen::{Page, Seen};

/// How often whoever waits sees the clock move.
const BEAT: Duration = Duration::from_secs(1);

/// Changes of requests, as they happen.
pub struct Changes(Streaming<v1::Request>);

impl Changes {
    /// The next change; none where the server ended the stream. Nothing is lost where it is dropped half way.
    ///
    /// # Errors
    /// Where the connection breaks, or the server sends what is no request.
    pub async fn next(&mut self) -> Result<Option<Seen>, Error> {
        self.0.message().await?.map(Seen::read).transpose()
    }
}

impl Signed {
    /// Opens a request for `wish`, whose role is named.
    ///
    /// # Errors
    /// [`Error::Denied`] where the policy refuses, or the role needs nobody's approval.
    pub async fn open_request(&self, wish: &Wish, key: &Key) -> Result<Seen, Error> {
        let ask = wish.ask(wish.role.as_deref().unwrap_or_default());
        let request = self.prove(ask, key).await?;
        Seen::read(self.server.requests().open(request).await?.into_inner())
    }

    /// One request.
    ///
    /// # Errors
    /// As the server answers; [`Error::Untrusted`] where that is another request.
    pub async fn request(&self, id: u64) -> Result<Seen, Error> {
        let request = authorized(&self.login.token, v1::GetRequest { id })?;
        let answer = self.server.requests().get(request).await?.into_inner();
        Seen::read(answer)?.which_is(id)
    }

    /// The first `limit` requests that this identity opened or may decide, those that ended lately too if `all`; and whether
    /// there are more.
    ///
    /// # Errors
    /// As the server answers; [`Error::Untrusted`] if it gives the same page again.
    pub async fn requests(&self, all: bool, limit: usize) -> Result<(Vec<Seen>, bool), Error> {
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let left = limit.saturating_sub(seen.len());
            let request = v1::ListRequestsRequest {
                all,
                page_size: u32::try_from(left).unwrap_or(u32::MAX),
                page_token: page_token.clone(),
            };
            let request = authorized(&self.login.token, request)?;
            let answer = self.server.requests().list(request).await?.into_inner();
            for request in answer.requests {
                seen.push(Seen::read(request)?);
            }
            // A server that knows no pages answers with all of them.
            let is_more = seen.len() > limit || !answer.next_page_token.is_empty();
            if seen.len() >= limit || !is_more {
                seen.truncate(limit);
                return Ok((seen, is_more));
            }
            if answer.next_page_token == page_token {
                return Err(Error::Untrusted(
                    "the server gives the same page of requests again".to_owned(),
                ));
            }
            page_token = answer.next_page_token;
        }
    }

    /// Each change of one request, or of all that this identity may see where `id` is 0.
    ///
    /// # Errors
    /// As the server answers.
    pub async fn watch(&self, id: u64) -> Result<Changes, Error> {
        let request = authorized(&self.login.token, v1::WatchRequest { id })?;
        let changes = self.server.requests().watch(request).await?.into_inner();
        Ok(Changes(changes))
    }

    /// Signs a decision about what was `seen`, and sends it.
    ///
    /// # Errors
    /// [`Error::Denied`] where it does not count.
    pub async fn decide(
        &self,
        seen: &Seen,
        verb: Verb,
        comment: &str,
        key: &Key,
    ) -> Result<Seen, Error> {
        let message = approval::Message {
            verb,
            server_name: &self.trust.server_name,
            issuer: &self.login.issuer,
            subject: &self.login.subject,
            digest: &seen.digest,
            comment,
        };
        let request = v1::DecideRequest {
            id: seen.id,
            public_key: super::key::public_line(&key.public())?
                .trim_end()
                .to_owned(),
            binding_secret: self.login.secret()?,
            signature: key
                .sign_for(approval::NAMESPACE, &message.to_bytes())
                .await?,
            comment: comment.to_owned(),
        };
        let request = authorized(&self.login.token, request)?;
        let mut requests = self.server.requests();
        let answer = match verb {
            Verb::Approve => requests.approve(request).await,
            Verb::Deny => requests.deny(request).await,
            Verb::Cancel => requests.cancel(request).await,
            Verb::Review => requests.review(request).await,
        };
        Seen::read(answer?.into_inner())?.which_is(seen.id)
    }

    /// Waits until a request is approved, at most for `limit`; `beat` is told every second, and at each change, how
    /// it stands and how many seconds are left.
    ///
    /// # Errors
    /// [`Error::Denied`] where it ended otherwise; [`Error::Pending`] and [`Error::TimedOut`] where time did.
    pub async fn wait(
        &self,
        id: u64,
        limit: Duration,
        mut beat: impl FnMut(&Seen, u64),
    ) -> Result<(), Error> {
        let mut seen = self.request(id).await?;
        let ends = now().saturating_add(limit.as_secs()).min(seen.expires_at);
        let deadline = Instant::now() + limit.min(LONGEST);
        let (mut changes, mut clock) = (self.watch(id).await?, interval(BEAT));
        while !seen.is_approved()? {
            beat(&seen, ends.saturating_sub(now()));
            tokio::select! {
                change = changes.next() => match change? {
                    Some(change) => seen = change.which_is(id)?,
                    None => return Err(self.ended()),
                },
                _ = clock.tick() => {}
                () = sleep_until(deadline) => return Err(Error::Pending { id }),
            }
        }
        Ok(())
    }

    /// The server ends a watch with its caller's token, or with itself.
    fn ended(&self) -> Error {
        if self.login.expires <= now() {
            return Error::sign_in("your sign-in ended while the request waits");
        }
        Error::unreachable(self.server.address.as_str(), "it ended the watch")
    }
}

/// No request waits for longer, and no clock counts much further.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
