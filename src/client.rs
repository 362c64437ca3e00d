//! The user's side: sign in, get passes, keep them, verify the ledger. Owns the user's files and
//! talks to the agent.
//!
//! A command is a method of [`Client`]; `cli` prints its result. Nothing here decides about access,
//! and nothing that the server says is used unchecked: [`pass`] checks a pass before it is written,
//! [`witness`] the ledger's checkpoint.
//!
//! The map:
//!
//! | files | for |
//! |---|---|
//! | [`context`] | [`Client`] and [`Signed`]: settings, state folder, connection |
//! | [`connect`], `roots`, [`server_info`] | the server: TLS, its description |
//! | [`witness`], `ledger_keys`, `restored`, `proofs` | its checkpoint |
//! | [`follow`] | an independent witness of it |
//! | [`servers`] | several servers: which one a command is for |
//! | [`login`], [`session`], [`key`], [`agent`] | the login and its key |
//! | [`obtain`], `ask`, [`choose`], [`pass`], [`cache`] | a pass: its role, the check, the files |
//! | [`ssh`], [`jump`], [`host_config`], [`ssh_config`] | `ssh` with a pass |
//! | `standing` | locks, and which passes on disk are revoked |
//! | [`requests`], `requested`, [`emergency`] | approval by others, and what it is used for |
//! | [`admin`], `access`, [`audit`], [`inspect`] | locks, the ledger, one certificate |
//! | [`state`], `writable`, `words`, `logins` | files, and what may stand on a command line |

pub(crate) mod accepting;
mod access;
pub(crate) mod admin;
pub(crate) mod agent;
mod ask;
mod asking;
pub(crate) mod audit;
pub(crate) mod ca_keys;
pub(crate) mod cache;
mod carried;
pub mod choose;
mod clock;
pub(crate) mod connect;
pub(crate) mod context;
mod credentials;
pub(crate) mod emergency;
pub(crate) mod error;
pub(crate) mod follow;
pub(crate) mod host_config;
pub(crate) mod hosts;
pub(crate) mod in_turn;
pub(crate) mod inspect;
pub(crate) mod jump;
pub(crate) mod jump_host;
pub(crate) mod key;
mod key_text;
pub(crate) mod known_hosts;
mod ledger_keys;
pub mod login;
pub(crate) mod logins;
pub(crate) mod obtain;
pub(crate) mod offered;
pub(crate) mod on_behalf;
pub(crate) mod pass;
pub(crate) mod presence;
mod proofs;
mod requested;
pub(crate) mod requests;
mod restored;
mod revoked_hosts;
mod roots;
pub(crate) mod search;
pub(crate) mod server_info;
pub(crate) mod servers;
pub(crate) mod session;
pub(crate) mod ssh;
pub(crate) mod ssh_config;
pub(crate) mod standing;
pub(crate) mod state;
pub(crate) mod step_up;
pub(crate) mod who_am_i;
pub(crate) mod witness;
pub(crate) mod words;
mod writable;

pub(crate) use clock::{now, now_milliseconds};
pub use context::{Client, Say, Settings, Signed};
pub use error::Error;
