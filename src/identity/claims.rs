//! The checks of an ID token's claims (OpenID Connect Core, sections 2 and 3.1.3.7, and stricter).
//! Pure.
//!
//! They run before the signature is verified: a token that would be refused costs no key and no
//! fetch. Their result proves nothing until the signature is verified.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};

use super::{
    binding::{Binding, Commitment},
    error::Error,
    lists,
    settings::Settings,
};
use crate::unix_seconds::UnixSeconds;

/// The greatest difference between the issuer's clock and ours.
pub(crate) const LEEWAY: Duration = Duration::seconds(30);

/// From `iat` to `exp` at most. An ID token is the proof of a login, not a standing credential.
pub(crate) const LIFETIME_LIMIT: Duration = Duration::hours(24);

/// Bytes of a `sub` at most. OpenID Connect says 255; Kubernetes' service accounts need 339.
const SUBJECT_LIMIT: usize = 512;

/// Bytes of an e-mail address at most (RFC 5321, 4.5.3.1.3).
const EMAIL_LIMIT: usize = 254;

/// Bytes of a label at most. User principal names have at most 113.
const LABEL_LIMIT: usize = EMAIL_LIMIT;

/// Claims of this one token that say nothing about the person: neither policy nor ledger has them.
const HIDDEN: [&str; 5] = ["nonce", "at_hash", "c_hash", "s_hash", "sid"];

/// Claims that an issuer's configuration allows; proven once the signature is.
pub(super) struct ValidatedClaims {
    pub(super) subject: String,
    pub(super) label: String,
    /// The claims that the policy may see ([`visible`]).
    pub(super) visible: Arc<Map<String, Value>>,
    /// One audience that is ours, as it stands in the token.
    pub(super) audience: String,
    pub(super) commitment: Commitment,
    pub(super) issued: OffsetDateTime,
    pub(super) expires: OffsetDateTime,
}

/// The part that a token plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The only token: it must be bound as the configuration says.
    Alone,
    /// The token of a sign-in that was renewed. It must be bound by its nonce, and may have
    /// expired, but not be older than the session.
    Original,
    /// The newest token of such a sign-in. Its nonce may be absent.
    Fresh,
}

/// The `iss` claim, by which the configuration is found.
pub(super) fn issuer(claims: &Map<String, Value>) -> Result<&str, Error> {
    match claims.get("iss") {
        None => Err(missing("iss")),
        Some(value) => value.as_str().ok_or(Error::Issuer),
    }
}

/// Every check except the issuer's. `known` is what [`visible`] returned for these claims and
/// settings before, if it did.
pub(super) fn check(
    claims: &Map<String, Value>,
    settings: &Settings,
    (part, now): (Part, OffsetDateTime),
    known: Option<Arc<Map<String, Value>>>,
) -> Result<ValidatedClaims, Error> {
    check_kind(claims)?;
    lists::check_overage(claims)?;
    lists::check_sizes(claims)?;
    let (issued, expires) = check_times(claims, part, now)?;
    if part == Part::Original && now - issued > settings.sign_in.session {
        return Err(Error::SessionOver);
    }
    let (audience, commitment) = audience(claims, settings, part)?;
    check_authorized_party(claims, settings)?;
    check_authentication_time(claims, now)?;
    let subject = subject(claims)?.to_owned();
    let email = verified_email(claims, settings);
    let label = label(claims, settings, email).unwrap_or(&subject);
    Ok(ValidatedClaims {
        label: label.to_owned(),
        visible: known.unwrap_or_else(|| Arc::new(visible(claims, settings, email.is_some()))),
        subject,
        audience,
        commitment,
        issued,
        expires,
    })
}

fn missing(name: &'static str) -> Error {
    Error::Claim {
        name,
        problem: "is missing",
    }
}

/// Refuses other tokens of the same issuer, signed by the same keys: security events and logout
/// (RFC 8417), access and refresh tokens of Keycloak (`typ`), Cognito (`token_use`), Entra and Okta
/// (`scp`).
fn check_kind(claims: &Map<String, Value>) -> Result<(), Error> {
    if claims.contains_key("events") {
        return Err(Error::Type("it is a security event or logout token"));
    }
    let marked = |name: &str, id: &str| match claims.get(name) {
        None => true,
        Some(value) => value.as_str().is_some_and(|v| v.eq_ignore_ascii_case(id)),
    };
    if !marked("typ", "ID") || !marked("token_use", "id") || claims.contains_key("scp") {
        return Err(Error::Type("it is an access or refresh token"));
    }
    Ok(())
}

