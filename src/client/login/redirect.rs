//! The redirect that ends a sign-in (RFC 6749 section 4.1.2), as the browser brings it or as the
//! user pastes it. Pure.
//!
//! Text of the provider in it is shown on the terminal only: bounded, quoted and escaped.

use url::form_urlencoded;

use super::outside::quoted;
use crate::client::Error;

/// Bytes of a pasted address at most. Providers' codes have some hundred bytes, Entra's 2 KiB.
pub(super) const LONGEST: usize = 16 * 1024;

/// Outcome of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Code(String),
    Refused(String),
}

impl Outcome {
    /// The code.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the sign-in was refused.
    pub(super) fn code(self) -> Result<String, Error> {
        match self {
            Self::Code(code) => Ok(code),
            Self::Refused(message) => Err(Error::login_refused(message)),
        }
    }
}

/// The redirect that this sign-in waits for.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The redirect URI of the authorization request.
    pub(super) url: String,
    pub(super) state: String,
    pub(super) issuer: String,
}

impl Expected {
    /// Reads the query of a redirect.
    pub(super) fn outcome(&self, query: &str) -> Outcome {
        let query = Query::parse(query);
        if query.only("state") != Some(self.state.as_str()) {
            return Outcome::Refused("the browser came back with another login's state".to_owned());
        }
        // RFC 9207: an issuer that names itself must be the one that was asked.
        if query.names("iss") && query.only("iss") != Some(self.issuer.as_str()) {
            return Outcome::Refused("the browser came back from another issuer".to_owned());
        }
        match (query.only("code"), query.names("error")) {
            (Some(code), false) if !code.is_empty() => Outcome::Code(code.to_owned()),
            (_, true) => Outcome::Refused(refusal(&query)),
            _ => Outcome::Refused("the browser came back without a code".to_owned()),
        }
    }

    /// Reads what a user pastes: the address that the browser ended at, or its part after `?`, with
    /// blanks or quotes around it.
    ///
    /// # Errors
    /// Returns what is wrong with the text, as a sentence for the user, who may paste again. It
    /// does not repeat the text.
    pub(super) fn pasted(&self, text: &str) -> Result<Outcome, String> {
        if text.len() > LONGEST {
            return Err("that is too long for an address".to_owned());
        }
        let text = unquoted(text);
        if text.is_empty() {
            return Err("that is empty".to_owned());
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(
                "that is more than one address: paste it as one line without blanks".to_owned(),
            );
        }
        let query = self.query(text)?;
        let parsed = Query::parse(query);
        if !(parsed.names("code") || parsed.names("error")) {
            return Err(format!(
                "that has no code: paste the address at which the browser ended, {}?code=...",
                self.url
            ));
        }
        match parsed.only("state") {
            Some(state) if state == self.state => Ok(self.outcome(query)),
            Some(state) if self.state.starts_with(state) => {
                Err("that is not whole: its end is missing".to_owned())
            }
            Some(_) => Err(
                "that is of another sign-in: use the address above, and paste where it ends"
                    .to_owned(),
            ),
            None => Err("that is not whole: its `state` is missing".to_owned()),
        }
    }

    /// The query of a pasted address.
    fn query<'a>(&self, text: &'a str) -> Result<&'a str, String> {
        let whole = text.split_once('#').map_or(text, |(before, _)| before);
        let Some((address, query)) = whole.split_once('?') else {
            return match whole.contains("://") {
                true => Err(self.elsewhere()),
                false => Ok(whole),
            };
        };
        let is_ours = address.is_empty() || address == self.url;
        let without_scheme = self
            .url
            .split_once("://")
            .is_some_and(|(_, rest)| rest == address);
        if is_ours || without_scheme {
            Ok(query)
        } else {
            Err(self.elsewhere())
        }
    }

    fn elsewhere(&self) -> String {
        format!(
            "that is another address: the browser ends at {}?...",
            self.url
        )
    }
}

