//! The commands as users and scripts run them, against a whole environment.
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

mod admin;
mod asked_before;
mod client;
mod command_line;
mod completions;
mod decisions;
mod emergency;
mod fake_server;
mod false_answers;
mod hosts;
mod keeping;
mod ledger;
mod ledger_key;
mod listing;
mod on_behalf;
mod pasted;
mod policy;
mod proxies;
mod reconcile;
mod replay;
mod requests;
mod restarts;
mod servers;
mod sharing;
mod sign_in;
mod standing;
mod stepup;
mod stopped;
mod trust;
mod witness;
