//! The timeline: who could do what, when, and why.
//!
//! Passes come from the search of the ledger, and so do the locks and revocations that ended them
//! early.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    audit::{in_words, plain_passes, search},
    caller::{Caller, NoCaller},
    environment::now,
    fault::Fault,
    filter::{moment, text},
    pages::{self, Chart},
    reading::fault_page,
    site::Site,
    target::Target,
};
use crate::{
    ledger::event::{Event, EventKind, Issued},
    proto::{
        search::{HOST_BYTES, WHO_BYTES},
        v1,
    },
    unix_seconds::UnixSeconds,
    web::lanes::Bar,
};

/// Bars of one timeline at most.
const BARS: usize = 500;

/// Locks and revocations that are looked through.
const ENDS: usize = 1000;

/// The time that is shown if none is given: a week, in seconds.
const WEEK: u64 = 7 * 24 * 3600;

/// What to show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    pub(super) who: String,
    pub(super) host: String,
    pub(super) since: String,
    pub(super) until: String,
}

/// Serves the timeline.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    caller: Result<Caller, NoCaller>,
    form: Result<Query<Form>, QueryRejection>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Timeline),
    };
    let malformed = || Fault::new(StatusCode::BAD_REQUEST, "The timeline's form is malformed.");
    let form = form.map(|Query(form)| form).map_err(|_| malformed());
    let policy = site.authority.policy();
    let groups = policy
        .roles()
        .iter()
        .flat_map(|role| role.hosts.iter().cloned());
    let groups = groups.collect();
    let (form, chart) = match form {
        Ok(form) => {
            let chart = chart(&caller, &form, now()).await;
            (form, chart)
        }
        Err(fault) => (Form::default(), Err(fault)),
    };
    let (status, chart) = match chart {
        Ok(chart) => (StatusCode::OK, Ok(chart)),
        // The form again, so that the person mends it.
        Err(fault) if fault.status == StatusCode::BAD_REQUEST => {
            (fault.status, Err(in_words(&fault.message)))
        }
        Err(fault) => return fault_page(&fault, Target::Timeline),
    };
    let form = [&*form.who, &*form.host, &*form.since, &*form.until];
    let page = pages::timeline(&caller.session, form, &groups, chart.as_ref());
    (status, page).into_response()
}

async fn chart(caller: &Caller, form: &Form, now: OffsetDateTime) -> Result<Chart, Fault> {
    let malformed = |text: String| Fault::new(StatusCode::BAD_REQUEST, text);
    let since = moment("Since", &form.since, now).map_err(malformed)?.0;
    let until = moment("Until", &form.until, now).map_err(malformed)?.0;
    let now = UnixSeconds::from(now).get();
    let until = if until == 0 { now } else { until };
    let since = if since == 0 {
        until.saturating_sub(WEEK)
    } else {
        since
    };
    if since >= until {
        return Err(malformed("Until is not after Since.".to_owned()));
    }
    let filter = v1::Filter {
        who: text("Who", &form.who, WHO_BYTES).map_err(malformed)?,
        host: text("Host", &form.host, HOST_BYTES).map_err(malformed)?,
        kinds: vec!["issued".to_owned()],
        valid_from: since,
        valid_to: until.saturating_add(1),
        ..v1::Filter::default()
    };
    // One more than is shown, so that it is known whether some are left out.
    let mut found = search(caller, filter.clone(), u64::MAX - 1, BARS + 1).await?;
    match found.plain_passes {
        (0, _) => (),
        // Few passes are of that time, so all that could log in are found.
        (_, false) => {
            let wider = v1::Filter {
                plain_logins: true,
                ..filter
            };
            found = search(caller, wider, u64::MAX - 1, BARS + 1).await?;
        }
        (_, true) => found.near.extend(plain_passes(found.plain_passes)),
    }
    let mut bars: Vec<Bar> = found.events.into_iter().filter_map(bar).collect();
    let is_cut = bars.len() > BARS || found.searched_from > 0;
    bars.truncate(BARS);
    let first = bars.iter().map(|bar| bar.start).min().unwrap_or(since);
    let (ends, is_whole) = ends(caller, first).await?;
    for bar in &mut bars {
        if let Some((at, index)) = ends.get(&bar.serial).filter(|(at, _)| *at < bar.end) {
            bar.end = (*at).max(bar.start);
            bar.ended_by = Some(*index);
        }
    }
    bars.retain(|bar| bar.end >= since);
    Ok(Chart {
        since,
        until,
        now,
        bars,
        is_cut,
        is_whole,
        near: found.near,
    })
}

/// A pass; none if the event is of another kind, or of a bastion's pass, which belongs to another.
fn bar(event: Value) -> Option<Bar> {
    let event: Event = serde_json::from_value(event).ok()?;
    let (serial, at) = (event.index, UnixSeconds::from(event.at).get());
    let EventKind::Issued(issued) = event.what else {
        return None;
    };
    if issued.jump.is_some() {
        return None;
    }
    let Issued {
        who,
        ask,
        permissions,
        valid_before,
        ..
    } = *issued;
    let logins = permissions.principals.iter().map(ToString::to_string);
    Some(Bar {
        serial,
        start: at,
        end: valid_before.get(),
        planned_end: valid_before.get(),
        who: who.label,
        role: ask.role,
        host: ask.host.unwrap_or_default(),
        logins: logins.collect::<Vec<_>>().join(", "),
        command: permissions.force_command.unwrap_or_default(),
        reason: ask.reason.unwrap_or_default(),
        is_emergency: ask.emergency,
        ended_by: None,
    })
}

/// When and by which event passes were revoked from a time on, and whether all such events were
/// looked through.
async fn ends(caller: &Caller, since: u64) -> Result<(BTreeMap<u64, (u64, u64)>, bool), Fault> {
    let filter = v1::Filter {
        kinds: vec!["revoked".to_owned(), "locked".to_owned()],
        since,
        ..v1::Filter::default()
    };
    let found = search(caller, filter, u64::MAX - 1, ENDS).await?;
    let mut ends = BTreeMap::new();
    // Oldest last: the first event that revoked a pass counts.
    for event in found.events {
        let Ok(event) = serde_json::from_value::<Event>(event) else {
            continue;
        };
        let at = UnixSeconds::from(event.at).get();
        let (serials, _) = event.what.came_to();
        ends.extend(
            serials
                .into_iter()
                .map(|serial| (serial, (at, event.index))),
        );
    }
    Ok((ends, found.searched_from == 0))
}
