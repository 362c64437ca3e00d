//! Pages to read: the list of requests, and one request.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State, rejection::PathRejection},
    response::{IntoResponse, Redirect, Response},
};
use http::StatusCode;
use serde::Deserialize;

use super::{
    caller::{Caller, NoCaller},
    environment::now,
    fault::Fault,
    pages,
    site::Site,
    target::Target,
};
use crate::unix_seconds::UnixSeconds;

/// Where a page of the list begins.
#[derive(Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    after: u64,
}

/// Serves the list.
pub(super) async fn list(
    caller: Result<Caller, NoCaller>,
    place: Result<Query<Place>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Requests),
    };
    let after = place.map_or(0, |Query(place)| place.after);
    match caller.requests(after).await {
        Ok((views, next)) => {
            let now = UnixSeconds::from(now());
            pages::list(&caller.session, &views, next, now).into_response()
        }
        Err(fault) => fault_page(&fault, Target::Requests),
    }
}

/// Serves one request.
pub(super) async fn request(
    State(site): State<Arc<Site>>,
    id: Result<Path<u64>, PathRejection>,
    caller: Result<Caller, NoCaller>,
) -> Response {
    let Ok(Path(id)) = id else {
        let fault = Fault::new(StatusCode::NOT_FOUND, "The address names no request.");
        return fault.page();
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Request(id)),
    };
    match caller.request(id).await {
        Ok(view) => {
            let (server, now) = (&site.authority.server_name, UnixSeconds::from(now()));
            pages::request(&caller.session, server, &view, now).into_response()
        }
        Err(fault) => fault_page(&fault, Target::Request(id)),
    }
}

/// A token that was refused needs another sign-in, which leads back.
pub(super) fn fault_page(fault: &Fault, target: Target) -> Response {
    match fault.status {
        StatusCode::UNAUTHORIZED => NoCaller::SignedOut.page(target),
        _ => fault.page(),
    }
}

impl NoCaller {
    /// The answer to a browser that wants a page. A sign-in leads to it.
    pub(super) fn page(&self, target: Target) -> Response {
        match self {
            Self::SignedOut => Redirect::to(&target.sign_in()).into_response(),
            Self::Locked(lock) => locked(lock).page(),
            Self::Unavailable(issuer) => unavailable(issuer).page(),
        }
    }

    /// The answer to the script.
    pub(super) fn json(&self) -> Response {
        match self {
            Self::SignedOut => Fault::signed_out().json(),
            Self::Locked(lock) => locked(lock).json(),
            Self::Unavailable(issuer) => unavailable(issuer).json(),
        }
    }
}

/// The refusal while the provider does not renew the session.
fn unavailable(issuer: &str) -> Fault {
    let text = format!(
        "Your sign-in must be renewed, and the identity provider {issuer} does not answer. Try again in a minute."
    );
    Fault::new(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// The refusal of a person who is locked.
pub(super) fn locked(lock: &str) -> Fault {
    Fault::new(StatusCode::FORBIDDEN, lock)
}
