//! Signing in: a key, a commitment to it, and an ID token that carries the commitment.
//!
//! [`Client::sign_in`] chooses the issuer, makes the commitment and gets the token in one of three
//! ways: `browser` (authorization code with PKCE, here or elsewhere), `device` (device codes) or
//! `token` (a file or a command). The token's claims are read here to show who signed in, and to
//! report early what the server would refuse. They prove nothing: the server verifies the token.
//!
//! [`Client::sign_in`]: super::Client::sign_in

mod browser;
mod callback;
mod claims;
mod commitment;
mod device;
mod issuers;
mod logout;
mod oidc;
mod outside;
mod paste;
mod pending;
mod provider;
mod redirect;
mod refresh;
mod refused;
mod renewal;
mod request;
mod sign_in;
mod token;
mod turn;

pub use request::{Method, Request, Visit};
pub(crate) use token::{Source, read_file as read_token_file};

pub use super::step_up::StepUp;
