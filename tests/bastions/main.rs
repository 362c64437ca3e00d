//! Passes through a bastion: what the server answers and the ledger tells, what the commands make
//! of it, and what real sshds in networks of their own let through.
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

mod answers;
mod commands;
mod lan;
mod network;

use support::{command::Terminal, env::TestEnv};

/// An environment with this policy, and the terminal at which alice has signed in.
async fn start(policy: &str) -> (TestEnv, Terminal) {
    let env = TestEnv::with_policy(policy).await;
    let alice = env.own_terminal();
    alice.sign_in("alice").await;
    (env, alice)
}
