//! Signs in again while a command runs, if the session has expired, or if a role wants a newer or
//! stronger sign-in. Needs a terminal.

use super::{
    Failure, Global,
    login::{is_interactive, usual_method},
};
use crate::client::{
    Client, Error,
    error::Remedy,
    login::{Request, StepUp},
};

/// Runs `attempt` as [`renewing_if`], and asks if a user is there.
///
/// # Errors
/// As [`renewing_if`].
pub(super) async fn renewing<T>(
    client: &Client,
    global: &Global,
    attempt: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Failure> {
    renewing_if(is_interactive(global), client, attempt).await
}

/// Runs `attempt`. If it fails for lack of a sign-in and the user may be asked, signs in and runs
/// it again, at most once for an expired session and once for a weak one.
///
/// # Errors
/// Returns the error of `attempt` if a sign-in would not help, did not help, or cannot be asked
/// for.
pub(super) async fn renewing_if<T>(
    may_ask: bool,
    client: &Client,
    attempt: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Failure> {
    let (mut signed_in, mut stepped_up) = (false, false);
    loop {
        let seen = client.login().ok().map(|login| login.token_hash());
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let (met, wanted) = match error.remedy() {
            Remedy::SignIn => (&mut signed_in, StepUp::default()),
            Remedy::StepUp(wanted) => (&mut stepped_up, wanted.clone()),
            Remedy::Access | Remedy::None => return Err(error.into()),
        };
        if *met || !may_ask {
            return Err(error.into());
        }
        *met = true;
        client.say(&format!("daypass: {error}"));
        client.sign_in_once(&request(wanted), seen).await?;
    }
}

fn request(step_up: StepUp) -> Request {
    Request {
        method: usual_method(),
        key: None,
        issuer: None,
        into_agent: false,
        loopback_only: false,
        step_up,
    }
}