/// The parameters of a query.
struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The value of a parameter that is there exactly once.
    fn only(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    fn names(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

/// Blanks, quotes and angle brackets around a pasted text.
fn unquoted(text: &str) -> &str {
    let is_wrapping = |c: char| c.is_whitespace() || "\"'`<>\u{201c}\u{201d}\u{feff}".contains(c);
    text.trim_matches(is_wrapping)
}

/// The provider's refusal: its code, what it means, and its description.
fn refusal(query: &Query) -> String {
    let code = code_word(query.only("error").unwrap_or_default());
    let meaning = match code {
        "access_denied" => " (you, or a rule of the provider, refused)",
        "invalid_scope" => {
            " (the provider does not know a scope that the server's configuration asks for)"
        }
        "unauthorized_client" => " (the provider does not allow this client to sign people in)",
        "temporarily_unavailable" | "server_error" => {
            " (the provider has a problem: try again later)"
        }
        _ => "",
    };
    match query
        .only("error_description")
        .filter(|text| !text.trim().is_empty())
    {
        Some(text) => format!(
            "the issuer refused the login: {code}{meaning}: {}",
            quoted(text)
        ),
        None => format!("the issuer refused the login: {code}{meaning}"),
    }
}

/// An error code of RFC 6749 section 4.1.2.1.
fn code_word(error: &str) -> &str {
    let plain = !error.is_empty()
        && error.len() <= 64
        && error.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if plain { error } else { "no reason given" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expected() -> Expected {
        Expected {
            url: "http://127.0.0.1:4711/callback".to_owned(),
            state: "right".to_owned(),
            issuer: "https://id".to_owned(),
        }
    }

    #[test]
    fn a_pasted_redirect_is_read_in_every_form_that_users_paste() {
        let code = Ok(Outcome::Code("the-code".to_owned()));
        for (case, text) in [
            (
                "whole",
                "http://127.0.0.1:4711/callback?code=the-code&state=right",
            ),
            (
                "with a newline",
                "http://127.0.0.1:4711/callback?code=the-code&state=right\n",
            ),
            (
                "in blanks",
                "  \thttp://127.0.0.1:4711/callback?code=the-code&state=right \r\n",
            ),
            (
                "in quotes",
                "\"http://127.0.0.1:4711/callback?code=the-code&state=right\"",
            ),
            (
                "in single quotes",
                "'http://127.0.0.1:4711/callback?code=the-code&state=right'",
            ),
            (
                "in brackets",
                "<http://127.0.0.1:4711/callback?code=the-code&state=right>",
            ),
            (
                "without the scheme",
                "127.0.0.1:4711/callback?code=the-code&state=right",
            ),
            ("the query alone", "code=the-code&state=right"),
            ("the query with its mark", "?state=right&code=the%2Dcode"),
            (
                "with a fragment",
                "http://127.0.0.1:4711/callback?code=the-code&state=right#_=_",
            ),
            (
                "with the issuer",
                "code=the-code&state=right&iss=https%3A%2F%2Fid&session_state=x",
            ),
        ] {
            assert_eq!(expected().pasted(text), code, "{case}");
        }
    }

    #[test]
    fn a_paste_that_is_no_redirect_of_this_sign_in_says_why_and_may_be_repeated() {
        let megabyte = format!("code={}&state=right", "x".repeat(1 << 20));
        for (case, text, says) in [
            ("nothing", "", "empty"),
            ("blanks", " \n ", "empty"),
            (
                "another state",
                "code=stolen&state=other",
                "another sign-in",
            ),
            ("no state", "code=stolen", "not whole"),
            ("a cut state", "code=stolen&state=rig", "its end is missing"),
            (
                "two states",
                "code=stolen&state=right&state=other",
                "not whole",
            ),
            (
                "two lines",
                "code=a&state=right\ncode=stolen&state=right",
                "more than one",
            ),
            ("a megabyte", &megabyte, "too long"),
            (
                "the page of the provider",
                "https://id/authorize?state=right&code=stolen",
                "another address",
            ),
            (
                "another port",
                "http://127.0.0.1:1/callback?code=stolen&state=right",
                "another address",
            ),
            (
                "no query",
                "http://127.0.0.1:4711/callback",
                "another address",
            ),
            ("a word", "stolen", "no code"),
            (
                "no code",
                "http://127.0.0.1:4711/callback?state=right",
                "no code",
            ),
        ] {
            let refused = expected().pasted(text);
            let why = refused.clone().err().unwrap_or_default();
            assert!(why.contains(says), "{case}: {refused:?}");
            assert!(!why.contains("stolen"), "{case}: {why}");
        }
    }

    #[test]
    fn the_providers_description_is_shown_escaped_and_bounded() {
        let long = format!(
            "error=access_denied&state=right&error_description={}",
            "x".repeat(5000)
        );
        for (case, query, says) in [
            (
                "Okta",
                "error=access_denied&error_description=User+is+not+assigned+to+the+client+application.&state=right",
                "access_denied (you, or a rule of the provider, refused): \"User is not assigned to the client application.\"",
            ),
            (
                "an escape sequence",
                "error=access_denied&error_description=%1b%5b2Jx%0d%0ay%e2%80%ae&state=right",
                "\"\\u{1b}[2Jx y\\u{202e}\"",
            ),
            (
                "an error that is no code",
                "error=%3Cb%3E&state=right",
                "no reason given",
            ),
            ("a long one", &long, "xxx ...\""),
        ] {
            let Outcome::Refused(text) = expected().outcome(query) else {
                unreachable!("{case}");
            };
            assert!(text.contains(says), "{case}: {text}");
            assert!(text.len() < 800, "{case}");
            // Pasted, it ends the sign-in just the same.
            assert_eq!(
                expected().pasted(query),
                Ok(Outcome::Refused(text)),
                "{case}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_gives_a_code_only_with_the_state(
            text in "(\\PC{0,80}|[\"' <]?(http://127\\.0\\.0\\.1:4711/callback)?[?#]?(code=[a-z%&=0-9]{0,9}|state=(right|other)|error=[a-z]{0,5}|iss=x|&){0,6}[\"' >\n]?)"
        ) {
            if let Ok(Outcome::Code(code)) = expected().pasted(&text) {
                prop_assert!(text.contains("state=right"));
                prop_assert!(!code.is_empty() && code.len() <= text.len());
            }
            if let Err(why) = expected().pasted(&text) {
                prop_assert!(why.len() < 300);
            }
        }
    }
}
