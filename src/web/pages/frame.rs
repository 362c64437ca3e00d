//! The frame of every page.

use axum::response::Html;
use maud::{DOCTYPE, Markup, html};

use crate::web::{sessions::Session, view::plain};

/// A page that tells one thing.
pub(in crate::web) fn message(title: &str, text: &str) -> Html<String> {
    page(
        title,
        None,
        &html! {
            h1 { (title) }
            p role="alert" { (plain(text)) }
            p { a class="button" href="/web/requests" { "Go to the requests" } }
        },
    )
}

/// A whole page. `who` is signed in.
pub(super) fn page(title: &str, who: Option<&Session>, content: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " - Daypass" }
                link rel="icon" href="/web/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/web/page.css";
                script type="module" src="/web/page.js" {}
            }
            body {
                a class="skip" href="#content" { "Skip to the content" }
                header {
                    a class="name" href="/web/requests" { "Daypass" }
                    @if let Some(session) = who {
                        form method="post" action="/web/sign-out" {
                            span class="who" { (session.identity.label()) }
                            button class="quiet" { "Sign out" }
                        }
                    }
                }
                main id="content" { (content) }
            }
        }
    };
    Html(page.into_string())
}

/// What a page without its script needs.
pub(super) fn needs_script() -> Markup {
    html! {
        noscript {
            p class="notice" role="alert" {
                "This page needs JavaScript: your browser itself signs each decision with a key that \
                 never leaves it. Allow scripts of this address, or decide on the command line with "
                code { "daypass approve ID" } "."
            }
        }
        p class="notice" id="trouble" role="alert" hidden {}
    }
}
