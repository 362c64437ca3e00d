//! Test fixtures: [`env::TestEnv`] is the world of one test, [`server::TestServer`] its daemon,
//! [`user::TestUser`] a user who is signed in. The other files are parts of these.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test program uses its own part"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::new_ret_no_self,
    clippy::new_without_default,
    reason = "tests"
)]

pub mod accounts;
pub mod agent;
pub mod api;
pub mod authority;
pub mod ca_keys;
pub mod client;
pub mod command;
pub mod decisions;
pub mod env;
pub mod faketime;
pub mod files;
pub mod handover;
pub mod hosts;
pub mod https;
pub mod interrupted;
pub mod issued;
pub mod laptop;
pub mod ledger;
pub mod orders;
pub mod policy;
pub mod ports;
pub mod provider;
pub mod proxy;
pub mod root;
pub mod running;
pub mod security_key;
pub mod server;
pub mod shell;
pub mod signer;
pub mod softhsm;
pub mod ssh;
pub mod user;

/// Unix seconds.
pub fn now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}
