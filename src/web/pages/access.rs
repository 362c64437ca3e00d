//! "My access".

use axum::response::Html;
use maud::{Markup, html};

use super::{
    frame::{Frame, needs_script},
    list::cards,
};
use crate::{
    proto::{usage, v1},
    unix_seconds::{UnixSeconds, moment},
    web::{
        sessions::Session,
        view::{RequestView, duration, plain},
    },
};

/// The access of a person.
pub(in crate::web) struct Access {
    pub(in crate::web) roles: Vec<v1::Role>,
    /// Why the person gets no pass; empty if no lock covers them.
    pub(in crate::web) locked: String,
    pub(in crate::web) passes: Vec<v1::ValidPass>,
    /// Passes that are left out.
    pub(in crate::web) more_passes: u64,
    /// Newest first.
    pub(in crate::web) requests: Vec<RequestView>,
    /// What a lock of the person by themself would do.
    pub(in crate::web) lock: v1::PreviewResponse,
}

/// What a person may have, has and has asked for, and the lock on themself.
pub(in crate::web) fn access(
    session: &Session,
    server: &str,
    access: &Access,
    now: UnixSeconds,
) -> Html<String> {
    let requests: Vec<_> = access.requests.iter().collect();
    Frame::new("My access", Some(session))
        .script("/web/access.js")
        .page(&html! {
            h1 { "My access" }
            (needs_script())
            @if !access.locked.is_empty() {
                p class="notice" role="alert" { "No pass for you: " (plain(&access.locked)) }
            }
            h2 { "Passes that are valid now" }
            (passes(access, now))
            h2 { "Roles that are open to you" }
            @if access.roles.is_empty() { p { "The policy gives you no role. Ask its author." } }
            ul class="cards" {
                @for role in &access.roles { li { (self::role(role)) } }
            }
            h2 { "Your requests" }
            @if requests.is_empty() {
                p { "None. A role that needs an approval opens one." }
            } @else {
                (cards(&requests, now))
            }
            p { a href="/web/passkey" { "Your passkeys, for approvals that take one" } }
            h2 { "My laptop is gone" }
            (lock(session, server, access))
        })
}

fn passes(access: &Access, now: UnixSeconds) -> Markup {
    html! {
        @if access.passes.is_empty() { p { "None." } }
        ul class="cards" {
            @for pass in &access.passes { li class="card" { (self::pass(pass, now)) } }
        }
        @if access.more_passes > 0 { p { "And " (access.more_passes) " older ones." } }
    }
}

fn pass(pass: &v1::ValidPass, now: UnixSeconds) -> Markup {
    let left = UnixSeconds(pass.valid_before).seconds_since(now);
    html! {
        strong { bdi { (plain(&pass.role)) } }
        @if !pass.host.is_empty() { " on " strong { bdi { (plain(&pass.host)) } } }
        " as "
        @for (index, login) in pass.principals.iter().enumerate() {
            @if index != 0 { ", " }
            bdi { (plain(login)) }
        }
        @if pass.emergency { " " strong { "(emergency)" } }
        @if !pass.command.is_empty() { code class="command" { bdi { (plain(&pass.command)) } } }
        @if !pass.reason.is_empty() { span class="reason" { bdi { (plain(&pass.reason)) } } }
        span class="small" {
            "Until " (moment(pass.valid_before)) ", " (duration(left)) " left. Serial " (pass.serial) "."
        }
    }
}

fn role(role: &v1::Role) -> Markup {
    html! {
        div class="card" {
            strong { bdi { (plain(&role.name)) } }
            @if !role.about.is_empty() { " " bdi { (plain(&role.about)) } }
            @if role.locked { " " strong { "(locked: it gives no pass now)" } }
            code class="command" { (plain(&usage::command(role, None))) }
            span class="small" {
                @if !role.hosts.is_empty() { "On " bdi { (plain(&role.hosts.join(", "))) } ". " }
                @if !role.logins.is_empty() { "Logs in as " bdi { (plain(&role.logins.join(", "))) } ". " }
                "For " (duration(role.ttl_seconds)) ". "
                @match role.approvals {
                    0 => "Needs no approval.",
                    1 => "Needs the approval of another person.",
                    many => { "Needs the approval of " (many) " other people." }
                }
                @for parameter in &role.params {
                    " " code { (plain(&parameter.name)) }
                    @if parameter.one_of.is_empty() {
                        " matches " code { (plain(&parameter.pattern)) } "."
                    } @else {
                        " is one of " (plain(&parameter.one_of.join(", "))) "."
                    }
                }
                @if !role.reason_pattern.is_empty() {
                    " The reason matches " code { (plain(&role.reason_pattern)) } "."
                }
            }
        }
    }
}

/// The form to lock oneself. The script signs what it sends.
fn lock(session: &Session, server: &str, access: &Access) -> Markup {
    let identity = &session.identity;
    let token = base16ct::lower::encode_string(identity.token_hash());
    html! {
        p {
            "Lock yourself: you get no new pass on any machine, and "
            @match access.lock.passes {
                0 => "you have no valid pass that would be revoked",
                1 => "your valid pass is revoked",
                many => { "your " (many) " valid passes are revoked" }
            }
            ". Your approvals of requests that were not used yet count no more. You cannot undo this: an administrator ends \
             the lock."
        }
        p class="small" { "On a command line: " code { "daypass lock-me" } }
        form id="lock-me" class="decide" method="post" hidden
            data-server=(server)
            data-issuer=(identity.issuer())
            data-subject=(identity.subject())
            data-token=(token)
            data-after=(access.lock.after)
            data-commitment=(session.commitment) {
            label for="reason" { "Why (kept in the ledger)" }
            input id="reason" name="reason" type="text" maxlength="200" autocomplete="off";
            label class="check" {
                input id="sure" type="checkbox" required;
                " I want to be locked until an administrator unlocks me."
            }
            div class="actions" { button type="submit" class="button deny" { "Lock me" } }
        }
    }
}

/// The page after a person has locked themself.
pub(in crate::web) fn locked() -> Html<String> {
    Frame::new("You are locked", None).page(&html! {
        h1 { "You are locked" }
        p role="status" {
            "You get no new pass, your passes are revoked, and you are signed out here. Hosts refuse the passes from \
             their next sync on."
        }
        p {
            "Next: tell your security team what is lost, and end your sessions at your identity provider. When the machine \
             is found or replaced, an administrator ends the lock: "
            code { "daypass admin unlock NAME" }
        }
    })
}
