//! Replicas of one ledger on a real PostgreSQL: what they share, what they refuse, and what happens
//! when a replica, a connection or the server is lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod clients;
mod cluster;
mod daemons;
mod emergencies;
mod failover;
mod faults;
mod migrating;
mod operator;
mod proxy;
mod refusals;
mod replicas;
#[path = "../support/mod.rs"]
mod support;
mod testing;
mod webhooks;
