//! Wrapper of every gRPC handler: one [`Call`] from its start to its log line. A handler returns
//! its answer or its refusal; the wrapper makes a gRPC response of either.

use tonic::{Request, Response, Status};

use super::{call::Call, services::Services, status::CallError};
use crate::{identity::Identity, operations::attempt::Attempt};

/// Return type of a gRPC method.
pub(super) type Answer<T> = Result<Response<T>, Status>;

impl Services {
    /// Runs a handler that authenticates its caller itself, or that needs no authentication.
    pub(super) async fn answer<M, A>(
        &self,
        method: &'static str,
        request: Request<M>,
        handler: impl AsyncFnOnce(&mut Call, M) -> Result<A, CallError>,
    ) -> Answer<A> {
        let (mut call, message) = Call::open(method, request);
        let outcome = handler(&mut call, message).await;
        call.close(outcome)
    }

    /// Runs a handler whose caller carries an ID token.
    pub(super) async fn answer_known<M, A>(
        &self,
        method: &'static str,
        request: Request<M>,
        handler: impl AsyncFnOnce(&mut Call, Identity, M) -> Result<A, CallError>,
    ) -> Answer<A> {
        let (mut call, message) = Call::open(method, request);
        let outcome = match self.authenticate(&mut call).await {
            Ok(identity) => handler(&mut call, identity, message).await,
            Err(refusal) => Err(refusal),
        };
        call.close(outcome)
    }

    /// Records the refusal of a proven identity, once, and returns it. Returns the store's error
    /// instead if the ledger cannot record it.
    pub(super) async fn recorded(
        &self,
        attempt: Attempt<'_>,
        refusal: CallError,
        detail: &str,
    ) -> CallError {
        let recorded = attempt.refuse(&self.authority, refusal.reason(), detail);
        // Boxed as the rare steps of [`crate::operations::issuance`].
        match Box::pin(recorded).await {
            Ok(()) => refusal,
            Err(error) => error.into(),
        }
    }
}
