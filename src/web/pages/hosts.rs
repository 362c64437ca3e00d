//! The known hosts, and how old the list of revoked passes is that each of them has.

use axum::response::Html;
use maud::{Markup, html};
use url::form_urlencoded::Serializer;

use super::frame::Frame;
use crate::{
    proto::v1::{self, host::State},
    unix_seconds::{UnixSeconds, moment},
    web::{
        sessions::Session,
        view::{duration, short},
    },
};

/// A page of hosts.
pub(in crate::web) struct HostsView {
    pub(in crate::web) rows: Vec<HostRow>,
    /// The newest version of the list of revoked passes.
    pub(in crate::web) newest: u64,
    pub(in crate::web) only_behind: bool,
    /// Whether it is the first page.
    pub(in crate::web) is_first: bool,
    /// The name after which the next page begins; none after the last page.
    pub(in crate::web) next: Option<String>,
}

/// A host.
pub(in crate::web) struct HostRow {
    pub(in crate::web) host: v1::Host,
    /// When the list that it reported was replaced; none if it is the newest, or unknown.
    pub(in crate::web) outdated_since: Option<UnixSeconds>,
}

/// Characters of a text that are shown.
const TEXT: usize = 160;

/// The heads of the table.
const COLUMNS: [&str; 6] = [
    "Host",
    "State",
    "Reported",
    "List of revoked passes",
    "Host certificate until",
    "Behind because",
];

/// The page of the hosts.
pub(in crate::web) fn hosts(session: &Session, view: &HostsView, now: UnixSeconds) -> Html<String> {
    Frame::new("Hosts", Some(session)).wide().page(&html! {
        p class="back" { a href="/web/audit" { "Audit" } }
        h1 { "Hosts" }
        p {
            "The known hosts by their last reports. The newest list of revoked passes has version "
            (view.newest) ": a host with an older one still takes the passes that were revoked since."
        }
        p class="links" {
            @if view.only_behind { a href="/web/audit/hosts" { "All hosts" } }
            @else { a href="/web/audit/hosts?behind=on" { "Only hosts that are behind" } }
        }
        @if view.rows.is_empty() { p { (none(view)) } } @else { (table(view, now)) }
        @if let Some(next) = &view.next {
            p class="links" { a class="button quiet" href=(address(view, next)) { "Next hosts" } }
        }
        p class="small" {
            "On a command line: " code { "daypass hosts" } ". On a host, " code { "daypass host doctor" }
            " finds what is wrong there."
        }
    })
}

fn none(view: &HostsView) -> &'static str {
    match (view.is_first, view.only_behind) {
        (true, true) => "No host is behind.",
        (true, false) => {
            "No host is known here. Hosts that have not joined report nothing; their lists are not known."
        }
        (false, _) => "No more hosts.",
    }
}

fn address(view: &HostsView, after: &str) -> String {
    let mut query = Serializer::new(String::new());
    query.append_pair("after", after);
    if view.only_behind {
        query.append_pair("behind", "on");
    }
    format!("/web/audit/hosts?{}", query.finish())
}

fn table(view: &HostsView, now: UnixSeconds) -> Markup {
    html! {
        div class="scroll" {
            table class="events" {
                thead { tr { @for head in COLUMNS { th scope="col" { (head) } } } }
                tbody { @for row in &view.rows { (self::row(row, now)) } }
            }
        }
    }
}

fn row(row: &HostRow, now: UnixSeconds) -> Markup {
    let host = &row.host;
    let [name, state, reported, list, certificate, behind] = COLUMNS;
    html! {
        tr {
            td data-label=(name) {
                bdi { (short(&host.name, TEXT)) }
                span class="small" { "group " bdi { (short(&host.group, TEXT)) } }
            }
            td data-label=(state) { (self::state(host)) }
            td data-label=(reported) {
                @if let Some(report) = &host.report { (ago(report.at / 1000, now)) } @else { "never" }
            }
            td data-label=(list) { (self::list(row, now)) }
            td data-label=(certificate) class=[(host.certificate_until == 0).then_some("empty")] {
                @if host.certificate_until > 0 { (moment(host.certificate_until)) }
            }
            td data-label=(behind) class=[host.behind.is_empty().then_some("empty")] {
                @if !host.behind.is_empty() {
                    ul { @for why in &host.behind { li { bdi { (short(why, TEXT)) } } } }
                }
            }
        }
    }
}

fn state(host: &v1::Host) -> &'static str {
    match (host.state(), host.behind.is_empty()) {
        (State::Joined, true) => "current",
        (State::Joined, false) => "behind",
        (State::Expected, _) => "expected",
        (State::Rekeying, true) => "rekeying",
        (State::Rekeying, false) => "rekeying, behind",
        (State::Unspecified, _) => "unknown",
    }
}

/// The list of revoked passes that a host reported, and its age.
fn list(row: &HostRow, now: UnixSeconds) -> Markup {
    let report = row.host.report.as_ref();
    html! {
        @match (report, report.and_then(|it| it.krl_version)) {
            (None, _) => "not known",
            (Some(_), None) => strong { "none" },
            (Some(_), Some(version)) => {
                "version " (version)
                @match row.outdated_since {
                    None => ", the newest",
                    Some(since) => {
                        ", " strong { "outdated for " (duration(now.seconds_since(since))) }
                    }
                }
            }
        }
    }
}

/// A time in Unix seconds, and how long ago it was.
fn ago(seconds: u64, now: UnixSeconds) -> Markup {
    let time = UnixSeconds(seconds.min(now.get()));
    html! {
        (moment(seconds)) span class="small" { (duration(now.seconds_since(time))) " ago" }
    }
}
