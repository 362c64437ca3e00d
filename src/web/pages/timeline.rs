//! The timeline: a chart without a script, and a table with the same content.

use std::collections::BTreeSet;

use axum::response::Html;
use maud::{Markup, html};

use super::{audit::field, frame::Frame};
use crate::{
    unix_seconds::moment,
    web::{
        lanes::{Bar, Group, groups},
        sessions::Session,
        view::{plain, short},
    },
};

/// The passes of a time. Times are Unix seconds.
pub(in crate::web) struct Chart {
    pub(in crate::web) since: u64,
    pub(in crate::web) until: u64,
    pub(in crate::web) now: u64,
    /// Newest first.
    pub(in crate::web) bars: Vec<Bar>,
    /// Whether older passes are left out.
    pub(in crate::web) is_cut: bool,
    /// Whether every lock and revocation was looked through.
    pub(in crate::web) is_whole: bool,
    /// Sentences about unknown names.
    pub(in crate::web) near: Vec<String>,
}

/// Width of the chart, and height of a lane and of a heading, in the units of the picture.
const WIDTH: u64 = 1000;
const LANE: usize = 20;
const HEADING: usize = 22;
const AXIS: usize = 26;

/// Parts of the time axis.
const PARTS: u64 = 6;

/// The page of the timeline. `form`: who, host, since, until, as they were typed. A sentence in the
/// place of the chart says what is wrong with them.
pub(in crate::web) fn timeline(
    session: &Session,
    form: [&str; 4],
    host_groups: &BTreeSet<String>,
    chart: Result<&Chart, &String>,
) -> Html<String> {
    Frame::new("Timeline", Some(session)).wide().page(&html! {
        p class="back" { a href="/web/audit" { "Audit" } }
        h1 { "Timeline" }
        p { "Who could do what, when: each bar is a pass, from its issue to its end." }
        @if let Err(fault) = chart { p class="notice" role="alert" { (plain(fault)) } }
        (self::form(form, host_groups))
        @if let Ok(chart) = chart { (passes(chart)) }
    })
}

fn passes(chart: &Chart) -> Markup {
    html! {
        @for sentence in &chart.near { p class="notice" { (plain(sentence)) } }
        @if chart.is_cut {
            p class="notice" {
                "Only the newest " (chart.bars.len()) " passes are shown. Older ones of this time are left out: \
                 name a person, a host or a shorter time."
            }
        }
        @if chart.bars.is_empty() {
            @if !chart.is_cut {
                p {
                    "No pass was valid from " (moment(chart.since)) " to " (moment(chart.until))
                    " for this person and host."
                }
            }
        } @else {
            @if !chart.is_whole {
                p class="notice" {
                    "Not every revocation was looked through: a pass may have ended earlier than it is shown. Choose a \
                     shorter time."
                }
            }
            p class="small" {
                "! an emergency. \u{00d7} revoked or locked: the pass ends there, and the dashed rest was not usable."
            }
            div class="scroll" {
                (picture(chart))
            }
            h2 { "The same as a table, newest first" }
            (table(&chart.bars))
        }
    }
}

fn form([who, host, since, until]: [&str; 4], host_groups: &BTreeSet<String>) -> Markup {
    html! {
        form class="search" method="get" action="/web/audit/timeline" role="search" aria-label="Timeline" {
            (field(("who", "Person: label or subject"), who))
            div {
                label for="host" { "Host or host group" }
                input id="host" name="host" type="text" maxlength="500" value=(host) list="groups" autocomplete="off" spellcheck="false";
                datalist id="groups" {
                    @for group in host_groups.iter().take(200) { option value=(group) {} }
                }
            }
            (field(("since", "Since: 7d or 2026-01-05"), since))
            (field(("until", "Until"), until))
            div class="actions" { button type="submit" { "Show" } }
        }
    }
}

/// The chart. What it shows stands in the table for those who do not see it.
fn picture(chart: &Chart) -> Markup {
    let groups = groups(&chart.bars);
    let lanes: usize = groups.iter().map(|group| group.lanes.len()).sum();
    let height = AXIS + groups.len() * HEADING + lanes * LANE + 4;
    let mut top = AXIS;
    html! {
        svg class="timeline" aria-hidden="true" width=(WIDTH) height=(height) viewBox={ "0 0 " (WIDTH) " " (height) } {
            (axis(chart, height))
            @for group in &groups {
                (self::group(chart, group, top))
                @let () = { top += HEADING + group.lanes.len() * LANE; };
            }
        }
    }
}

