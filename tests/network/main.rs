//! The accept loop against what networks send: silent and half-open connections, floods of frames,
//! oversize messages. In each case an honest caller stays served, the caps hold, and the server
//! ends only when it is told to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests"
)]

mod balanced;
mod balancer;
mod floods;
mod frames;
mod messages;
mod proxied;
mod silent;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod world;
