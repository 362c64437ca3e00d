//! The details of a refusal on the wire: `google.rpc.Status` in `grpc-status-details-bin`, holding a
//! `google.rpc.ErrorInfo` with a stable reason and, where waiting helps, a `google.rpc.RetryInfo`. Pure.
//!
//! Server and client use this one file, so they cannot disagree.

use std::{collections::BTreeMap, time::Duration};

use prost::Message;

/// `ErrorInfo.domain` of every reason of ours.
pub const DOMAIN: &str = "daypass";

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// What a caller's program may act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The stable reason code (`TOKEN_EXPIRED`, `NOT_ALLOWED`, ...).
    pub reason: String,
    /// Further facts by name; never secrets.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before trying again.
    pub retry_after: Option<Duration>,
}

impl Details {
    /// Details that hold a reason and nothing more.
    pub fn new(reason: &str) -> Self {
        Self {
            reason: reason.to_owned(),
            ..Self::default()
        }
    }

    /// Asks the caller to wait.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The gRPC status that carries these details.
    pub fn into_status(self, code: tonic::Code, message: &str) -> tonic::Status {
        let details = Status {
            code: code as i32,
            message: message.to_owned(),
            details: self.into_any(),
        };
        tonic::Status::with_details(code, message, details.encode_to_vec().into())
    }

    /// The details a server of ours put into `status`; none where it came from somewhere else (a proxy, the transport).
    pub fn of(status: &tonic::Status) -> Option<Self> {
        let details = Status::decode(status.details()).ok()?.details;
        let info: ErrorInfo = find(&details, ERROR_INFO)?;
        let retry: Option<RetryInfo> = find(&details, RETRY_INFO);
        (info.domain == DOMAIN).then(|| Self {
            reason: info.reason,
            metadata: info.metadata,
            retry_after: retry
                .and_then(|info| info.retry_delay)
                .and_then(|delay| delay.try_into().ok()),
        })
    }

    fn into_any(self) -> Vec<prost_types::Any> {
        let info = ErrorInfo {
            reason: self.reason,
            domain: DOMAIN.to_owned(),
            metadata: self.metadata,
        };
        let retry = self.retry_after.map(|wait| RetryInfo {
            retry_delay: wait.try_into().ok(),
        });
        std::iter::once(pack(ERROR_INFO, &info))
            .chain(retry.map(|info| pack(RETRY_INFO, &info)))
            .collect()
    }
}

/// `google.rpc.Status` (google/rpc/status.proto).
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// `google.rpc.ErrorInfo` (google/rpc/error_details.proto).
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// `google.rpc.RetryInfo` (google/rpc/error_details.proto).
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

fn pack(type_url: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: type_url.to_owned(),
        value: message.encode_to_vec(),
    }
}

fn find<M: Message + Default>(details: &[prost_types::Any], type_url: &str) -> Option<M> {
    let any = details.iter().find(|any| any.type_url == type_url)?;
    M::decode(any.value.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn details_come_back_as_they_were_sent() {
        let cases = [
            ("a bare reason", Details::new("TOKEN_EXPIRED")),
            (
                "a wait",
                Details::new("RATE_LIMITED").retry_after(Duration::from_millis(1500)),
            ),
            (
                "metadata",
                Details {
                    metadata: [("serial".to_owned(), "7".to_owned())].into(),
                    ..Details::new("CA_UNAVAILABLE")
                },
            ),
        ];
        for (case, details) in cases {
            let status = details.clone().into_status(Code::Unavailable, "try again");
            assert_eq!(status.code(), Code::Unavailable, "{case}");
            assert_eq!(Details::of(&status), Some(details), "{case}");
        }
    }

    #[test]
    fn what_is_not_ours_has_no_details() {
        let foreign = ErrorInfo {
            reason: "NOT_ALLOWED".into(),
            domain: "example.com".into(),
            metadata: BTreeMap::new(),
        };
        let foreign = Status {
            details: vec![pack(ERROR_INFO, &foreign)],
            ..Status::default()
        };
        let cases = [
            ("no details", Vec::new()),
            ("garbage", vec![0xff; 9]),
            ("another domain", foreign.encode_to_vec()),
        ];
        for (case, bytes) in cases {
            let status = tonic::Status::with_details(Code::Unknown, "", bytes.into());
            assert_eq!(Details::of(&status), None, "{case}");
        }
    }
}
