//! The frame of every page.

use std::sync::atomic::Ordering;

use axum::response::Html;
use http::StatusCode;
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

/// The answer to an address at which there is no page.
pub(in crate::web) fn nothing() -> (StatusCode, Html<String>) {
    let text = "There is no such page. Go to the requests, and on from there.";
    (StatusCode::NOT_FOUND, message("Not found", text))
}

/// A whole page. `who` is signed in.
pub(super) fn page(title: &str, who: Option<&Session>, content: &Markup) -> Html<String> {
    Frame::new(title, who).page(content)
}

/// The parts of a page around its content.
pub(super) struct Frame<'a> {
    title: &'a str,
    who: Option<&'a Session>,
    script: Option<&'static str>,
    is_wide: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn new(title: &'a str, who: Option<&'a Session>) -> Self {
        Self {
            title,
            who,
            script: None,
            is_wide: false,
        }
    }

    /// With a script of its own, besides that of all pages.
    pub(super) fn script(self, path: &'static str) -> Self {
        let script = Some(path);
        Self { script, ..self }
    }

    /// As wide as a table needs.
    pub(super) fn wide(self) -> Self {
        let is_wide = true;
        Self { is_wide, ..self }
    }

    /// The whole page.
    pub(super) fn page(&self, content: &Markup) -> Html<String> {
        whole(self, content)
    }
}

fn whole(frame: &Frame<'_>, content: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (frame.title) " - Daypass" }
                link rel="icon" href="/web/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/web/page.css";
                script type="module" src="/web/page.js" {}
                @if let Some(path) = frame.script { script type="module" src=(path) {} }
            }
            body class=[frame.is_wide.then_some("wide")] {
                a class="skip" href="#content" { "Skip to the content" }
                header {
                    a class="name" href="/web/requests" { "Daypass" }
                    @if let Some(session) = frame.who {
                        (menu(session))
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

/// The pages of a person.
fn menu(session: &Session) -> Markup {
    let is_auditor = session.is_auditor.load(Ordering::Relaxed);
    html! {
        nav aria-label="Pages" {
            a href="/web/requests" { "Requests" }
            a href="/web/access" { "My access" }
            @if is_auditor { a href="/web/audit" { "Audit" } }
        }
    }
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
