//! A refusal, as a page or as JSON for the script.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde_json::json;
use tonic::{Code, Status};

use super::pages;
use crate::proto::status::Details;

/// A refusal.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) status: StatusCode,
    /// A stable reason code, or empty.
    pub(super) reason: String,
    /// What happened, and what to do.
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: String::new(),
            message: message.into(),
        }
    }

    /// The session is over.
    pub(super) fn signed_out() -> Self {
        let message = "Your sign-in is over. Sign in again.";
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    /// A request that changes something, of another site's page.
    pub(super) fn foreign(origin: &str) -> Self {
        let message = format!("This was not sent by a page of {origin}. Open {origin}/web.");
        Self::new(StatusCode::FORBIDDEN, message)
    }

    /// The refusal as a page.
    pub(super) fn page(&self) -> Response {
        let page = pages::message(&self.title(), &self.message);
        (self.status, page).into_response()
    }

    /// The refusal as JSON.
    pub(super) fn json(&self) -> Response {
        let body = json!({ "reason": self.reason, "message": self.message });
        (self.status, Json(body)).into_response()
    }

    fn title(&self) -> String {
        match self.status {
            StatusCode::NOT_FOUND => "Not found".to_owned(),
            StatusCode::TOO_MANY_REQUESTS => "Too many calls".to_owned(),
            StatusCode::SERVICE_UNAVAILABLE => "Not available now".to_owned(),
            _ => "Refused".to_owned(),
        }
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        let details = Details::of(&status);
        let message = match status.code() {
            Code::NotFound => "There is no such request that you may see.".to_owned(),
            _ => status.message().to_owned(),
        };
        Self {
            status: http_status(status.code()),
            reason: details.map(|it| it.reason).unwrap_or_default(),
            message,
        }
    }
}

fn http_status(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
