//! Signing in on the way: where somebody is there to be asked, a session that has ended, or that a role finds too old or
//! too weak, is renewed and the command goes on.

use super::{
    Failure, Global,
    login::{is_interactive, usual_method},
};
use crate::client::{
    Client, Error,
    login::{Request, StepUp},
};

/// Does `attempt`; where it fails for want of a sign-in, signs in and does it again. Each want is met once: one that
/// comes back is a failure, and so is each where nobody can be asked.
pub(super) async fn renewing<T>(
    client: &Client,
    global: &Global,
    attempt: impl AsyncFn() -> Result<T, Error>,
) -> Result<T, Failure> {
    let (mut signed_in, mut stepped_up) = (false, false);
    loop {
        let seen = client.login().ok().map(|login| login.token_hash());
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let (met, wanted) = match &error {
            Error::SignIn { .. } => (&mut signed_in, StepUp::default()),
            Error::StepUp { wanted, .. } => (&mut stepped_up, wanted.clone()),
            _ => return Err(error.into()),
        };
        if *met || !is_interactive(global) {
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
