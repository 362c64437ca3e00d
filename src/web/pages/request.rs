//! One request: what would be allowed, what was decided, and the form to decide.

use std::collections::BTreeSet;

use axum::response::Html;
use maud::{Markup, html};

use super::{
    frame::{needs_script, page},
    passkey::json,
};
use crate::{
    ledger::state::Verb,
    proto::v1::request::State,
    unix_seconds::{UnixSeconds, moment},
    web::{
        sessions::Session,
        view::{RequestView, duration, plain},
    },
};

/// One request, for a person who may see it.
pub(in crate::web) fn request(
    session: &Session,
    server: &str,
    view: &RequestView,
    now: UnixSeconds,
) -> Html<String> {
    let kind = match view.content.is_review {
        true => "Emergency",
        false => "Request",
    };
    let title = format!("{kind} {}", view.id);
    page(
        &title,
        Some(session),
        &html! {
            p class="back" { a href="/web/requests" { "All requests" } }
            (needs_script())
            div id="live" data-watch=(view.id) data-state=(view.state_text()) data-now=(now) {
                h1 { (title) }
                p class="state" role="status" { (view.state_text()) ". " (left(view, now)) }
                (facts(view))
                (decisions(view))
            }
            @if !view.verbs().is_empty() {
                (form(session, server, view))
            }
            details {
                summary { "The event in the ledger: a decision signs exactly these bytes" }
                pre id="event" { (view.event) }
            }
        },
    )
}

/// The time that is left, in words.
pub(super) fn left(view: &RequestView, now: UnixSeconds) -> Markup {
    let end = view.expires_at;
    html! {
        @if end > now && matches!(view.state, State::Pending | State::Approved) {
            "Ends in "
            time datetime=(moment(end.get())) data-ends=(end) {
                (duration(end.seconds_since(now)))
            }
            "."
        }
    }
}

fn facts(view: &RequestView) -> Markup {
    let (content, ask) = (&view.content, &view.content.ask);
    let permissions = &content.permissions;
    html! {
        dl {
            (fact("Who", &html! {
                strong { bdi { (content.who.label) } }
                span class="small" { bdi { (plain(&content.who.subject)) } " of " bdi { (content.who.issuer) } }
            }))
            (fact("Wants to run", &html! {
                @match &permissions.force_command {
                    Some(command) => code class="command" { bdi { (plain(command)) } },
                    None => strong { "Any command (a shell)" },
                }
            }))
            @if let Some(host) = &ask.host { (fact("On host", &html! { bdi { (plain(host)) } })) }
            (fact("Logs in as", &html! { (list(&permissions.principals)) }))
            (fact("Reason", &html! {
                @match &ask.reason {
                    Some(reason) => bdi { (plain(reason)) },
                    None => "none",
                }
            }))
            (fact("For", &html! { (duration(content.ttl_seconds)) }))
            (fact("Role", &html! { bdi { (plain(&ask.role)) } }))
            @for (name, value) in &ask.params {
                (fact("Parameter", &html! { bdi { (plain(name)) } " = " code { bdi { (plain(value)) } } }))
            }
            (fact("Only from", &html! {
                @match &permissions.source_addresses {
                    Some(addresses) => (list(addresses)),
                    None => "any address",
                }
            }))
            @if let Some(through) = &content.through {
                (fact("Through", &html! { "bastion " bdi { (plain(&through.bastion)) } " as " (list(&through.principals)) }))
            }
            (fact("Also allowed", &html! { (list(&permissions.extensions)) }))
            @if permissions.verify_required {
                (fact("Only if", &html! { "a security key verifies its user (PIN or biometric)" }))
            }
            @if let Some(caller) = &ask.caller { (fact("Asked from", &html! { bdi { (plain(caller)) } })) }
            (fact("Key", &html! { code { (plain(&content.key)) } }))
            (fact("The policy says", &html! { (policy(view)) }))
        }
    }
}

/// What the policy demands, and what it lets this person do.
fn policy(view: &RequestView) -> Markup {
    let needed = view.content.needed;
    html! {
        @if view.content.is_review {
            "The pass is out already. Another person has to review it."
        } @else {
            (view.approvals()) " of " (needed) " approvals."
        }
        @if view.presence.is_some() {
            " Each approval takes a passkey or security key, under the hand of its owner."
        }
        @if view.may_decide {
            " You may decide."
        } @else {
            " You have nothing to decide here now."
        }
    }
}

fn decisions(view: &RequestView) -> Markup {
    html! {
        @if !view.decisions.is_empty() {
            h2 { "Decisions" }
            ul class="decisions" {
                @for one in &view.decisions {
                    li {
                        strong { bdi { (plain(&one.label)) } } ": " (plain(&one.verb)) ", "
                        (moment(one.at))
                        @if !one.comment.is_empty() { span class="reason" { bdi { (plain(&one.comment)) } } }
                    }
                }
            }
        }
        @if view.serial != 0 { p { "Pass " (view.serial) } }
    }
}

/// The form. The script reads what is signed from here and from the event.
fn form(session: &Session, server: &str, view: &RequestView) -> Markup {
    html! {
        form id="decide" class="decide" method="post" hidden
            data-id=(view.id)
            data-server=(server)
            data-issuer=(session.identity.issuer())
            data-subject=(session.identity.subject())
            data-commitment=(session.commitment)
            data-presence=[view.presence.as_deref().map(json)] {
            @if view.presence.is_some() {
                p class="notice" id="no-passkey" hidden {
                    "You cannot approve here: no passkey of yours is registered for this page. "
                    a href="/web/passkey" { "Make one" } ", or approve on the command line with a registered \
                    security key: " code { "daypass approve " (view.id) } "."
                }
            }
            label for="comment" { "Comment (kept in the ledger)" }
            input id="comment" name="comment" type="text" maxlength="500" autocomplete="off";
            div class="actions" {
                @for verb in view.verbs() {
                    button type="submit" class={ "button " (verb.as_str()) } value=(verb.as_str()) {
                        (label(*verb))
                    }
                }
            }
        }
    }
}

fn label(verb: Verb) -> &'static str {
    match verb {
        Verb::Approve => "Approve",
        Verb::Deny => "Deny",
        Verb::Cancel => "Withdraw",
        Verb::Review => "Close the review",
    }
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! {
        div { dt { (name) } dd { (value) } }
    }
}

fn list<T: ToString>(values: &BTreeSet<T>) -> Markup {
    html! {
        @if values.is_empty() { "nothing" }
        @for (index, value) in values.iter().enumerate() {
            @if index != 0 { ", " }
            bdi { (plain(&value.to_string())) }
        }
    }
}
