//! A whole dev world on one machine: a loopback OIDC issuer, the daemon, a throw-away sshd, a
//! receiver of webhooks, and a person without a browser.
//!
//! For trying Daypass out and for tests. Everything listens on 127.0.0.1 only, and the people of
//! this world sign in with a password in the world's own folder, so other users of the machine
//! cannot sign in.

mod account;
mod bound;
mod edge;
mod error;
mod files;
mod http;
pub mod issuer;
pub mod person;
mod ports;
mod postgres;
pub mod receiver;
mod replica;
pub mod sshd;
pub mod tour;
pub mod world;

pub(crate) use error::Error;
pub use world::World;

use edge::{now, random_text};
