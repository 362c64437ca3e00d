//! The shape and the header of a compact token, checked before anything else reads them. Pure.
//!
//! Nothing here is proven: the results say what a token claims to be.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{algorithm::Algorithm, error::Error, json};

/// Bytes of a compact token at most. A larger one is refused unread.
pub(crate) const TOKEN_LIMIT: usize = 16 * 1024;

/// Bytes of a `kid` at most. It is only ever looked up in a map.
const KEY_ID_LIMIT: usize = 256;

/// Header parameters that would change how the token is read, or point at a key of the sender's
/// choice (RFC 7515, section 4.1; RFC 7516, section 4.1; RFC 7797). An ID token needs none of them.
const FORBIDDEN: [&str; 9] = [
    "crit", "jku", "jwk", "x5u", "x5c", "cty", "zip", "enc", "b64",
];

/// The parts of a token.
pub(super) struct Unverified {
    /// The `alg` it says it was signed with.
    pub(super) algorithm: Algorithm,
    /// The `kid` it says it was signed by, if it names one.
    pub(super) key_id: Option<String>,
    /// Its payload.
    pub(super) claims: Map<String, Value>,
}

/// Splits a compact token: three canonical base64url parts, strict JSON, and no header parameter
/// that changes how it is read.
pub(super) fn parse(unverified_jwt: &str) -> Result<Unverified, Error> {
    expect_size(unverified_jwt)?;
    let [header, payload, signature] = parts(unverified_jwt)?;
    decode(signature)?;
    let header = object("header", header)?;
    check_header(&header)?;
    Ok(Unverified {
        algorithm: algorithm(&header)?,
        key_id: key_id(&header)?.map(str::to_owned),
        claims: object("payload", payload)?,
    })
}

/// Refuses a token that is too large to be read.
pub(super) fn expect_size(unverified_jwt: &str) -> Result<(), Error> {
    match unverified_jwt.len() <= TOKEN_LIMIT {
        true => Ok(()),
        false => Err(Error::TooLarge("it")),
    }
}

fn parts(unverified_jwt: &str) -> Result<[&str; 3], Error> {
    let mut parts = unverified_jwt.splitn(4, '.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None) => Ok([header, payload, signature]),
        _ => Err(Error::Shape("it has not exactly three parts")),
    }
}

/// Refuses padding, other alphabets, white space and non-zero trailing bits.
fn decode(part: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD.decode(part).map_err(Error::Base64)
}

fn object(part: &'static str, encoded: &str) -> Result<Map<String, Value>, Error> {
    json::object(&decode(encoded)?).map_err(|source| Error::Json { part, source })
}

fn check_header(header: &Map<String, Value>) -> Result<(), Error> {
    if let Some(name) = FORBIDDEN.iter().find(|name| header.contains_key(**name)) {
        return Err(Error::Header {
            name,
            problem: "is not allowed",
        });
    }
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(typ)) if is_id_token_type(typ) => Ok(()),
        Some(_) => Err(Error::Type("the header's `typ` is another one")),
    }
}

/// RFC 7515, section 4.1.9: media types are compared without case, and `application/` may be
/// absent.
fn is_id_token_type(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("application/jwt")
}

/// Only known names. The caller compares it with the configuration and with the key before use.
fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, Error> {
    let name = header.get("alg").and_then(Value::as_str);
    name.and_then(Algorithm::from_name).ok_or(Error::Algorithm)
}

/// The `kid`. The issuer's configuration decides whether it may be absent.
fn key_id(header: &Map<String, Value>) -> Result<Option<&str>, Error> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(key_id)) if is_key_id(key_id) => Ok(Some(key_id)),
        Some(_) => Err(Error::Header {
            name: "kid",
            problem: "is not a short printable string",
        }),
    }
}

/// Whether a `kid` is valid, in tokens and key sets alike: 1 to 256 visible ASCII characters.
pub(super) fn is_key_id(text: &str) -> bool {
    (1..=KEY_ID_LIMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
