//! What runs on a host: `daypass host setup`, `sync` and `doctor` as a user starts them, against a
//! server that can lie, and a real sshd with the files they wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod accepts;
mod again;
mod ca;
mod fake_ca;
mod fake_hosts;
mod host;
#[path = "../support/mod.rs"]
mod support;

mod daemon;
mod doctor;
mod host_ca;
mod kept_keys;
mod known;
mod logins;
mod machines;
mod other_ca;
mod remove;
mod restored;
mod rotation;
mod rsa;
mod scale;
mod setup;
mod sshd;
mod sync;
mod trust;
mod users;
