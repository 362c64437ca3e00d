//! What the tests over gRPC share.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test program uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

pub mod accounts;
pub mod api;
pub mod command;
pub mod env;
pub mod laptop;
pub mod server;
pub mod user;

/// Unix seconds.
pub fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}
