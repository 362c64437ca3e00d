//! One call, from its start to its one log line: time, address, identity and outcome. A token's
//! text is never logged. Of calls without a proven identity, a few lines per second are written,
//! and then the number of the rest.

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use super::{
    bearer::{unverified_bearer, unverified_original},
    environment::now,
    limiter::Network,
    lines::{LOG, causes},
    peer::Peer,
    status::CallError,
    work::Work,
};
use crate::{
    identity::{Error, Identity},
    policy::Context,
};

/// Call in progress. If it is dropped without [`Call::close`], its caller gave it up or its handler
/// panicked.
pub(super) struct Call {
    method: &'static str,
    now: OffsetDateTime,
    started: Instant,
    peer: Option<Peer>,
    work: Option<Arc<Work>>,
    metadata: MetadataMap,
    issuer: String,
    subject: String,
    serial: Option<u64>,
    is_proven: bool,
    is_closed: bool,
}

impl Call {
    /// Reads the clock, and splits the request into the call and its message.
    pub(super) fn open<T>(method: &'static str, request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        let peer = extensions.get::<Peer>().copied();
        let call = Self {
            method,
            now: now(),
            started: Instant::now(),
            peer,
            work: extensions.get::<Arc<Work>>().cloned(),
            metadata,
            issuer: String::new(),
            subject: String::new(),
            serial: None,
            is_proven: false,
            is_closed: false,
        };
        (call, message)
    }

    /// Time at which the call started.
    pub(super) fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// Returns a clock for work that outlives the call.
    pub(super) fn clock(&self) -> impl Fn() -> OffsetDateTime + Send + use<> {
        let (now, started) = (self.now, self.started);
        move || now + started.elapsed()
    }

    /// Facts for the policy's evaluation: the time and the caller's address.
    pub(super) fn context(&self) -> Context {
        Context {
            now: self.now,
            caller: self.peer.and_then(Peer::caller),
        }
    }

    /// Network by which calls are rate-limited.
    pub(super) fn network(&self) -> Option<Network> {
        self.peer.map(|peer| Network::of(peer.ip()))
    }

    /// Returns the bearer token. Nothing about it is verified.
    pub(super) fn bearer(&self) -> Result<&str, Error> {
        unverified_bearer(&self.metadata)
    }

    /// Returns the original token of a renewed sign-in. Nothing about it is verified.
    pub(super) fn original(&self) -> Result<Option<&str>, Error> {
        unverified_original(&self.metadata)
    }

    /// Tells whether the call carries a token, valid or not.
    pub(super) fn has_token(&self) -> bool {
        self.metadata.contains_key("authorization")
    }

    /// Notes the identity for the log.
    pub(super) fn identify(&mut self, identity: &Identity) {
        identity.issuer().clone_into(&mut self.issuer);
        identity.subject().clone_into(&mut self.subject);
    }

    /// Marks the caller as proven and within its rate. From here on, memory is charged to the
    /// identity and not to the address.
    pub(super) fn prove(&mut self) {
        self.is_proven = true;
        if let Some(work) = &self.work {
            work.prove();
        }
    }

    /// Notes the issued pass for the log.
    pub(super) fn issued(&mut self, serial: u64) {
        self.serial = Some(serial);
    }

    /// Logs and counts the outcome, and returns it as a gRPC response.
    pub(super) fn close<T>(mut self, outcome: Result<T, CallError>) -> Result<Response<T>, Status> {
        self.is_closed = true;
        match outcome {
            Ok(message) => {
                self.record("OK", None);
                Ok(Response::new(message))
            }
            Err(refusal) => {
                self.record(refusal.reason(), Some(&refusal));
                Err(refusal.to_status_at(self.now))
            }
        }
    }

    fn record(&self, code: &'static str, refusal: Option<&CallError>) {
        let took = self.started.elapsed();
        count(self.method, code, refusal, took);
        // Calls of proven identities need no bound here: their rates bound the lines.
        if !self.is_proven && !LOG.admit(code) {
            return;
        }
        let cause = refusal.map(|it| causes(it)).unwrap_or_default();
        let peer = self
            .peer
            .map(|peer| peer.ip().to_string())
            .unwrap_or_default();
        let is_ours = refusal.is_some_and(CallError::is_ours);
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    method = self.method,
                    code,
                    issuer = self.issuer,
                    subject = self.subject,
                    peer,
                    serial = self.serial,
                    micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                    cause,
                    "call"
                )
            };
        }
        if is_ours {
            line!(tracing::Level::ERROR);
        } else {
            line!(tracing::Level::INFO);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.is_closed {
            self.record("ABANDONED", None);
        }
    }
}

fn count(method: &'static str, code: &'static str, refusal: Option<&CallError>, took: Duration) {
    // The reason of a refusal has a counter of its own: with each method, there would be thousands.
    let outcome = refusal.map_or(code, CallError::outcome);
    metrics::counter!("daypass_calls_total", "method" => method, "code" => outcome).increment(1);
    metrics::histogram!("daypass_call_seconds", "method" => method).record(took.as_secs_f64());
    match refusal {
        None => {
            if ["Passes/Issue", "Passes/IssueFor"].contains(&method) && code == "OK" {
                metrics::counter!("daypass_passes_total").increment(1);
            }
        }
        Some(CallError::Identity(_)) => {
            metrics::counter!("daypass_token_refusals_total", "reason" => code).increment(1);
        }
        Some(CallError::Operation(_) | CallError::SubjectKey(_) | CallError::Malformed(_)) => {
            metrics::counter!("daypass_denials_total", "reason" => code).increment(1);
        }
        Some(CallError::RateLimited(_)) => {
            metrics::counter!("daypass_rate_limited_total").increment(1);
        }
        Some(
            CallError::TooManyWatches(_)
            | CallError::WatchEnded
            | CallError::Randomness(_)
            | CallError::Encoding(_),
        ) => (),
    }
}
