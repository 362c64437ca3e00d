//! The page on which a person makes a passkey.

use axum::response::Html;
use maud::html;

use super::frame::{needs_script, page};
use crate::web::{sessions::Session, view::plain};

/// The page to make a passkey. `keys` are the lines that the policy has of this person.
pub(in crate::web) fn passkey(session: &Session, keys: &[String]) -> Html<String> {
    page(
        "Passkeys",
        Some(session),
        &html! {
            p class="back" { a href="/web/requests" { "All requests" } }
            h1 { "Your passkeys" }
            (needs_script())
            p {
                "Some roles are approved with a passkey or security key: you touch it, or unlock your \
                 phone, for each approval. So an approval is yours even if a thief has your session."
            }
            @if keys.is_empty() {
                p { "None of yours is registered." }
            } @else {
                h2 { "Registered" }
                ul class="keys" {
                    @for key in keys { li { code { (plain(key)) } } }
                }
            }
            h2 { "Make one" }
            p {
                "Your browser makes it, and an administrator registers it: you get a text to hand over. \
                 A text alone approves nothing."
            }
            div class="actions" id="passkey"
                data-issuer=(session.identity.issuer())
                data-subject=(session.identity.subject())
                data-label=(session.identity.label())
                data-keys=(json(keys)) {
                button type="button" class="button" disabled { "Make a passkey" }
            }
            section id="made" hidden {
                h2 { "Hand this to an administrator" }
                label for="line" {
                    "For the policy. If you are in it already, only the line in "
                    code { "keys" } " is new."
                }
                textarea id="line" rows="8" readonly spellcheck="false" {}
            }
        },
    )
}

/// Lines for the script.
pub(super) fn json(lines: &[String]) -> String {
    serde_json::json!(lines).to_string()
}
