//! The token in a call's metadata, before anything about it is verified. Pure.

use tonic::metadata::MetadataMap;

use crate::identity::Error;

/// Returns the compact token from `authorization: Bearer ...` (RFC 6750 section 2.1). Nothing about
/// the token is verified.
pub(super) fn unverified_bearer(metadata: &MetadataMap) -> Result<&str, Error> {
    let mut values = metadata.get_all("authorization").iter();
    let value = values.next().ok_or(Error::Missing)?;
    if values.next().is_some() {
        return Err(Error::Shape("the call carries several"));
    }
    let text = value
        .to_str()
        .map_err(|_| Error::Shape("it is not ASCII"))?;
    let (scheme, token) = text.split_once(' ').ok_or(Error::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Error::Missing);
    }
    Ok(token)
}

/// Name of the metadata that holds the token of a renewed sign-in's beginning.
pub(crate) const ORIGINAL: &str = "daypass-original-token";

/// Returns the original token of a renewed sign-in, if the call carries one.
pub(super) fn unverified_original(metadata: &MetadataMap) -> Result<Option<&str>, Error> {
    let mut values = metadata.get_all(ORIGINAL).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::Shape("the call carries several originals"));
    }
    let text = value.to_str();
    text.map(Some).map_err(|_| Error::Shape("it is not ASCII"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn code(values: &[&'static str]) -> Result<String, &'static str> {
        let mut metadata = MetadataMap::new();
        for value in values {
            metadata.append("authorization", value.parse().unwrap());
        }
        unverified_bearer(&metadata)
            .map(str::to_owned)
            .map_err(|error| error.code())
    }

    #[test]
    fn at_most_one_original_is_taken() {
        let mut metadata = MetadataMap::new();
        assert!(matches!(unverified_original(&metadata), Ok(None)));
        metadata.append(ORIGINAL, "a.b.c".parse().unwrap());
        assert!(matches!(unverified_original(&metadata), Ok(Some("a.b.c"))));
        metadata.append(ORIGINAL, "a.b.c".parse().unwrap());
        assert!(unverified_original(&metadata).is_err());
    }

    #[test]
    fn only_one_bearer_token_is_taken() {
        let cases: [(&str, &[&str], Result<&str, &str>); 7] = [
            ("a bearer token", &["Bearer a.b.c"], Ok("a.b.c")),
            ("the scheme in another case", &["bearer a.b.c"], Ok("a.b.c")),
            ("no header", &[], Err("TOKEN_MISSING")),
            ("another scheme", &["Basic YTpi"], Err("TOKEN_MISSING")),
            ("a scheme alone", &["Bearer"], Err("TOKEN_MISSING")),
            ("an empty token", &["Bearer "], Err("TOKEN_MISSING")),
            (
                "two headers",
                &["Bearer a", "Bearer b"],
                Err("TOKEN_MALFORMED"),
            ),
        ];
        for (case, values, expected) in cases {
            assert_eq!(code(values), expected.map(str::to_owned), "{case}");
        }
    }
}
