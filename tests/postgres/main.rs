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

mod black_hole;
mod ca_keys;
mod clients;
mod cluster;
mod costs;
mod daemons;
mod emergencies;
mod failover;
mod faults;
mod hosts;
mod ledger_key;
mod migrating;
mod network;
mod operator;
mod proxy;
mod readiness;
mod refusals;
mod replicas;
mod signer;
#[path = "../support/mod.rs"]
mod support;
mod testing;
mod traffic;
mod webhooks;
mod wrong_database;
