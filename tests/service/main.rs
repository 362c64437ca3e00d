//! Every service of the port through its real door: TLS, gRPC, plain HTTPS, over a real issuer, policy, store and keys.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

mod door;
mod issue;
mod open;
mod rates;
