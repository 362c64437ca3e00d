//! The search in the ledger.

use axum::response::Html;
use maud::{Markup, html};

use super::frame::Frame;
use crate::{
    ledger::{
        event::kinds::{EMERGENCY, KINDS},
        listed::Row,
    },
    proto::v1::{self, lock_target::Target},
    unix_seconds::moment,
    web::{
        filter::Form,
        sessions::Session,
        view::{plain, short},
    },
};

/// A page of the search.
pub(in crate::web) struct Found {
    pub(in crate::web) form: Form,
    pub(in crate::web) rows: Vec<Row>,
    /// Whether there is no room for more events.
    pub(in crate::web) is_full: bool,
    /// The next page; none if the search is complete.
    pub(in crate::web) before: Option<u64>,
    /// Sentences about unknown names.
    pub(in crate::web) near: Vec<String>,
    /// Why there was no search.
    pub(in crate::web) fault: Option<String>,
}

impl Found {
    /// No search, because of what was typed.
    pub(in crate::web) fn refused(form: Form, fault: String) -> Self {
        Self {
            form,
            rows: Vec::new(),
            is_full: false,
            before: None,
            near: Vec::new(),
            fault: Some(fault),
        }
    }
}

/// The search, and the locks in force.
pub(in crate::web) fn audit(session: &Session, found: &Found, locks: &[v1::Lock]) -> Html<String> {
    let csv = format!("/web/audit.csv?{}", found.form.query(before(&found.form)));
    Frame::new("Audit", Some(session)).wide().page(&html! {
        h1 { "Audit" }
        p class="links" {
            a href="/web/audit?unreviewed=on" { "Open reviews" }
            a href="/web/audit?event=emergency" { "Emergencies" }
            a href="/web/audit?event=denied" { "Denials" }
            a href="/web/audit?event=policy_loaded" { "Policies" }
            a href="/web/audit/timeline" { "Timeline" }
            a href="/web/audit/hosts" { "Hosts" }
            a href="#locks" { "Locks" }
        }
        @if let Some(fault) = &found.fault { p class="notice" role="alert" { (plain(fault)) } }
        (form(&found.form))
        h2 { "Events, newest first" }
        @for sentence in &found.near { p class="notice" { (plain(sentence)) } }
        @if found.fault.is_some() {
            p { "No search: mend what is named above." }
        } @else if found.rows.is_empty() {
            p { @if found.before.is_some() { "No event fits so far." } @else { "No event fits." } }
        } @else {
            (table(&found.rows))
        }
        p class="links" {
            @if let Some(before) = found.before {
                a class="button quiet" href={ "/web/audit?" (found.form.query(Some(before))) } {
                    @if found.is_full { "Older events" } @else { "Search on, below event " (before) }
                }
            }
            @if !found.rows.is_empty() { a class="button quiet" href=(csv) { "CSV of these events" } }
        }
        (self::locks(locks))
        p class="small" {
            a href="/web/audit/hosts" { "Hosts" }
            " shows which revoked passes each known host refuses. The whole ledger is verified by "
            code { "daypass ledger verify" } "."
        }
    })
}

fn before(form: &Form) -> Option<u64> {
    form.before.parse().ok()
}

fn form(form: &Form) -> Markup {
    let kinds = KINDS.into_iter().chain([EMERGENCY]);
    html! {
        form class="search" method="get" action="/web/audit" role="search" aria-label="Events" {
            (field(("who", "Who: label, subject or key"), &form.who))
            (field(("role", "Role"), &form.role))
            (field(("host", "Host, host group or bastion"), &form.host))
            div {
                label for="event" { "Event" }
                select id="event" name="event" {
                    option value="" { "any" }
                    @for kind in kinds { option value=(kind) selected[form.event == kind] { (kind) } }
                }
            }
            (field(("reason", "Text in the reason or comment"), &form.reason))
            (field(("since", "Since: 7d or 2026-01-05"), &form.since))
            (field(("until", "Until"), &form.until))
            (field(("valid_on", "Passes valid on"), &form.valid_on))
            label class="check" {
                input type="checkbox" name="unreviewed" value="on" checked[!form.unreviewed.is_empty()];
                " Open reviews only"
            }
            label class="check" {
                input type="checkbox" name="plain_logins" value="on" checked[!form.plain_logins.is_empty()];
                " With a host: plain logins too"
            }
            div class="actions" { button type="submit" { "Search" } }
        }
    }
}

/// A field of a form, with its label.
pub(super) fn field((name, label): (&str, &str), value: &str) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            input id=(name) name=(name) type="text" maxlength="500" value=(value) autocomplete="off" spellcheck="false";
        }
    }
}

/// Characters of a cell that are shown. The page of the event has them all.
const CELL: usize = 160;

fn table(rows: &[Row]) -> Markup {
    html! {
        div class="scroll" {
            table class="events" {
                thead { tr { @for head in Row::COLUMNS { th scope="col" { (title(head)) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (head, cell) in Row::COLUMNS.iter().zip(&row.cells) {
                                td data-label=(title(head)) class=[cell.is_empty().then_some("empty")] {
                                    @if *head == "INDEX" {
                                        a href={ "/web/audit/" (cell) } { (cell) }
                                    } @else {
                                        bdi { (short(cell, CELL)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// `Approved by` for `APPROVED BY`.
fn title(head: &str) -> String {
    let (first, rest) = head.split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

fn locks(locks: &[v1::Lock]) -> Markup {
    html! {
        h2 id="locks" { "Locks in force" }
        @if locks.is_empty() { p { "Nothing is locked." } }
        ul class="cards" {
            @for lock in locks {
                li class="card" {
                    strong { bdi { (short(&target(lock), CELL)) } }
                    " by " bdi { (short(&lock.by, CELL)) } ", " (moment(lock.at)) " "
                    a href={ "/web/audit/" (lock.index) } { "event " (lock.index) }
                    @if !lock.reason.is_empty() { span class="reason" { bdi { (plain(&lock.reason)) } } }
                }
            }
        }
    }
}

fn target(lock: &v1::Lock) -> String {
    match lock.target.as_ref().and_then(|it| it.target.as_ref()) {
        Some(Target::Identity(name)) => format!("identity {name}"),
        Some(Target::Key(key)) => format!("key {key}"),
        Some(Target::Role(role)) => format!("role {role}"),
        None => String::new(),
    }
}
