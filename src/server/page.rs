//! The place of the web page on the port. The page is a module above this one: the daemon passes it
//! in, and it calls the handlers of gRPC.

use std::sync::Arc;

use axum::Router;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    identity::Issuers,
    operations::Authority,
    proto::v1::{self, requests_server::Requests},
};

/// The handlers of `daypass.v1.Requests`, for callers in this process. Their requests need the
/// extensions of the HTTP request that caused them: the address and its work.
pub(crate) type RequestsApi =
    dyn Requests<WatchStream = ReceiverStream<Result<v1::Request, Status>>>;

/// The parts of the server that the page works on.
pub(crate) struct Backend {
    /// For what the page may know without a call: the server's name, and locks.
    pub authority: Arc<Authority>,
    /// Verifies the tokens of sign-ins.
    pub issuers: Issuers,
    /// Every read and every decision.
    pub requests: Arc<RequestsApi>,
    /// A secret that every server of this ledger has, for the page alone.
    pub secret: Vec<u8>,
}

/// The page.
pub(crate) struct Page {
    /// Its address, such as `https://ca.example.com:7443/web`.
    pub url: String,
    /// Makes its routes.
    pub routes: Box<dyn FnOnce(Backend) -> Router + Send>,
}
