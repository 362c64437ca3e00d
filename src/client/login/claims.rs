//! The claims of an ID token, unverified: for messages, and to refuse early what the server would
//! refuse. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::{
    client::{
        Error,
        server_info::{Binding, Issuer},
    },
    identity::proof,
};

/// Bytes of a token at most: the server's own limit.
const LARGEST: usize = 16 * 1024;

/// Unverified claims.
#[derive(Debug)]
pub(super) struct Claims {
    /// `iss`.
    pub(super) issuer: String,
    /// `sub`.
    pub(super) subject: String,
    /// The verified e-mail, else the subject.
    pub(super) label: String,
    /// `exp`, Unix seconds.
    pub(super) expires: u64,
    /// `iat`, Unix seconds.
    issued: Option<u64>,
    nonce: Option<String>,
    audiences: Vec<String>,
}

impl Claims {
    /// `iat`, Unix seconds; none if the token has none.
    pub(super) fn issued(&self) -> Option<u64> {
        self.issued
    }

    /// `aud`.
    pub(super) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Reads a compact token. Errors do not repeat its text.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the text is not an ID token.
    pub(super) fn read(unverified_jwt: &str) -> Result<Self, Error> {
        parse(unverified_jwt).ok_or_else(|| {
            Error::Usage(
                "invalid ID token: it must be a compact JWT with iss, sub, aud and exp".to_owned(),
            )
        })
    }

    /// Claims of a token of this issuer, for the unit tests of this module.
    #[cfg(test)]
    pub(super) fn of_issuer(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            subject: "ci".to_owned(),
            label: "ci".to_owned(),
            expires: 0,
            issued: None,
            nonce: None,
            audiences: Vec::new(),
        }
    }

    /// Checks that the token is of `issuer`. The server judges its times: this machine's clock may
    /// be wrong.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if it is not.
    pub(super) fn check(&self, issuer: &Issuer) -> Result<(), Error> {
        if self.issuer != issuer.url {
            return Err(Error::Usage(format!(
                "the token is from {}, not from {}: choose its issuer with --issuer",
                self.issuer, issuer.url
            )));
        }
        Ok(())
    }

    /// Whether the token is bound to `commitment`.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if the issuer binds its tokens and this one is bound to something
    /// else, or not at all.
    pub(super) fn is_bound(&self, issuer: &Issuer, commitment: &str) -> Result<bool, Error> {
        let wrong = |what: &str| {
            Error::Usage(format!(
                "the token is not bound to this login's key: {what}; see --token-command and --print-audience in: \
                 daypass login --help"
            ))
        };
        match (issuer.binding, &self.nonce) {
            (Binding::None, _) => Ok(false),
            (Binding::Nonce, Some(nonce)) if nonce == commitment => Ok(true),
            (Binding::Nonce, Some(_)) => Err(wrong("its nonce is of another login")),
            (Binding::Nonce, None) if issuer.device_flow => Ok(false),
            (Binding::Nonce, None) => Err(wrong("it has no nonce")),
            (Binding::Audience, _) => {
                let expected = proof::bound_audience(&issuer.audience, commitment);
                if self.audiences == [expected.as_str()] {
                    Ok(true)
                } else {
                    Err(wrong(&format!("its audience should be {expected}")))
                }
            }
        }
    }
}

fn parse(unverified_jwt: &str) -> Option<Claims> {
    if unverified_jwt.len() > LARGEST {
        return None;
    }
    let mut parts = unverified_jwt.split('.');
    let payload = parts.nth(1)?;
    (parts.next().is_some() && parts.next().is_none()).then_some(())?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let subject = text("sub")?;
    let is_verified = claims.get("email_verified") == Some(&Value::Bool(true));
    let audiences = match claims.get("aud")? {
        Value::String(audience) => vec![audience.clone()],
        Value::Array(all) => all
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => return None,
    };
    Some(Claims {
        issuer: text("iss")?,
        label: text("email")
            .filter(|_| is_verified)
            .unwrap_or_else(|| subject.clone()),
        subject,
        expires: claims.get("exp")?.as_u64()?,
        issued: claims.get("iat").and_then(Value::as_u64),
        nonce: text("nonce"),
        audiences,
    })
}

/// An issuer for the unit tests of this module.
#[cfg(test)]
pub(super) fn issuer(binding: Binding, device_flow: bool) -> Issuer {
    Issuer {
        name: "corp".into(),
        url: "https://id".into(),
        client_id: "daypass".into(),
        audience: "daypass".into(),
        scopes: Vec::new(),
        binding,
        device_flow,
        interactive: true,
        ..Issuer::from(crate::proto::v1::get_trust_response::Issuer::default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn base() -> Value {
        json!({"iss": "https://id", "sub": "alice", "aud": "daypass", "exp": 10, "nonce": "right"})
    }

    #[test]
    fn only_a_verified_email_is_a_label() {
        for (verified, label) in [
            (json!(true), "a@x"),
            (json!("true"), "alice"),
            (json!(null), "alice"),
        ] {
            let mut claims = base();
            claims["email"] = json!("a@x");
            claims["email_verified"] = verified;
            assert_eq!(Claims::read(&token(&claims)).unwrap().label, label);
        }
    }

    #[test]
    fn the_binding_is_checked_before_anything_is_sent() {
        let bound_audience = json!("daypass#right");
        let cases = [
            (
                "the right nonce",
                Binding::Nonce,
                false,
                json!("right"),
                json!("daypass"),
                Some(true),
            ),
            (
                "another nonce",
                Binding::Nonce,
                true,
                json!("wrong"),
                json!("daypass"),
                None,
            ),
            (
                "no nonce",
                Binding::Nonce,
                false,
                json!(null),
                json!("daypass"),
                None,
            ),
            (
                "no nonce, from an issuer with device codes",
                Binding::Nonce,
                true,
                json!(null),
                json!("daypass"),
                Some(false),
            ),
            (
                "an issuer that binds nothing",
                Binding::None,
                false,
                json!("x"),
                json!("daypass"),
                Some(false),
            ),
            (
                "the right audience",
                Binding::Audience,
                false,
                json!(null),
                bound_audience.clone(),
                Some(true),
            ),
            (
                "a bare audience",
                Binding::Audience,
                false,
                json!(null),
                json!("daypass"),
                None,
            ),
            (
                "several audiences",
                Binding::Audience,
                false,
                json!(null),
                json!([bound_audience, "x"]),
                None,
            ),
        ];
        for (case, binding, device, nonce, audience, expected) in cases {
            let mut claims = base();
            claims["nonce"] = nonce;
            claims["aud"] = audience;
            let claims = Claims::read(&token(&claims)).unwrap();
            let bound = claims.is_bound(&issuer(binding, device), "right");
            assert_eq!(bound.ok(), expected, "{case}");
        }
    }

    #[test]
    fn an_invalid_token_is_refused_and_not_repeated() {
        for text in [
            "",
            "secret",
            "a.b",
            "a.b.c",
            "a.e30.c",
            &"a".repeat(LARGEST + 1),
            "a.b.c.d.e",
        ] {
            let error = Claims::read(text).unwrap_err().to_string();
            assert!(!error.contains("secret"));
        }
    }
}
