//! Daypass: an SSH certificate authority that trades an OIDC identity for a short-lived OpenSSH user certificate, a *pass*.
//!
//! # The pipeline
//!
//! ```text
//! ID token ──identity──▶ Holder ──policy──▶ Grant ──ca──▶ Draft ──store+ledger──▶ Receipt ──ca──▶ pass
//! ```
//!
//! Each stage's output is the next one's input and has no other constructor, so skipping a stage does not compile:
//!
//! | stage | the only way in | what comes out |
//! |---|---|---|
//! | [`identity`] | [`identity::Issuers::verify`] over a compact ID token (or, while the issuer is down, [`identity::emergency::Registry::verify`] over registered keys' signatures), then [`identity::Identity::hold`] over a signature by the subject key | [`identity::KeyHolder`] |
//! | [`policy`] | [`policy::Policy::decide`] | [`policy::Grant`], or a denial with its reason |
//! | [`ca::draft`] | [`ca::Draft::new`] | [`ca::Draft`]: everything but serial and signature |
//! | [`store`] | [`store::Store::issue`], one commit for whoever waits | [`ledger::Receipt`]: the event is durable, the serial is its index |
//! | [`ca`] | [`ca::Ca::sign`], which takes draft and receipt by value | the certificate, linted and verified |
//!
//! **Record, then sign.** The ledger may list a pass that was never delivered; no pass exists that the ledger lacks.
//!
//! # One request, walked through
//!
//! 1. `daypass pass` reads its session (ID token, binding secret, key), signs the possession message
//!    ([`identity::proof::possession_message`]) and calls `Passes.Issue`.
//! 2. [`server`]'s accept loop has bounded the connection; the handler takes a place in the address's rate limit, verifies the
//!    token against the *configured* issuer and algorithms, takes a place in the identity's rate limit, parses the subject
//!    key, and has the [`identity::KeyHolder`] proven: the token's nonce commits to this key, and this key signed this ask.
//! 3. [`operations::issuance`] asks the policy. A denial is appended to the ledger and answered with its stable reason code.
//! 4. A grant becomes a [`ca::Draft`]. [`store`]'s single writer gives it the next index as its serial, appends the `issued`
//!    event with the hash of the exact bytes to be signed, commits (with everyone else who waited), and answers a receipt.
//! 5. [`ca::Ca::sign`] rebuilds those bytes, compares the hash, signs, lints the result and verifies the signature.
//! 6. The client checks that the certificate is for its key, by a CA key it trusts, and writes it to disk or the agent.
//!
//! # Invariants
//!
//! Each has a test that breaks when it breaks.
//!
//! 1. No pass without a committed event; one event per pass; serials unique, non-zero, equal to the ledger index.
//! 2. A grant is within every restriction that applied to it.
//! 3. No pass for a key whose possession was not proven, nor for a token bound to another key.
//! 4. A refused ask of a proven identity leaves exactly one event and no pass. No token, secret or private key is ever in a
//!    log, an event, an argument list or a `Debug` output.
//! 5. What is signed was linted: parsed back, canonical, every option in its section, principals and key id within the
//!    grammar, size bounded, CA signature verified with the configured key.
//! 6. One unforked ledger, through kill -9, a full disk and fsync errors.
//! 7. A bad configuration or policy is refused with its line; the running one stays.
//!
//! # Rooms
//!
//! [`identity`], [`policy`], [`ledger`] and most of [`ca`] are pure: no clock, no randomness, no I/O. [`store`] owns the
//! database, [`notify`] tells webhooks what the ledger has, [`server`] owns the network, [`client`] the user's files and agent, [`host`] a host's, [`notify`] the way to webhooks. [`operations`] lists what this CA does.
//! [`config`] and [`daemon`] wire it; [`cli`] prints; [`dev`] is the whole world on one machine.
//! `tests/architecture` holds every module to its imports.

pub mod ca;
pub mod cli;
pub mod client;
pub mod config;
pub mod daemon;
pub mod dev;
pub mod host;
pub mod identity;
pub mod ledger;
pub mod modes;
pub mod notify;
pub mod operations;
pub mod policy;
pub mod proto;
pub mod reason;
pub mod server;
pub mod ssh;
pub mod store;
pub mod unix_seconds;
