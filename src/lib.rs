//! Daypass: an SSH certificate authority. (The map is written at the end.)
pub mod ca;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod dev;
pub mod identity;
pub mod ledger;
pub mod operations;
pub mod policy;
pub mod proto;
pub mod server;
pub mod store;
