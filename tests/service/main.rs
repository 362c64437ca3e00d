//! Every service of the port over the network: TLS, gRPC, plain HTTPS, over a real issuer, policy,
//! store and keys.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests"
)]

mod ca_keys;
mod dead_keepers;
mod issue;
mod observe;
mod open;
mod rates;
mod search;
mod signer;
#[path = "../support/mod.rs"]
mod support;
mod tiles;
