//! Daypass: an SSH certificate authority. It trades an OIDC identity for a short-lived OpenSSH user
//! certificate, a *pass*. The main story goes on in [`operations`], [`operations::issuance`],
//! [`policy`] and [`ca::draft`].
//!
//! # The pipeline
//!
//! ```text
//! ID token ─identity─▶ KeyHolder ─policy─▶ Grant ─ca─▶ Draft ─store+ledger─▶ Receipt ─ca─▶ pass
//! ```
//!
//! Each stage's output is the next one's input and has no other constructor: skipping a stage does
//! not compile.
//!
//! - [`identity`]: [`identity::Issuers::verify`], or for emergencies
//!   [`identity::emergency::Registry::verify`]; then [`identity::Identity::prove_possession`] makes
//!   an [`identity::KeyHolder`].
//! - [`policy`]: [`policy::Policy::decide`] makes a [`policy::Grant`], or a denial with its reason.
//! - [`ca::draft`]: [`ca::Draft::new`] makes a [`ca::Draft`], everything but serial and signature.
//! - [`store`]: [`store::Store::issue`] makes a [`ledger::Receipt`] by group commit: the event is
//!   durable, and its index is the serial.
//! - [`ca`]: [`ca::Ca::sign`] takes draft and receipt by value, and makes the certificate, linted.
//!
//! **Record, then sign.** The ledger may list a pass that was never delivered. No pass exists that
//! the ledger lacks.
//!
//! # One request, walked through
//!
//! 1. `daypass pass` reads its session (ID token, binding secret, key), signs the message of
//!    [`identity::proof::possession_message`] and calls `Passes.Issue`.
//! 2. [`server`] bounds the connection and rate-limits the address. It verifies the token against
//!    the configured issuer and algorithms, and rate-limits the identity. It parses the subject key
//!    and proves the [`identity::KeyHolder`]: the token's nonce commits to this key, and this key
//!    signed this ask.
//! 3. [`operations::issuance`] asks the policy. A denial is appended to the ledger, and the caller
//!    gets its stable reason code ([`reason`]).
//! 4. A grant becomes a [`ca::Draft`]. [`store`]'s single writer gives it the next index as its
//!    serial, appends the `issued` event with the hash of the bytes to be signed, commits, and
//!    returns a receipt.
//! 5. [`ca::Ca::sign`] rebuilds these bytes, compares the hash, signs, lints, and verifies.
//! 6. The client checks that the certificate is for its key, by a CA key that it trusts, and grants
//!    what it asked for and what the server listed of the role. It writes it to a file or the
//!    agent.
//!
//! # Invariants
//!
//! Each has a test that fails when it is broken.
//!
//! 1. No pass without a committed event; one event per pass; its index is the serial, never 0.
//! 2. A grant is within every restriction that applied to it.
//! 3. No pass for a key whose possession was not proven, nor for a token bound to another key.
//! 4. A refused ask of a proven identity leaves exactly one event and no pass. No token, secret or
//!    private key is ever in a log, an event, an argument list or a `Debug` output.
//! 5. Every signed certificate was linted: canonical, every option in its section, principals and
//!    key id within the grammar, size bounded, signature verified with the configured CA key.
//! 6. One unforked ledger, through kill -9, a full disk and fsync errors.
//! 7. An invalid configuration or policy is refused with its line. The running one stays.
//!
//! # Modules
//!
//! | floor | modules |
//! |---|---|
//! | formats, pure | [`ssh`], [`proto`] (wire), [`reason`], [`mod@reference`], [`unix_seconds`] |
//! | | [`finding`]: results of checks; `os_error`: what the system says of a file |
//! | rules | [`identity`] (fetches issuers' keys), [`policy`], [`ledger`], [`ca`]: pure |
//! | I/O | [`store`] (database), [`notify`] (webhooks), [`modes`] (files), [`outbound`] (TLS), |
//! | | `keepers` (CA keys in an ssh-agent, a token or a signer) |
//! | | `file_lock`: locks between commands, which name their holder |
//! | | `ticks`: work that is done again and again |
//! | the CA | [`operations`] (verbs), [`server`] (network), `web` (the page for approvers) |
//! | | `signer` (a CA key that demands proof of the record), [`config`], [`daemon`] (wiring) |
//! | other sides | [`client`] (a user's files and agent), [`host`] (a host's files) |
//! | programs | [`cli`] (commands), [`dev`] (a whole installation on one machine) |
//!
//! `tests/architecture` holds each module to its imports.

pub mod ca;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
#[cfg(feature = "deliberate-bugs")]
mod deliberate;
pub mod dev;
mod file_lock;
mod finding;
pub mod host;
pub mod identity;
mod keepers;
pub mod ledger;
pub mod modes;
pub mod notify;
pub mod operations;
mod os_error;
pub mod outbound;
pub mod policy;
pub mod proto;
pub mod reason;
mod reference;
pub mod server;
mod signer;
pub mod ssh;
pub mod store;
mod ticks;
pub mod unix_seconds;
mod web;
