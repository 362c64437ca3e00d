//! The whole world on one machine: a loopback OIDC issuer, the daemon, a throw-away sshd, a receiver of webhooks, and a person without a browser.
//!
//! For trying Daypass out and for tests. Everything listens on 127.0.0.1 only, and the people of this world sign in with a
//! password that lies in the world's own folder: another user of the machine is not one of them.

mod account;
mod files;
pub mod issuer;
pub mod person;
mod ports;
pub mod receiver;
pub mod sshd;
pub mod tour;
pub mod world;

pub use world::World;

use std::{io, path::PathBuf};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{RngCore, rngs::OsRng};
use time::OffsetDateTime;

/// Why a part of the world does not start or does not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the world's folder.
    #[error("failed to {doing} {}", path.display())]
    File {
        /// What was tried: "write", "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A socket or a process of ours.
    #[error("failed to {0}")]
    System(&'static str, #[source] io::Error),
    /// A key could not be made.
    #[error("failed to make a key: {0}")]
    Key(&'static str),
    /// Two worlds cannot share a folder.
    #[error("another world runs in {}: stop it, or name another folder", .0.display())]
    Taken(PathBuf),
    /// The daemon does not start or had failed.
    #[error("failed to {0} the daemon")]
    Daemon(
        &'static str,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
    /// A path of the world cannot stand in an ssh configuration.
    #[error("failed to write ssh_config")]
    Ssh(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The headless person got stuck.
    #[error("failed to sign in: {0}")]
    Person(String),
}

/// Where this module reads the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the issuer of a dev world is an edge: it stamps its tokens with the time"
)]
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// 128 random bits as text that is safe in URLs and file names.
fn random_text() -> String {
    let mut bytes = [0; 16];
    OsRng.fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
