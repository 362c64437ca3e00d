//! The tests that need signed tokens and an issuer on loopback. Rows are those of a list of
//! attacks; each is the base token plus one difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod algorithms;
mod binding;
mod claims;
mod keys;
mod known;
mod labels;
mod refreshed;
mod settings;
mod tokens;
mod world;
