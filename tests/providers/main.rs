//! Sign-ins at issuers that imitate the common providers. The configuration of each is the block of
//! the manual's topic `providers`, and its habits are a file of `habits/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod habits;
mod locks;
mod outages;
mod refreshes;
mod renewed;
mod sign_ins;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod watched;
