//! Server-sent events: a page hears that something has changed, and fetches itself again. No
//! content goes this way.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Query, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::Status;

use super::{
    caller::{Caller, NoCaller},
    fault::Fault,
};
use crate::proto::v1;

/// Changes within this time are one event.
const GATHER: Duration = Duration::from_millis(300);

/// The request to watch. 0: all.
#[derive(Deserialize)]
pub(super) struct Watched {
    #[serde(default)]
    request: u64,
}

/// Streams the news of changes until the token expires or the browser goes.
pub(super) async fn events(
    caller: Result<Caller, NoCaller>,
    watched: Result<Query<Watched>, QueryRejection>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.json(),
    };
    let Ok(Query(Watched { request })) = watched else {
        return Fault::new(StatusCode::BAD_REQUEST, "request is a number").json();
    };
    let changes = match caller.watch(request).await {
        Ok(changes) => changes,
        Err(fault) => return fault.json(),
    };
    // One event that the browser has not taken is enough: the next one says the same.
    let (sender, events) = mpsc::channel(1);
    tokio::spawn(pass_on(changes, sender));
    let events = ReceiverStream::new(events).map(Ok::<_, std::convert::Infallible>);
    let kind = [(CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(events)).into_response()
}

async fn pass_on(
    changes: impl Stream<Item = Result<v1::Request, Status>>,
    sender: mpsc::Sender<Bytes>,
) {
    let mut changes = std::pin::pin!(changes);
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = sender.closed() => return,
        };
        let Some(Ok(change)) = change else {
            return;
        };
        let event = match change.id {
            0 => Bytes::from_static(b"event: beat\ndata: beat\n\n"),
            _ => {
                let until = Instant::now() + GATHER;
                while let Ok(Some(Ok(_))) = timeout_at(until, changes.next()).await {}
                Bytes::from_static(b"data: changed\n\n")
            }
        };
        if sender.send(event).await.is_err() {
            return;
        }
    }
}
