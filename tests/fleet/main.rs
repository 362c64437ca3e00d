//! A fleet, and the people who use it: the manual's chapters on machines of their own, with
//! networks of both families, ordinary users whose names are no logins, and an identity provider
//! over HTTPS with a private root.
//!
//! Needs root, for namespaces. A test makes its own fleet, which ends with it.
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

mod bastion;
mod chapters;
mod first_contact;
mod first_day;
mod fleet;
mod incident;
mod known_hosts;
mod machine;
mod moved;
mod network;
mod restored;
mod webhooks;
