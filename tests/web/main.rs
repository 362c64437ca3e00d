//! The page for approvers, in a real browser: Debian's Chromium, driven by `playwright-core`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod attacks;
mod browser;
mod plain;
mod story;
#[path = "../support/mod.rs"]
mod support;
