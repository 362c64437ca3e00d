//! Isolates each request: a panic or timeout ends that request only.

use std::{
    convert::Infallible,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use tokio::time::timeout;
use tonic::Code;

use super::lines::LOG;
use crate::{proto::status::Details, reason};

/// Time after which the client of an ended request should try again. The budget ends the oldest
/// requests, so a request that arrives whole by then is served.
const RETRY: Duration = Duration::from_secs(1);

/// Returns the call's answer, or an error answer if the call panicked or ran longer than `within`.
pub(super) async fn isolation<F>(within: Duration, is_grpc: bool, call: F) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    match timeout(within, caught(call)).await {
        Ok(Some(Ok(response))) => response,
        Ok(None) => {
            metrics::counter!("daypass_panics_total").increment(1);
            if LOG.admit("PANIC") {
                tracing::error!("a handler panicked; the call was answered INTERNAL");
            }
            sorry(
                is_grpc,
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Internal,
                reason::INTERNAL,
            )
        }
        Err(_) => sorry(
            is_grpc,
            StatusCode::SERVICE_UNAVAILABLE,
            Code::DeadlineExceeded,
            reason::TIMEOUT,
        ),
    }
}

/// Answer to a request that the budget ended: unfinished, its caller unknown, its memory needed by
/// others.
pub(super) fn exhausted(is_grpc: bool) -> Response<Body> {
    sorry(
        is_grpc,
        StatusCode::SERVICE_UNAVAILABLE,
        Code::ResourceExhausted,
        reason::RATE_LIMITED,
    )
}

/// Tells whether the caller reads a gRPC status, not an HTTP status.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Returns the future's output, or `None` if it panicked. Then its state is dropped and never
/// polled again.
async fn caught<F: Future>(call: F) -> Option<F::Output> {
    let mut call = pin!(call);
    poll_fn(
        move |context| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        },
    )
    .await
}

fn sorry(is_grpc: bool, plain: StatusCode, code: Code, reason: &str) -> Response<Body> {
    if is_grpc {
        let mut details = Details::new(reason);
        details.retry_after = (code == Code::ResourceExhausted).then_some(RETRY);
        let words = match details.retry_after {
            Some(_) => "too many calls are unfinished: try again",
            None => "the server could not finish this call",
        };
        return details.into_status(code, words).into_http();
    }
    let mut response = Response::new(Body::from("the server could not finish this request\n"));
    *response.status_mut() = plain;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
