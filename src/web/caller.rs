//! A browser with a session, and its calls of the gRPC handlers. Each call carries the session's ID
//! token, so it passes the same checks as a call from the network.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderMap, request::Parts};
use tonic::{Request, Status, metadata::MetadataMap};

use super::{
    cookies,
    environment::now,
    fault::Fault,
    renewing::{self, NotRenewed},
    sessions::Session,
    site::Site,
    view::{RequestView, Unreadable},
};
use crate::{ledger::state::Verb, operations::requests, proto::v1, server::bearer::ORIGINAL};

/// A browser with a session.
pub(super) struct Caller {
    pub(super) session: Arc<Session>,
    pub(super) site: Arc<Site>,
    /// The caller's address and work, for limits and the log.
    extensions: Extensions,
    cookie: String,
}

/// Reason why there is no caller.
#[derive(Debug)]
pub(super) enum NoCaller {
    /// No session, or its token has expired.
    SignedOut,
    /// A lock ended the session. The text names it.
    Locked(String),
    /// The token has expired, and the provider of this name does not answer to renew it.
    Unavailable(String),
}

impl IntoResponse for NoCaller {
    fn into_response(self) -> Response {
        self.json()
    }
}

impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = NoCaller;

    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Self, NoCaller> {
        let cookie = cookies::value(&parts.headers, cookies::SESSION);
        let cookie = cookie.ok_or(NoCaller::SignedOut)?;
        let session = site.sessions.find(cookie, now());
        let session = session.ok_or(NoCaller::SignedOut)?;
        if let Err(locked) = requests::expect_unlocked(&site.authority, &session.identity) {
            site.sessions.end(cookie);
            return Err(NoCaller::Locked(locked.to_string()));
        }
        let session = renewing::current(site, cookie, session, now()).await;
        let session = session.map_err(|not_renewed| match not_renewed {
            NotRenewed::Over => NoCaller::SignedOut,
            NotRenewed::Unavailable(issuer) => NoCaller::Unavailable(issuer),
        })?;
        let is_auditor = site.authority.policy().may_audit(&session.identity);
        session.is_auditor.store(is_auditor, Ordering::Relaxed);
        Ok(Self {
            session,
            site: Arc::clone(site),
            extensions: parts.extensions.clone(),
            cookie: cookie.to_owned(),
        })
    }
}

impl Caller {
    /// One request.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(super) async fn request(&self, id: u64) -> Result<RequestView, Fault> {
        let request = self.call(v1::GetRequest { id })?;
        let answer = self.ended(self.site.requests.get(request).await)?;
        Ok(RequestView::read(answer)?)
    }

    /// A page of requests, and the token of the next page.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(super) async fn requests(
        &self,
        after: u64,
    ) -> Result<(Vec<RequestView>, Option<u64>), Fault> {
        let request = self.call(v1::ListRequestsRequest {
            all: false,
            page_size: 0,
            page_token: match after {
                0 => String::new(),
                after => after.to_string(),
            },
        })?;
        let answer = self.ended(self.site.requests.list(request).await)?;
        let views = answer.requests.into_iter().map(RequestView::read);
        let views = views.collect::<Result<_, _>>()?;
        Ok((views, answer.next_page_token.parse().ok()))
    }

    /// Sends a decision that the browser signed.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(super) async fn decide(
        &self,
        verb: Verb,
        decision: v1::DecideRequest,
    ) -> Result<RequestView, Fault> {
        let request = self.call(decision)?;
        let api = &self.site.requests;
        let answer = match verb {
            Verb::Approve => api.approve(request).await,
            Verb::Deny => api.deny(request).await,
            Verb::Cancel => api.cancel(request).await,
            Verb::Review => api.review(request).await,
        };
        Ok(RequestView::read(answer?.into_inner())?)
    }

    /// Watches one request, or all.
    ///
    /// # Errors
    /// Returns the server's refusal.
    pub(super) async fn watch(
        &self,
        id: u64,
    ) -> Result<impl tokio_stream::Stream<Item = Result<v1::Request, Status>> + Send + use<>, Fault>
    {
        let request = self.call(v1::WatchRequest { id, beats: true })?;
        self.ended(self.site.requests.watch(request).await)
    }

    /// A call of this person with `message`.
    ///
    /// # Errors
    /// Returns an error if the token cannot be in a header, which no verified one causes.
    pub(super) fn call<T>(&self, message: T) -> Result<Request<T>, Fault> {
        let mut headers = HeaderMap::new();
        let bearer = format!("Bearer {}", self.session.token.as_str());
        let secret = |text: &str| {
            let mut value: http::HeaderValue = text.parse().map_err(|_| Fault::signed_out())?;
            value.set_sensitive(true);
            Ok::<_, Fault>(value)
        };
        let _ = headers.insert(http::header::AUTHORIZATION, secret(&bearer)?);
        if let Some(original) = &self.session.original {
            let _ = headers.insert(ORIGINAL, secret(original)?);
        }
        let metadata = MetadataMap::from_headers(headers);
        Ok(Request::from_parts(
            metadata,
            self.extensions.clone(),
            message,
        ))
    }

    /// Ends the session.
    pub(super) fn end(&self) {
        self.site.sessions.end(&self.cookie);
    }

    /// Ends the session if its token is no longer accepted.
    pub(super) fn ended<T>(&self, answer: Result<tonic::Response<T>, Status>) -> Result<T, Fault> {
        match answer {
            Ok(answer) => Ok(answer.into_inner()),
            Err(status) if status.code() == tonic::Code::Unauthenticated => {
                self.site.sessions.end(&self.cookie);
                Err(Fault::signed_out())
            }
            Err(status) => Err(status.into()),
        }
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        tracing::error!(cause = %unreadable, "a request cannot be shown on the page");
        Self::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "This request cannot be shown here. Use the command line: daypass show ID.",
        )
    }
}
