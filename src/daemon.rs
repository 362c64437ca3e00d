//! Wires a configuration into a running daemon, reloads policy and certificate while it runs, and
//! ends it in order.
//!
//! [`start`] does all of it but signals and systemd, so that tests and the dev world run the same
//! code.

mod backup;
mod check;
mod clock;
mod error;
mod evidence;
mod key_watch;
mod migrate;
mod parts;
mod running;
mod served;
mod service;
mod signer;
mod state;
mod systemd;

pub(crate) use backup::{BackupReport, RestoreOptions, back_up, mark_by_hand, restore};
pub(crate) use check::{CheckReport, Purpose, Reach, examine};
pub(crate) use error::{Error, chain};
pub(crate) use migrate::{MoveReport, migrate};
pub(crate) use parts::passphrase;
pub(crate) use parts::summarize;
pub use running::{Reloaded, Running, start, start_with};
pub(crate) use service::{Options, run};
pub(crate) use signer::{Decision, SignerReport, accept_signer, examine_signer, run_signer};
pub use state::prepare;
