//! A sign-in that is under way, kept in the browser's own cookie: the server keeps nothing for
//! callers that it does not know, and each server of one ledger can end what another began. Pure.
//!
//! The cookie is authenticated with a secret of the ledger. It ties the provider's answer to the
//! browser that began (login CSRF), to the provider that was asked (mix-up) and to the key.

use std::time::Duration;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{exchanges::Known, target::Target};
use crate::unix_seconds::UnixSeconds;

/// Time for the sign-in at the provider.
pub(super) const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Separates the cookie from the verifier.
const COOKIE: &[u8] = b"daypass-web-sign-in@v1\0";
const KNOWN: &[u8] = b"daypass-web-known@v1\0";
const VERIFIER: &[u8] = b"daypass-web-verifier@v1\0";

/// The longest cookie that is looked at.
const LONGEST: usize = 2048;

/// A sign-in that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending {
    /// The configured name of the issuer.
    pub(super) issuer: String,
    /// The value that comes back with the provider's answer.
    pub(super) state: String,
    /// The commitment to the browser's key.
    pub(super) commitment: String,
    /// The page to show afterwards: one of ours, so no answer ever leads to another site.
    pub(super) target: Target,
    /// When it is too old.
    pub(super) expires: UnixSeconds,
}

/// The key of the cookies.
pub(super) struct CookieKey(hmac::Key);

impl CookieKey {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The cookie of a sign-in.
    ///
    /// # Errors
    /// Returns the serializer's error, which these fields never cause.
    pub(super) fn seal(&self, pending: &Pending) -> Result<String, serde_json::Error> {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(pending)?);
        let mac = hmac::sign(&self.0, &[COOKIE, text.as_bytes()].concat());
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// The sign-in of a cookie, if this key made it, it is not too old, and the provider's answer
    /// has its state.
    pub(super) fn open(&self, cookie: &str, state: &str, now: UnixSeconds) -> Option<Pending> {
        if cookie.len() > LONGEST {
            return None;
        }
        let (text, mac) = cookie.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&self.0, &[COOKIE, text.as_bytes()].concat(), &mac).ok()?;
        let json = URL_SAFE_NO_PAD.decode(text).ok()?;
        let pending: Pending = serde_json::from_slice(&json).ok()?;
        verify_slices_are_equal(pending.state.as_bytes(), state.as_bytes()).ok()?;
        (pending.expires > now).then_some(pending)
    }

    /// The cookie of a browser in which a person has signed in. It opens nothing: it only says
    /// that this server saw a sign-in there.
    pub(super) fn seal_known(&self, browser: &Known) -> String {
        let Known(number) = browser;
        let mac = hmac::sign(&self.0, &[KNOWN, number.as_bytes()].concat());
        format!("{number}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// The browser of a cookie, if this key made it.
    pub(super) fn open_known(&self, cookie: &str) -> Option<Known> {
        if cookie.len() > LONGEST {
            return None;
        }
        let (number, mac) = cookie.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        hmac::verify(&self.0, &[KNOWN, number.as_bytes()].concat(), &mac).ok()?;
        Some(Known(number.to_owned()))
    }

    /// The PKCE verifier of a sign-in (RFC 7636, section 4.1). It follows from the state, so that
    /// the browser does not hold it.
    pub(super) fn verifier(&self, state: &str) -> String {
        let tag = hmac::sign(&self.0, &[VERIFIER, state.as_bytes()].concat());
        URL_SAFE_NO_PAD.encode(tag)
    }
}

/// Whether a text is a commitment as [`crate::identity::proof::commitment`] makes it.
pub(super) fn is_commitment(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pending() -> Pending {
        Pending {
            issuer: "corp".to_owned(),
            state: "s".repeat(43),
            commitment: "c".repeat(43),
            target: Target::Request(7),
            expires: UnixSeconds(1000),
        }
    }

    #[test]
    fn a_cookie_opens_with_its_state_in_time_only() {
        let key = CookieKey::new(&[1; 32]);
        let (cookie, state) = (key.seal(&pending()).unwrap(), pending().state);
        assert_eq!(key.open(&cookie, &state, UnixSeconds(999)), Some(pending()));
        assert_eq!(key.open(&cookie, &state, UnixSeconds(1000)), None, "late");
        assert_eq!(key.open(&cookie, "other", UnixSeconds(1)), None, "state");
        let other = CookieKey::new(&[2; 32]);
        assert_eq!(other.open(&cookie, &state, UnixSeconds(1)), None, "key");
        assert_ne!(other.verifier(&state), key.verifier(&state));
        assert_eq!(key.verifier(&state).len(), 43);
    }

    #[test]
    fn a_known_browser_has_a_cookie_of_this_key_and_no_sign_in_is_one() {
        let key = CookieKey::new(&[1; 32]);
        let browser = Known("n".repeat(43));
        let cookie = key.seal_known(&browser);
        assert_eq!(key.open_known(&cookie), Some(browser));
        assert_eq!(CookieKey::new(&[2; 32]).open_known(&cookie), None);
        assert_eq!(key.open_known(&key.seal(&pending()).unwrap()), None);
        assert_eq!(key.open(&cookie, "", UnixSeconds(0)), None);
        for cookie in ["", ".", "n.", "n.AAAA"] {
            assert_eq!(key.open_known(cookie), None, "{cookie:?}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_cookie_does_not_open(at in 0_usize..200, byte in 0_u8..128) {
            let key = CookieKey::new(&[1; 32]);
            let cookie = key.seal(&pending()).unwrap();
            let mut bytes = cookie.clone().into_bytes();
            let at = at % bytes.len();
            if let Some(one) = bytes.get_mut(at) {
                *one = byte;
            }
            let changed = String::from_utf8(bytes).unwrap();
            let opened = key.open(&changed, &pending().state, UnixSeconds(1));
            // Another spelling of the last bits of base64 is refused, so only the same text opens.
            prop_assert_eq!(opened.is_some(), changed == cookie);
        }

        #[test]
        fn no_text_breaks_the_parser(text in ".{0,300}") {
            let key = CookieKey::new(&[1; 32]);
            prop_assert_eq!(key.open(&text, "", UnixSeconds(0)), None);
        }
    }
}