/// Returns `iat` and `exp`.
fn check_times(
    claims: &Map<String, Value>,
    part: Part,
    now: OffsetDateTime,
) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    let expires = numeric_date(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    let issued = numeric_date(claims, "iat")?.ok_or_else(|| missing("iat"))?;
    let not_before = numeric_date(claims, "nbf")?;
    match part {
        Part::Alone | Part::Fresh if now - expires >= LEEWAY => return Err(Error::Expired),
        Part::Alone | Part::Fresh | Part::Original => (),
    }
    if issued - now > LEEWAY {
        return Err(Error::NotYetValid("iat"));
    }
    if not_before.is_some_and(|not_before| not_before - now > LEEWAY) {
        return Err(Error::NotYetValid("nbf"));
    }
    if expires <= issued || expires - issued > LIFETIME_LIMIT {
        return Err(Error::Claim {
            name: "exp",
            problem: "is not within a day after `iat`",
        });
    }
    Ok((issued, expires))
}

/// Checks `auth_time`, the last time at which the person actively signed in. The policy reads the
/// claim itself.
fn check_authentication_time(
    claims: &Map<String, Value>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    match numeric_date(claims, "auth_time")? {
        Some(time) if time - now > LEEWAY => Err(Error::NotYetValid("auth_time")),
        Some(_) | None => Ok(()),
    }
}

/// RFC 7519, section 2, without fractions: seconds since 1970 as an integer, within the years that
/// `time` knows.
fn numeric_date(
    claims: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<OffsetDateTime>, Error> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    value
        .as_u64()
        .and_then(|seconds| UnixSeconds(seconds).to_utc())
        .map(Some)
        .ok_or(Error::Claim {
            name,
            problem: "is not a time in whole seconds",
        })
}

/// One audience of the token that is ours, and the commitment in it or in the nonce.
fn audience(
    claims: &Map<String, Value>,
    settings: &Settings,
    part: Part,
) -> Result<(String, Commitment), Error> {
    let is_ours = |text: &str| settings.audiences.iter().any(|ours| ours == text);
    let foreign = Error::Audience("it is for another client");
    let (first, others) = audiences(claims)?;
    if !others.is_empty() {
        check_several(claims, settings, (first, others))?;
    }
    let commitment = match settings.binding {
        Binding::Audience => match first.rsplit_once('#') {
            Some((ours, commitment)) if is_ours(ours) => {
                Commitment::Audience(commitment.to_owned())
            }
            _ if is_ours(first) => return Err(Error::Unbound),
            _ => return Err(foreign),
        },
        Binding::Nonce | Binding::None if !is_ours(first) => return Err(foreign),
        Binding::Nonce => nonce(claims, part == Part::Fresh || settings.device_flow)?,
        Binding::None => Commitment::Absent,
    };
    Ok((first.to_owned(), commitment))
}

/// The first audience and the others.
fn audiences(claims: &Map<String, Value>) -> Result<(&str, &[Value]), Error> {
    let audiences = match claims.get("aud") {
        None => return Err(missing("aud")),
        Some(Value::String(audience)) => return Ok((audience, &[])),
        Some(Value::Array(audiences)) => audiences.split_first(),
        Some(_) => None,
    };
    audiences
        .and_then(|(first, others)| Some((first.as_str()?, others)))
        .ok_or(Error::Audience(
            "it is neither a string nor a list of strings",
        ))
}

