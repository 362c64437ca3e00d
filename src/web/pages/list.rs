//! The list of requests.

use axum::response::Html;
use maud::{Markup, html};

use super::{
    frame::{needs_script, page},
    request::left,
};
use crate::{
    unix_seconds::UnixSeconds,
    web::{
        sessions::Session,
        view::{RequestView, plain},
    },
};

/// A page of the requests that a person may see: those to decide first. `next` is where the next
/// page begins.
pub(in crate::web) fn list(
    session: &Session,
    views: &[RequestView],
    next: Option<u64>,
    now: UnixSeconds,
) -> Html<String> {
    let (mine, others): (Vec<_>, Vec<_>) = views.iter().partition(|view| view.may_decide);
    page(
        "Requests",
        Some(session),
        &html! {
            (needs_script())
            div id="live" data-watch="0" data-now=(now) {
                h1 { "Waiting for you" }
                @if mine.is_empty() {
                    p { "Nothing waits for your decision. New requests appear here by themselves." }
                } @else {
                    (cards(&mine, now))
                }
                @if !others.is_empty() {
                    h2 { "Other requests" }
                    (cards(&others, now))
                }
                @if let Some(next) = next {
                    p { a class="button quiet" href={ "/web/requests?after=" (next) } { "More requests" } }
                }
            }
        },
    )
}

/// Requests as links to their pages.
pub(super) fn cards(views: &[&RequestView], now: UnixSeconds) -> Markup {
    html! {
        ul class="cards" {
            @for view in views {
                li { (card(view, now)) }
            }
        }
    }
}

fn card(view: &RequestView, now: UnixSeconds) -> Markup {
    let ask = &view.content.ask;
    html! {
        a class="card" href={ "/web/requests/" (view.id) } {
            strong { bdi { (view.content.who.label) } }
            " asks for "
            strong { bdi { (plain(&ask.role)) } }
            @if let Some(host) = &ask.host { " on " strong { bdi { (plain(host)) } } }
            @if let Some(reason) = &ask.reason {
                span class="reason" { bdi { (plain(reason)) } }
            }
            span class="small" {
                "Request " (view.id) ". " (view.state_text()) ". " (left(view, now))
            }
        }
    }
}
