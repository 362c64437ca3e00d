//! A machine under a real systemd: units, socket activation, timer, journal and the Debian package.
//!
//! `systemd-nspawn` boots this machine's own systemd over its own files, whose changes stay in
//! memory. So a machine is up after a second or two, and nothing is fetched. Needs root.
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

mod chapters;
mod company;
mod logins;
mod machine;
mod package;
mod service;
mod signer;
mod upgrade;
