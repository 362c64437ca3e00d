//! The generated types of `proto/daypass/v1`.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

tonic::include_proto!("daypass.v1");
