//! The caller as the server sees them: identity, claims, end of the sign-in, open roles.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use tonic::Status;

use super::{
    Error, clock::now, connect::Server, context::Signed, credentials::authorized,
    server_info::Binding, session::Login,
};
use crate::proto::v1;

/// Bytes of the claims at most. A token has at most 16 KiB.
const LARGEST: usize = 64 * 1024;

/// The server's view of the caller.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WhoAmI {
    /// The issuer's URL.
    pub issuer: String,
    /// The issuer's name in the server's configuration.
    pub issuer_name: String,
    /// The `sub` claim.
    pub subject: String,
    /// A name for people to read.
    pub label: String,
    /// Binding of the sign-in to the login's key.
    pub binding: Binding,
    /// The claims that the policy sees.
    pub claims: Map<String, Value>,
    /// The end of the sign-in, in Unix seconds.
    pub expires: u64,
    /// The server's clock, in Unix seconds.
    pub server_time: u64,
    /// This machine's clock when the answer came, in Unix seconds.
    pub local_time: u64,
    /// The names of the open roles, in the policy's order.
    pub roles: Vec<String>,
}

impl Signed {
    /// Asks the server who the caller is.
    ///
    /// # Errors
    /// Returns the server's refusal, or [`Error::Untrusted`] if it names another identity.
    pub(crate) async fn who_am_i(&self) -> Result<WhoAmI, Error> {
        let answer = ask(&self.server, &self.login).await?;
        let seen = WhoAmI::read(answer, &self.login)?;
        let expires = self.login.until();
        Ok(WhoAmI { expires, ..seen })
    }

    /// The server's clock, in Unix seconds.
    ///
    /// # Errors
    /// As [`Signed::who_am_i`].
    pub(super) async fn server_time(&self) -> Result<u64, Error> {
        Ok(self.who_am_i().await?.server_time)
    }
}

/// Asks the server who the caller with this login is.
///
/// # Errors
/// Returns the server's refusal, with its details.
pub(super) async fn ask(server: &Server, login: &Login) -> Result<v1::WhoAmIResponse, Status> {
    let request = authorized(login, v1::WhoAmIRequest {})
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(server.passes().who_am_i(request).await?.into_inner())
}

impl WhoAmI {
    /// Reads the server's answer.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if it is of another identity, or its claims are invalid.
    pub(super) fn read(answer: v1::WhoAmIResponse, login: &Login) -> Result<Self, Error> {
        let binding = Binding::from(answer.binding());
        if (&answer.issuer, &answer.subject) != (&login.issuer, &login.subject) {
            return Err(Error::Untrusted("it names another identity".to_owned()));
        }
        let claims = Some(answer.claims).filter(|claims| claims.len() <= LARGEST);
        let claims = claims.and_then(|claims| serde_json::from_str(&claims).ok());
        Ok(Self {
            issuer: answer.issuer,
            issuer_name: answer.issuer_name,
            subject: answer.subject,
            label: answer.label,
            binding,
            claims: claims.ok_or_else(|| Error::Untrusted("its claims are invalid".to_owned()))?,
            expires: answer.expires_at,
            server_time: answer.server_time,
            local_time: now(),
            roles: answer.roles,
        })
    }

    /// A sentence about this machine's clock, if it differs from the server's so much that it
    /// matters.
    pub(crate) fn clock_note(&self) -> Option<String> {
        let ahead = self.local_time > self.server_time;
        let difference = self.local_time.abs_diff(self.server_time);
        (difference > TOLERATED).then(|| {
            format!(
                "this machine's clock is {} the server's: correct it, or passes and sign-ins seem to {}",
                offset(self.local_time, self.server_time),
                if ahead { "end too early" } else { "be valid when they have ended" },
            )
        })
    }
}

/// Seconds by which two clocks may differ without a note. Passes begin a minute early.
pub(super) const TOLERATED: u64 = 60;

/// `5m ahead of` or `5m behind`
pub(super) fn offset(clock: u64, other: u64) -> String {
    let length = humantime::format_duration(Duration::from_secs(clock.abs_diff(other)));
    let direction = if clock > other { "ahead of" } else { "behind" };
    format!("{length} {direction}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn answer() -> v1::WhoAmIResponse {
        v1::WhoAmIResponse {
            issuer: "https://id.example.com".into(),
            subject: "alice".into(),
            claims: r#"{"groups":["sre"]}"#.into(),
            binding: v1::Binding::Nonce.into(),
            ..Default::default()
        }
    }

    #[test]
    fn an_answer_about_another_identity_is_refused() {
        assert!(WhoAmI::read(answer(), &Login::sample()).is_ok());
        type Change = fn(&mut v1::WhoAmIResponse);
        let changes: [(&str, Change); 5] = [
            ("another subject", |it| it.subject = "bob".into()),
            ("another issuer", |it| it.issuer = "https://evil".into()),
            ("no object", |it| it.claims = "[]".into()),
            ("no JSON", |it| it.claims = "{".into()),
            ("too large", |it| {
                it.claims = format!("{{\"a\":\"{}\"}}", "x".repeat(LARGEST));
            }),
        ];
        for (case, change) in changes {
            let mut changed = answer();
            change(&mut changed);
            assert!(WhoAmI::read(changed, &Login::sample()).is_err(), "{case}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_said() {
        let mut seen = WhoAmI::read(answer(), &Login::sample()).unwrap();
        for (local, server, says) in [
            (1000, 1000, None),
            (1060, 1000, None),
            (1300, 1000, Some("is 5m ahead of")),
            (1000, 4600, Some("is 1h behind")),
        ] {
            (seen.local_time, seen.server_time) = (local, server);
            let note = seen.clock_note();
            assert_eq!(note.is_some(), says.is_some(), "{local} {server}");
            let note = note.unwrap_or_default();
            assert!(note.contains(says.unwrap_or_default()), "{note}");
        }
    }
}
