//! What an ID token says, unverified: for messages, and to refuse early what the server would. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

use super::super::{
    Error,
    server_info::{Binding, Issuer},
};
use crate::identity::proof;

/// As the server bounds it.
const LARGEST: usize = 16 * 1024;

/// Claims nobody has verified.
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
    nonce: Option<String>,
    audiences: Vec<String>,
}

impl Claims {
    /// Reads a compact token. Its text is in no error.
    ///
    /// # Errors
    /// Where it is no ID token.
    pub(super) fn read(unverified_jwt: &str) -> Result<Self, Error> {
        parse(unverified_jwt).ok_or_else(|| {
            Error::Usage(
                "this is no ID token (a compact JWT with iss, sub, aud and exp)".to_owned(),
            )
        })
    }

    /// Whether the token commits to `commitment`.
    ///
    /// # Errors
    /// Where the issuer must bind and the token is bound to something else, or to nothing.
    pub(super) fn is_bound(&self, issuer: &Issuer, commitment: &str) -> Result<bool, Error> {
        let wrong = |what: &str| {
            Error::Usage(format!(
                "the token is not bound to this login's key: {what}; see `daypass login --help` on --token-command and --print-audience"
            ))
        };
        match (issuer.binding, &self.nonce) {
            (Binding::None, _) => Ok(false),
            (Binding::Nonce, Some(nonce)) if nonce == commitment => Ok(true),
            (Binding::Nonce, Some(_)) => Err(wrong("its nonce is for another")),
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
        nonce: text("nonce"),
        audiences,
    })
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

    fn issuer(binding: Binding, device_flow: bool) -> Issuer {
        Issuer {
            name: "corp".into(),
            url: "https://id".into(),
            client_id: "daypass".into(),
            audience: "daypass".into(),
            scopes: Vec::new(),
            binding,
            device_flow,
            interactive: true,
        }
    }

    #[test]
    fn only_a_verified_email_names_somebody() {
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
                "no nonce where device codes are taken",
                Binding::Nonce,
                true,
                json!(null),
                json!("daypass"),
                Some(false),
            ),
            (
                "nothing to bind",
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
    fn what_is_no_token_is_refused_without_repeating_it() {
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
