//! The details of a refusal on the wire, by Google's error model: `google.rpc.Status` in
//! `grpc-status-details-bin`. It holds an `ErrorInfo` with a stable reason code, a `RetryInfo` if
//! waiting helps, and a `BadRequest` if a field is at fault. Pure.
//!
//! Server and client use this one file, so they cannot disagree.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `ErrorInfo.domain` of every reason code of Daypass.
pub(crate) const DOMAIN: &str = "daypass";

/// Name in [`Details::metadata`] of the server's clock, in Unix seconds. It is there if the server
/// refused a token for its times.
pub(crate) const SERVER_TIME: &str = "server_time";

/// Details on which a caller's program may act.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// A reason code of [`crate::reason`].
    pub reason: String,
    /// Further facts by name; never secrets.
    pub metadata: BTreeMap<String, String>,
    /// Time to wait before trying again.
    pub retry_after: Option<Duration>,
    /// The field of the request that is at fault.
    pub field: Option<Field>,
}

/// A field of a request that is missing or invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the request message.
    pub name: String,
    /// Description of the problem.
    pub problem: String,
}

impl Details {
    /// Details that hold a reason code only.
    pub(crate) fn new(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            ..Self::default()
        }
    }

    /// The gRPC status that carries these details.
    pub(crate) fn into_status(self, code: Code, message: &str) -> Status {
        let metadata: HashMap<_, _> = self.metadata.into_iter().collect();
        let mut details = ErrorDetails::with_error_info(self.reason, DOMAIN, metadata);
        if let Some(wait) = self.retry_after {
            details.set_retry_info(Some(wait));
        }
        if let Some(field) = self.field {
            details.add_bad_request_violation(field.name, field.problem);
        }
        Status::with_error_details(code, message, details)
    }

    /// The details that a Daypass server put into `status`. `None` if the status came from
    /// elsewhere (a proxy, the transport).
    pub fn of(status: &Status) -> Option<Self> {
        let details = status.check_error_details().ok()?;
        let info = details.error_info().filter(|info| info.domain == DOMAIN)?;
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        let field = violations.and_then(|violations| violations.first());
        Some(Self {
            reason: info.reason.clone(),
            metadata: info.metadata.clone().into_iter().collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            field: field.map(|field| Field {
                name: field.field.clone(),
                problem: field.description.clone(),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::reason;
    use base64::{Engine, prelude::BASE64_STANDARD};

    #[test]
    fn details_come_back_as_they_were_sent() {
        let cases = [
            ("a bare reason", Details::new(reason::TOKEN_EXPIRED)),
            (
                "a wait",
                Details {
                    retry_after: Some(Duration::from_millis(1500)),
                    ..Details::new(reason::RATE_LIMITED)
                },
            ),
            (
                "metadata",
                Details {
                    metadata: [("serial".to_owned(), "7".to_owned())].into(),
                    ..Details::new(reason::CA_UNAVAILABLE)
                },
            ),
            (
                "a field",
                Details {
                    field: Some(Field {
                        name: "role".to_owned(),
                        problem: "is missing".to_owned(),
                    }),
                    ..Details::new(reason::ASK_MALFORMED)
                },
            ),
        ];
        for (case, details) in cases {
            let status = details.clone().into_status(Code::Unavailable, "try again");
            assert_eq!(status.code(), Code::Unavailable, "{case}");
            assert_eq!(Details::of(&status), Some(details), "{case}");
        }
    }

    const GOLDEN: &str = "CAgSCXRyeSBhZ2FpbhpQCih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMu\
        RXJyb3JJbmZvEiQKDFJBVEVfTElNSVRFRBIHZGF5cGFzcxoLCgZzZXJpYWwSATca\
        NgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggI\
        ARCAyrXuAQ==";

    /// The bytes that Daypass sent before it used `tonic-types`: older clients read the same.
    #[test]
    fn the_encoding_stays_as_it_was() {
        let details = Details {
            metadata: [("serial".to_owned(), "7".to_owned())].into(),
            retry_after: Some(Duration::from_millis(1500)),
            ..Details::new(reason::RATE_LIMITED)
        };
        let status = details.into_status(Code::ResourceExhausted, "try again");
        let mut kept = BASE64_STANDARD.decode(GOLDEN).unwrap();
        let mut sent = status.details().to_vec();
        // The order of the details is free.
        kept.sort_unstable();
        sent.sort_unstable();
        assert_eq!(sent, kept);
    }

    #[test]
    fn details_of_another_server_are_not_read() {
        let metadata = HashMap::<String, String>::new();
        let foreign = ErrorDetails::with_error_info(reason::NOT_ALLOWED, "example.com", metadata);
        let foreign = Status::with_error_details(Code::Unknown, "", foreign);
        let cases = [
            ("no details", Vec::new()),
            ("garbage", vec![0xff; 9]),
            ("another domain", foreign.details().to_vec()),
        ];
        for (case, bytes) in cases {
            let status = Status::with_details(Code::Unknown, "", bytes.into());
            assert_eq!(Details::of(&status), None, "{case}");
        }
    }
}
