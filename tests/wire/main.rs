//! The gRPC API as honest and hostile callers use it: what it gives, what it refuses, and what the
//! ledger then holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod denials;
mod emergencies;
mod grants;
mod hosts;
mod incidents;
mod issuers;
mod locks;
mod on_behalf;
mod presence;
mod races;
mod requests;
mod revocation;
mod tokens;
mod webhooks;
