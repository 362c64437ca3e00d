//! The server's refusal of a fresh sign-in, in words that say what to do. Pure.

use tonic::{Code, Status};

use super::claims::Claims;
use crate::{
    client::{
        Error,
        server_info::Issuer,
        who_am_i::{TOLERATED, offset},
    },
    proto::status::{Details, SERVER_TIME},
    reason,
    unix_seconds::moment,
};

/// Circumstances of a refused sign-in.
pub(super) struct Refused<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) claims: &'a Claims,
    /// This machine's clock.
    pub(super) now: u64,
    /// Whether the provider made the token just now, and not some time ago.
    pub(super) is_fresh: bool,
}

/// Tells a refusal of the token from other failures of the call, which say nothing about it.
pub(super) fn is_of_token(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
}

impl Refused<'_> {
    /// The refusal of the token, explained.
    pub(super) fn explain(&self, status: &Status) -> Error {
        let details = Details::of(status).unwrap_or_default();
        let message = status.message().trim().trim_end_matches('.');
        let advice = match details.reason.as_str() {
            reason::TOKEN_EXPIRED | reason::TOKEN_NOT_YET_VALID => self.times(&details),
            code => self.advice(code),
        };
        Error::Denied {
            message: format!("the server refuses this sign-in: {message}. {advice}"),
            reason: details.reason,
        }
    }

    fn advice(&self, code: &str) -> String {
        let Issuer {
            name, client_id, ..
        } = self.issuer;
        match code {
            reason::TOKEN_AUDIENCE => format!(
                "The token is for {:?}. The server's operators can compare that with client_id ({client_id:?}) and \
                 audiences of the issuer {name} in their configuration",
                self.claims.audiences().join(", ")
            ),
            reason::TOKEN_OVERAGE => format!(
                "The administrators of the provider {name} can let it send only the groups that are assigned to this \
                 application"
            ),
            reason::TOKEN_KEY => {
                "If the provider changed its keys just now, try again in a minute; else tell the \
                 server's operators"
                    .to_owned()
            }
            reason::TOKEN_ALGORITHM => format!(
                "The server's operators can add the provider's algorithm to `algorithms` of the issuer {name}"
            ),
            _ => format!(
                "Signing in again will not help: tell the server's operators, with the name of the issuer ({name})"
            ),
        }
    }

    /// What three clocks say: the server's, this machine's, and the provider's when it made the
    /// token. The one that differs from both others is wrong.
    fn times(&self, details: &Details) -> String {
        let server = details.metadata.get(SERVER_TIME);
        let Some(server) = server.and_then(|text| text.parse::<u64>().ok()) else {
            return format!("This machine's clock says {}", moment(self.now));
        };
        let Some(issued) = self.claims.issued() else {
            return format!(
                "The server's clock says {}, this machine's {}",
                moment(server),
                moment(self.now)
            );
        };
        let clocks = format!(
            "The token is valid from {} to {}; the server's clock says {}, this machine's {}",
            moment(issued),
            moment(self.claims.expires),
            moment(server),
            moment(self.now)
        );
        format!("{clocks}. {}", self.verdict(issued, server))
    }

    fn verdict(&self, issued: u64, server: u64) -> String {
        let near = |a: u64, b: u64| a.abs_diff(b) <= TOLERATED;
        match (near(server, self.now), near(issued, self.now)) {
            (true, _) if !self.is_fresh && issued <= server => "Get a fresh token".to_owned(),
            (true, _) => format!(
                "The provider's clock is {} the server's: tell its operators",
                offset(issued, server)
            ),
            (false, true) => format!(
                "The server's clock is {} this machine's and the provider's: tell its operators",
                offset(server, self.now)
            ),
            (false, false) => format!(
                "This machine's clock is {} the server's: correct it if it is wrong, then try again",
                offset(self.now, server)
            ),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;
    use crate::client::login::claims::issuer;

    fn claims(issued: u64) -> Claims {
        let claims = json!({"iss": "https://id", "sub": "alice", "aud": "other", "exp": issued + 300, "iat": issued});
        let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
        Claims::read(&format!("e30.{payload}.c2ln")).unwrap()
    }

    fn refusal(code: &str, server: u64) -> Status {
        let mut details = Details::new(code);
        details
            .metadata
            .insert(SERVER_TIME.to_owned(), server.to_string());
        details.into_status(Code::Unauthenticated, "check the token: no.")
    }

    #[test]
    fn a_refusal_for_its_times_names_the_clock_that_is_wrong() {
        let noon = 1_800_000_000;
        for (case, issued, server, now, is_fresh, says) in [
            (
                "a slow provider",
                noon - 3600,
                noon,
                noon,
                true,
                "The provider's clock is 1h behind the server's",
            ),
            (
                "a fast provider",
                noon + 600,
                noon,
                noon,
                true,
                "The provider's clock is 10m ahead of the server's",
            ),
            (
                "a fast server",
                noon,
                noon + 7200,
                noon,
                true,
                "The server's clock is 2h ahead of this machine's",
            ),
            (
                "a slow server",
                noon,
                noon - 120,
                noon + 5,
                true,
                "The server's clock is 2m 5s behind this machine's",
            ),
            (
                "three clocks",
                noon,
                noon - 600,
                noon + 600,
                true,
                "This machine's clock is 20m ahead of the server's",
            ),
            (
                "an old token",
                noon - 3600,
                noon,
                noon,
                false,
                "Get a fresh token",
            ),
        ] {
            let claims = claims(issued);
            let issuer = issuer(crate::client::server_info::Binding::Nonce, false);
            let refused = Refused {
                issuer: &issuer,
                claims: &claims,
                now,
                is_fresh,
            };
            let error = refused.explain(&refusal(reason::TOKEN_EXPIRED, server));
            let text = error.to_string();
            assert!(text.contains(says), "{case}: {text}");
            assert_eq!(error.exit_code(), 3, "{case}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let claims = claims(0);
        let issuer = issuer(crate::client::server_info::Binding::Nonce, false);
        let refused = Refused {
            issuer: &issuer,
            claims: &claims,
            now: 0,
            is_fresh: true,
        };
        for (code, says) in [
            (reason::TOKEN_AUDIENCE, "client_id"),
            (reason::TOKEN_OVERAGE, "groups that are assigned"),
            (reason::TOKEN_KEY, "in a minute"),
            (reason::TOKEN_ALGORITHM, "`algorithms`"),
            (reason::TOKEN_CLAIMS, "tell the server's operators"),
            ("", "tell the server's operators"),
        ] {
            let text = refused.explain(&refusal(code, 0)).to_string();
            assert!(text.contains(says), "{code}: {text}");
        }
    }
}