fn axis(chart: &Chart, height: usize) -> Markup {
    let step = (chart.until - chart.since) / PARTS;
    html! {
        @for part in 0..PARTS {
            @let at = chart.since + part * step;
            @let x = place(chart, at);
            line class="tick" x1=(x) x2=(x) y1="0" y2=(height) {}
            text class="axis" x=(x + 4) y="16" { (moment(at).get(..16).unwrap_or_default()) }
        }
        @if chart.now > chart.since && chart.now < chart.until {
            @let x = place(chart, chart.now);
            line class="now" x1=(x) x2=(x) y1="0" y2=(height) { title { "now" } }
        }
    }
}

fn group(chart: &Chart, group: &Group<'_>, top: usize) -> Markup {
    html! {
        text class="heading" x="4" y=(top + 15) {
            (short(group.who, 60)) " \u{00b7} " (short(group.role, 60))
        }
        @for (at, lane) in group.lanes.iter().enumerate() {
            @for bar in lane { (self::bar(chart, bar, top + HEADING + at * LANE)) }
        }
    }
}

fn bar(chart: &Chart, bar: &Bar, top: usize) -> Markup {
    let (from, to) = (place(chart, bar.start), place(chart, bar.end));
    let rest = place(chart, bar.planned_end).saturating_sub(to);
    let width = (to - from).max(3);
    html! {
        a href={ "/web/audit/" (bar.serial) } tabindex="-1" {
            title { (sentence(bar)) }
            @if bar.ended_by.is_some() && rest > 0 {
                rect class="unused" x=(to) y=(top + 2) width=(rest) height=(LANE - 5) rx="2" {}
            }
            rect class=(if bar.is_emergency { "bar urgent" } else { "bar" })
                x=(from) y=(top + 2) width=(width) height=(LANE - 5) rx="2" {}
            @if bar.is_emergency { text class="mark" x=(from + 3) y=(top + 14) { "!" } }
            @if bar.ended_by.is_some() { text class="end" x=(from + width) y=(top + 15) { "\u{00d7}" } }
        }
    }
}

/// The place of a time in the chart.
fn place(chart: &Chart, time: u64) -> u64 {
    let within = time.clamp(chart.since, chart.until) - chart.since;
    let length = u128::from(chart.until - chart.since).max(1);
    let place = u128::from(within) * u128::from(WIDTH) / length;
    u64::try_from(place).unwrap_or(WIDTH)
}

/// Everything about a pass, for the pointer.
fn sentence(bar: &Bar) -> String {
    let mut text = format!(
        "{}: {} as {}",
        short(&bar.who, 100),
        short(&bar.role, 100),
        short(&bar.logins, 200)
    );
    if !bar.host.is_empty() {
        text.push_str(&format!(" on {}", short(&bar.host, 200)));
    }
    if !bar.command.is_empty() {
        text.push_str(&format!(", only {}", short(&bar.command, 200)));
    }
    text.push_str(&format!(", {} to {}", moment(bar.start), moment(bar.end)));
    if bar.is_emergency {
        text.push_str(", an emergency");
    }
    if bar.ended_by.is_some() {
        text.push_str(", revoked");
    }
    let reason = match bar.reason.as_str() {
        "" => "no reason given".to_owned(),
        reason => short(reason, 400),
    };
    format!("{text}. Why: {reason}. Serial {}", bar.serial)
}

fn table(bars: &[Bar]) -> Markup {
    let heads = [
        "Pass",
        "Who",
        "Role",
        "Host",
        "Logs in as",
        "From",
        "To",
        "Reason",
        "Note",
    ];
    html! {
        div class="scroll" {
            table class="events" {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody {
                    @for bar in bars {
                        tr {
                            td data-label="Pass" { a href={ "/web/audit/" (bar.serial) } { (bar.serial) } }
                            (cell("Who", &bar.who))
                            (cell("Role", &bar.role))
                            (cell("Host", &bar.host))
                            (cell("Logs in as", &bar.logins))
                            (cell("From", &moment(bar.start)))
                            (cell("To", &moment(bar.end)))
                            (cell("Reason", &bar.reason))
                            td data-label="Note" class=[(!bar.is_emergency && bar.ended_by.is_none()).then_some("empty")] {
                                @if bar.is_emergency { "emergency " }
                                @if let Some(index) = bar.ended_by {
                                    a href={ "/web/audit/" (index) } { "revoked by event " (index) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(label: &str, text: &str) -> Markup {
    html! {
        td data-label=(label) class=[text.is_empty().then_some("empty")] { bdi { (short(text, 160)) } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_bar_is_within_the_picture(since in 0..u64::MAX - 1, length in 1_u64..u64::MAX, time in any::<u64>()) {
            let until = since.saturating_add(length);
            let chart = Chart {
                since, until, now: 0, bars: Vec::new(), is_cut: false, is_whole: true, near: Vec::new(),
            };
            prop_assert!(place(&chart, time) <= WIDTH);
            prop_assert_eq!(place(&chart, until), WIDTH);
            prop_assert_eq!(place(&chart, since), 0);
        }
    }
}
