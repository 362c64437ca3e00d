//! The daemon as its operator meets it: made by `daypass init`, started, reloaded, stopped, under
//! systemd's protocols.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod check;
mod forged;
mod init;
mod load;
mod lost;
mod metrics;
mod modes;
mod process;
mod reload;
mod service;
