//! The page for approvers, in a real browser: Debian's Chromium, driven by `playwright-core`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod access;
mod attacks;
mod audit;
mod browser;
mod clocks;
mod crowd;
mod handover;
mod hosts;
mod links;
mod passkeys;
mod pictures;
mod plain;
mod story;
#[path = "../support/mod.rs"]
mod support;
