//! The page to sign in.

use axum::response::Html;
use maud::html;

use super::frame::{needs_script, page};
use crate::web::target::Target;

/// The page to sign in, with the names of the issuers. `target` is shown afterwards.
pub(in crate::web) fn sign_in(server: &str, issuers: &[&str], target: Target) -> Html<String> {
    page(
        "Sign in",
        None,
        &html! {
            h1 { "Sign in to " (server) }
            (needs_script())
            p {
                "Your browser makes a key for this sign-in. It cannot be copied out of this browser, and \
                 it signs what you decide."
            }
            div class="actions" id="sign-in" data-to=(target) {
                @for issuer in issuers {
                    button type="button" class="button" data-issuer=(issuer) disabled {
                        "Sign in with " (issuer)
                    }
                }
            }
        },
    )
}

/// The page after a sign-out.
pub(in crate::web) fn signed_out() -> Html<String> {
    page(
        "Signed out",
        None,
        &html! {
            h1 { "You are signed out" }
            p {
                "On a shared computer, sign out at your identity provider too: it may sign you in again \
                 without a password."
            }
            p { a class="button" href="/web/sign-in" { "Sign in again" } }
        },
    )
}
