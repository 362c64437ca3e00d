//! Requests: open one, wait for its approval, decide one.
//!
//! A decision signs the hash of the request's event, computed from the bytes that the user was
//! shown, never from what the server says about them.

mod changes;
mod view;

use std::{pin::pin, sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    Client, Error, Signed, choose::PassRequest, clock::now, credentials::authorized,
    emergency::Signer, key::Key, key_text::public_text,
};
use crate::{
    ledger::{approval, state::Verb},
    proto::v1,
    ssh::sshsig::Namespace,
    ticks::ticks,
};

pub(crate) use crate::ledger::content::RequestContent;
pub(crate) use crate::proto::v1::request::State;
pub(crate) use view::RequestView;

/// Interval at which a waiting command shows the time that is left.
const BEAT: Duration = Duration::from_secs(1);

/// A decision that is to be signed.
#[derive(Clone, Copy)]
pub(crate) struct Decision<'a> {
    pub verb: Verb,
    pub comment: &'a str,
    /// The key that shows the user's presence, if the role demands it.
    pub presence: Option<&'a Signer>,
}

impl Signed {
    /// Opens a request for `pass_request`, which names its role.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy refuses, or the role needs no approval.
    pub(crate) async fn open_request(
        &self,
        pass_request: &PassRequest,
        key: &Key,
    ) -> Result<RequestView, Error> {
        let ask = pass_request.ask(pass_request.role.as_deref().unwrap_or_default());
        let request = self.prove(ask, key).await?;
        RequestView::read(self.server.requests().open(request).await?.into_inner())
    }

    /// Fetches one request.
    ///
    /// # Errors
    /// Returns the server's refusal, and [`Error::Untrusted`] if it answers with another request.
    pub(crate) async fn request(&self, id: u64) -> Result<RequestView, Error> {
        let request = authorized(&self.login, v1::GetRequest { id })?;
        let answer = self.server.requests().get(request).await?.into_inner();
        RequestView::read(answer)?.which_is(id)
    }

    /// Lists the first `limit` requests that this identity opened or may decide, with `all` also
    /// those that ended lately. The flag says whether there are more.
    ///
    /// # Errors
    /// Returns the server's refusal, and [`Error::Untrusted`] if it sends the same page again.
    pub(crate) async fn requests(
        &self,
        all: bool,
        limit: usize,
    ) -> Result<(Vec<RequestView>, bool), Error> {
        let (mut view, mut page_token) = (Vec::new(), String::new());
        loop {
            let left = limit.saturating_sub(view.len());
            let request = v1::ListRequestsRequest {
                all,
                page_size: u32::try_from(left).unwrap_or(u32::MAX),
                page_token: page_token.clone(),
            };
            let request = authorized(&self.login, request)?;
            let answer = self.server.requests().list(request).await?.into_inner();
            for request in answer.requests {
                view.push(RequestView::read(request)?);
            }
            // A server without pages sends all requests at once.
            let is_more = view.len() > limit || !answer.next_page_token.is_empty();
            if view.len() >= limit || !is_more {
                view.truncate(limit);
                self.remember_requests(&view);
                return Ok((view, is_more));
            }
            if answer.next_page_token == page_token {
                return Err(Error::Untrusted(
                    "it sends the same page of requests again".to_owned(),
                ));
            }
            page_token = answer.next_page_token;
        }
    }

    /// Signs a decision about the request that the user was shown, and sends it.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the decision does not count.
    pub(crate) async fn decide(
        &self,
        view: &RequestView,
        decision: Decision<'_>,
        key: &Key,
    ) -> Result<RequestView, Error> {
        let Decision { verb, comment, .. } = decision;
        let message = approval::Message {
            verb,
            server_name: &self.server_info.server_name,
            issuer: &self.login.issuer,
            subject: &self.login.subject,
            digest: &view.digest,
            comment,
        };
        let message = message.to_bytes();
        let proof = v1::KeyProof {
            signature: key.sign_for(Namespace::Approve, &message).await?,
            public_key: public_text(&key.public())?,
            binding_secret: self.login.secret()?,
        };
        let presence_signature = match decision.presence {
            Some(signer) => signer.sign(Namespace::Approve, &message).await?,
            None => String::new(),
        };
        let request = v1::DecideRequest {
            id: view.id,
            comment: comment.to_owned(),
            proof: Some(proof),
            presence_signature,
        };
        let request = authorized(&self.login, request)?;
        let mut requests = self.server.requests();
        let answer = match verb {
            Verb::Approve => requests.approve(request).await,
            Verb::Deny => requests.deny(request).await,
            Verb::Cancel => requests.cancel(request).await,
            Verb::Review => requests.review(request).await,
        };
        let decided = RequestView::read(answer?.into_inner())?.which_is(view.id)?;
        self.remember_decided(view.id);
        Ok(decided)
    }
}

impl Client {
    /// Waits until a request is approved, at most for `limit`. Calls `beat` every second and at
    /// each change, with the request, the seconds that are left, and whether the server is away. A
    /// server that goes away is tried again until then.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the request was denied or withdrawn, [`Error::TimedOut`] if it
    /// expired, and [`Error::Pending`] if `limit` passed.
    pub(crate) async fn wait(
        &self,
        id: u64,
        limit: Duration,
        mut beat: impl FnMut(&RequestView, u64, bool),
    ) -> Result<(), Error> {
        let mut view = self.signed_in().await?.request(id).await?;
        let last = now().saturating_add(limit.as_secs());
        let ends = last.min(view.expires_at.get());
        let limit = limit.min(LONGEST);
        let deadline = Instant::now() + limit;
        let mut changes = self.watch(id).await?.tried_for(limit);
        let (is_away, mut clock) = (changes.is_away(), ticks(BEAT));
        while !view.is_approved()? {
            let mut change = pin!(changes.next());
            view = loop {
                beat(&view, ends.saturating_sub(now()), is_away.load(Relaxed));
                tokio::select! {
                    change = &mut change => break change?.which_is(id)?,
                    // The time that was shown has run out, also while this machine slept.
                    _ = clock.tick() => if now() > last {
                        return Err(Error::Pending { id });
                    },
                    () = sleep_until(deadline) => return Err(Error::Pending { id }),
                }
            };
        }
        Ok(())
    }
}

/// Upper bound of `limit`: no request waits longer than a year, and `Instant` may overflow with
/// much more.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