/// Several audiences (Zitadel names all clients of a project) are refused unless the configuration
/// lists each of them: each could use the token here. `azp` must be present, and
/// [`check_authorized_party`] compares it.
fn check_several<'a>(
    claims: &Map<String, Value>,
    settings: &Settings,
    (first, others): (&'a str, &'a [Value]),
) -> Result<(), Error> {
    let is_ours = |text: &str| settings.audiences.iter().any(|ours| ours == text);
    let mut seen = HashSet::from([first]);
    let are_listed = others.iter().all(|other| {
        let text = other.as_str().filter(|text| is_ours(text));
        text.is_some_and(|text| seen.insert(text))
    });
    match settings.binding {
        Binding::Audience => Err(Error::Audience(
            "it names several, and the one that binds the token must be alone",
        )),
        Binding::Nonce | Binding::None if !are_listed => Err(Error::Audience(
            "it names several, and `audiences` of [[issuer]] does not list each of them, once",
        )),
        Binding::Nonce | Binding::None if !claims.contains_key("azp") => Err(Error::Audience(
            "it names several, and no `azp` says that the token was requested by this client",
        )),
        Binding::Nonce | Binding::None => Ok(()),
    }
}

fn nonce(claims: &Map<String, Value>, may_be_absent: bool) -> Result<Commitment, Error> {
    match claims.get("nonce") {
        Some(Value::String(nonce)) => Ok(Commitment::Nonce(nonce.clone())),
        Some(_) => Err(Error::Claim {
            name: "nonce",
            problem: "is not a string",
        }),
        None if may_be_absent => Ok(Commitment::Absent),
        None => Err(Error::Unbound),
    }
}

/// Refuses a login for another client: `azp`, if present, must be ours.
fn check_authorized_party(claims: &Map<String, Value>, settings: &Settings) -> Result<(), Error> {
    match claims.get("azp") {
        None => Ok(()),
        Some(Value::String(party)) if *party == settings.client_id => Ok(()),
        Some(_) => Err(Error::Audience("`azp` is another client")),
    }
}

/// Visible ASCII and spaces (OpenID Connect Core, section 2): it is written to logs, key ids and
/// the ledger.
fn subject(claims: &Map<String, Value>) -> Result<&str, Error> {
    let problem = match claims.get("sub") {
        None => "is missing",
        Some(Value::String(subject)) if is_subject(subject) => return Ok(subject),
        Some(_) => "is not a printable ASCII string of at most 512 bytes",
    };
    Err(Error::Claim {
        name: "sub",
        problem,
    })
}

fn is_subject(text: &str) -> bool {
    (1..=SUBJECT_LIMIT).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The name for people to read: the configured claim if it is plain text, else the verified e-mail.
/// An e-mail address that is not verified is never a label.
fn label<'a>(
    claims: &'a Map<String, Value>,
    settings: &Settings,
    email: Option<&'a str>,
) -> Option<&'a str> {
    let configured = settings.label.as_deref().filter(|name| *name != "email");
    let text = configured.and_then(|name| claims.get(name)?.as_str());
    text.filter(|text| is_plain(text, LABEL_LIMIT)).or(email)
}

/// The e-mail address, if the issuer vouches for it with the boolean true, and it is plain ASCII
/// (without look-alike characters).
fn verified_email<'a>(claims: &'a Map<String, Value>, settings: &Settings) -> Option<&'a str> {
    let is_verified = match claims.get("email_verified")? {
        Value::Bool(is_verified) => *is_verified,
        Value::String(text) => settings.string_booleans && text == "true",
        _ => false,
    };
    let email = claims.get("email")?.as_str().filter(|_| is_verified)?;
    let (local, domain) = email.split_once('@')?;
    let plain = is_plain(email, EMAIL_LIMIT);
    (plain && !local.is_empty() && !domain.is_empty() && !domain.contains('@')).then_some(email)
}

/// Visible ASCII, without the look-alikes of Unicode.
fn is_plain(text: &str, limit: usize) -> bool {
    (1..=limit).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The claims that the policy may see. They depend on nothing else than these three.
fn visible(
    claims: &Map<String, Value>,
    settings: &Settings,
    email_verified: bool,
) -> Map<String, Value> {
    let is_visible = |name: &str| !HIDDEN.contains(&name) && (email_verified || name != "email");
    let mut visible = claims.clone();
    visible.retain(|name, _| is_visible(name));
    // A condition reads the boolean that other issuers give.
    if settings.string_booleans
        && let Some(value) = visible.get_mut("email_verified")
        && let Some(boolean) = value.as_str().and_then(|text| text.parse().ok())
    {
        *value = Value::Bool(boolean);
    }
    visible
}
