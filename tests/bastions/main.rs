//! Passes through a bastion: what the door answers and the ledger tells, what the commands make of it, and what real
//! sshds in networks of their own let through.
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

mod commands;
mod desk;
mod door;
mod lan;
mod network;
