//! The place of the web page on the port. The page is a module above this one: the daemon passes it
//! in, and it calls the handlers of gRPC.

use std::sync::Arc;

use axum::Router;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    identity::Issuers,
    operations::Authority,
    proto::v1::{
        self, admin_server::Admin, hosts_server::Hosts, ledger_server::Ledger,
        passes_server::Passes, requests_server::Requests, trust_server::Trust,
    },
};

/// The handlers of `daypass.v1.Requests`, for callers in this process. Their requests need the
/// extensions of the HTTP request that caused them: the address and its work.
pub(crate) type RequestsApi =
    dyn Requests<WatchStream = ReceiverStream<Result<v1::Request, Status>>>;

/// The handlers of `daypass.v1.Ledger`, as [`RequestsApi`].
pub(crate) type LedgerApi =
    dyn Ledger<ExportStream = ReceiverStream<Result<v1::ExportResponse, Status>>>;

/// The parts of the server that the page works on.
pub(crate) struct Backend {
    /// For what the page may know without a call: the server's name, and locks.
    pub authority: Arc<Authority>,
    /// Verifies the tokens of sign-ins.
    pub issuers: Issuers,
    /// Every read and every decision about requests.
    pub requests: Arc<RequestsApi>,
    /// The caller's roles and passes, and the lock on themself.
    pub passes: Arc<dyn Passes>,
    /// The ledger, for those who may read it.
    pub ledger: Arc<LedgerApi>,
    /// The locks in force.
    pub admin: Arc<dyn Admin>,
    /// The known hosts.
    pub hosts: Arc<dyn Hosts>,
    /// The ledger's verifier key.
    pub trust: Arc<dyn Trust>,
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
