//! The options of a login: the source of the token, the key, the demands on its strength.

use std::{future::Future, path::PathBuf, pin::Pin, time::Duration};

use super::token::Source;
use crate::client::step_up::StepUp;

/// Time a user has to sign in. Kept below the lifetime of a device code, commonly 10 minutes or
/// more.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Opens a URL in a browser, or plays the user in a test. An error ends the login.
pub type Visit =
    Box<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// The source of the ID token.
pub enum Method {
    /// A browser on this machine, which comes back to a loopback port. If the visitor cannot open
    /// it, the login fails.
    Browser(Visit),
    /// A browser on this machine, or if the visitor cannot open one, as [`Method::Paste`].
    Desktop(Visit),
    /// A device code if the issuer supports it, else as [`Method::Paste`], if there is a terminal.
    /// For a machine without a display, or over SSH.
    Either,
    /// A browser on any machine. The user pastes the address where it ends. This keeps the binding
    /// to the key.
    Paste,
    /// A device code, entered in a browser anywhere. Tests and demos give the visitor that enters
    /// it.
    Device(Option<Visit>),
    /// A file or a command.
    Token(Source),
}

/// The options of one login.
pub struct Request {
    /// The source of the token.
    pub method: Method,
    /// `login --key`; none: a fresh key.
    pub key: Option<PathBuf>,
    /// `login --issuer`; none: the only issuer that supports the method.
    pub issuer: Option<String>,
    /// Puts the fresh key into the ssh-agent instead of on disk.
    pub into_agent: bool,
    /// Refuses an issuer that is not on this machine (`--as`).
    pub loopback_only: bool,
    /// Demands on the age and strength of the login. A login that demands anything keeps the
    /// session's key, so that an approved request for that key can still be redeemed.
    pub step_up: StepUp,
}
