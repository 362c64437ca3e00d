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
#[allow(unreachable_pub, reason = "each test program uses its own part")]
#[path = "../support/interrupted.rs"]
mod interrupted;
mod load;
mod lost;
mod metrics;
mod modes;
#[allow(
    dead_code,
    unreachable_pub,
    clippy::new_without_default,
    reason = "each test program uses its own part"
)]
#[path = "../support/ports.rs"]
mod ports;
mod process;
mod reload;
mod service;
