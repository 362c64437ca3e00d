//! The ledger for those whom the policy's `[audit]` names: a search, and its CSV.

use axum::{
    extract::{Query, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::{
    StatusCode,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use serde_json::Value;
use tonic::Code;

use super::{
    caller::{Caller, NoCaller},
    environment::now,
    fault::Fault,
    filter::Form,
    pages::{self, Found},
    reading::fault_page,
    target::Target,
    view::escaped,
};
use crate::{
    ledger::listed::{csv as to_csv, rows},
    proto::v1,
};

/// Events of a page at most.
const PAGE: u32 = 100;

/// Calls of one search at most. Each one searches for about a tenth of a second.
const CALLS: usize = 10;

/// Serves the search.
pub(super) async fn page(
    caller: Result<Caller, NoCaller>,
    form: Result<Query<Form>, QueryRejection>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Audit),
    };
    let typed = form
        .as_ref()
        .map_or_else(|_| Form::default(), |Query(form)| form.clone());
    let (status, found) = match found(&caller, form).await {
        Ok(found) => (StatusCode::OK, found),
        // The form again, so that the person mends it.
        Err(fault) if fault.status == StatusCode::BAD_REQUEST => (
            fault.status,
            Found::refused(typed, in_words(&fault.message)),
        ),
        Err(fault) => return fault_page(&fault, Target::Audit),
    };
    match locks(&caller).await {
        Ok(locks) => (status, pages::audit(&caller.session, &found, &locks)).into_response(),
        Err(fault) => fault_page(&fault, Target::Audit),
    }
}

/// Serves the events of a page of the search, with every column.
pub(super) async fn csv(
    caller: Result<Caller, NoCaller>,
    form: Result<Query<Form>, QueryRejection>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Audit),
    };
    match found(&caller, form).await {
        Ok(found) => {
            let headers = [
                (CONTENT_TYPE, "text/csv; charset=utf-8"),
                (
                    CONTENT_DISPOSITION,
                    "attachment; filename=\"daypass-ledger.csv\"",
                ),
            ];
            (headers, to_csv(&found.rows, escaped)).into_response()
        }
        Err(fault) => fault_page(&fault, Target::Audit),
    }
}

/// A refusal of the search, by the field's name on the page instead of its name on the wire.
pub(super) fn in_words(message: &str) -> String {
    let Some(rest) = message.strip_prefix("filter.") else {
        return message.to_owned();
    };
    let (first, rest) = rest.split_at_checked(1).unwrap_or_default();
    format!("{}{rest}.", first.to_uppercase())
}

async fn found(caller: &Caller, form: Result<Query<Form>, QueryRejection>) -> Result<Found, Fault> {
    let malformed = |text: String| Fault::new(StatusCode::BAD_REQUEST, text);
    let form = form.map_err(|_| malformed("The search is malformed.".to_owned()));
    let Query(form) = form?;
    let filter = form.filter(now()).map_err(malformed)?;
    let from = form.highest().map_err(malformed)?;
    let found = search(caller, filter, from, PAGE as usize).await?;
    let mut near = found.near;
    let plain = plain_passes(found.plain_passes);
    near.extend(plain.map(|passes| format!("{passes} Plain logins too lists them.")));
    let rows = rows(&found.events, &found.approvals);
    let is_full = rows.len() >= PAGE as usize;
    Ok(Found {
        form,
        rows,
        is_full,
        before: Some(found.searched_from).filter(|from| *from > 0),
        near,
        fault: None,
    })
}

/// The result of a search, newest first.
#[derive(Default)]
pub(super) struct SearchResult {
    pub(super) events: Vec<Value>,
    pub(super) approvals: Vec<Value>,
    /// The search is complete from this index on.
    pub(super) searched_from: u64,
    /// Sentences about names that nothing has, with those that are spelled nearly alike.
    pub(super) near: Vec<String>,
    /// Passes with plain logins that are not of the host and fit otherwise, and whether there may
    /// be more.
    pub(super) plain_passes: (u64, bool),
}

/// Up to `limit` events that fit, from index `from` down.
///
/// # Errors
/// Returns the server's refusal.
pub(super) async fn search(
    caller: &Caller,
    filter: v1::Filter,
    from: u64,
    limit: usize,
) -> Result<SearchResult, Fault> {
    let mut found = SearchResult {
        searched_from: from.saturating_add(1),
        ..SearchResult::default()
    };
    for call in 0..CALLS {
        let room = limit.saturating_sub(found.events.len());
        let Some(from) = found.searched_from.checked_sub(1).filter(|_| room > 0) else {
            break;
        };
        let request = caller.call(v1::ListRequest {
            from,
            limit: u32::try_from(room).unwrap_or(PAGE).min(1000),
            newest_first: true,
            filter: Some(filter.clone()),
        })?;
        let answer = match caller.site.ledger.list(request).await {
            // The rate of calls: what was found is shown, and the next page goes on.
            Err(status) if call > 0 && status.code() == Code::ResourceExhausted => break,
            answer => caller.ended(answer)?,
        };
        let json = |leaf: Vec<u8>| serde_json::from_slice(&leaf).ok();
        found
            .events
            .extend(answer.events.into_iter().filter_map(json));
        found
            .approvals
            .extend(answer.approvals.into_iter().filter_map(json));
        found.searched_from = answer.searched_from.unwrap_or(0);
        found
            .near
            .extend(unknown("person", &filter.who, answer.unknown_who));
        found
            .near
            .extend(unknown("role", &filter.role, answer.unknown_role));
        found
            .near
            .extend(unknown("host", &filter.host, answer.unknown_host));
        if call == 0 {
            found.plain_passes = (answer.plain_passes, answer.plain_passes_more);
        }
        let missing = (answer.approvals_missing, answer.ends_missing);
        found.say_missing(missing, answer.names_left_out);
        if found.searched_from == 0 {
            break;
        }
    }
    Ok(found)
}

impl SearchResult {
    /// Says once what an answer may lack, or have too much.
    fn say_missing(&mut self, (approvals, ends): (bool, bool), names: bool) {
        for (is_so, sentence) in [approvals, ends, names].into_iter().zip(INCOMPLETE) {
            if is_so && !self.near.iter().any(|it| it == sentence) {
                self.near.push(sentence.to_owned());
            }
        }
    }
}

/// What an answer may lack, or have too much.
const INCOMPLETE: [&str; 3] = [
    "Names may be missing in Approved by: the server did not find all in time.",
    "Some of these passes may have been revoked before: the server did not find all revocations in time.",
    "The name stands for more identities or hosts than were searched.",
];

/// A sentence about passes that are not of the host, and hold on some hosts all the same.
pub(super) fn plain_passes((count, is_more): (u64, bool)) -> Option<String> {
    let passes = match (count, is_more) {
        (0, _) => return None,
        (1, false) => "1 more pass has".to_owned(),
        (count, false) => format!("{count} more passes have"),
        (count, true) => format!("At least {count} more passes have"),
    };
    Some(format!(
        "{passes} plain logins, for hosts without a host group."
    ))
}

fn unknown(kind: &str, name: &str, unknown: Option<v1::list_response::Unknown>) -> Option<String> {
    let near = unknown?.near;
    let known = match near.as_slice() {
        [] => String::new(),
        near => format!(
            " Known names that are spelled nearly so: {}.",
            near.join(", ")
        ),
    };
    Some(format!("The {kind} {name} is unknown here.{known}"))
}

/// The locks in force.
async fn locks(caller: &Caller) -> Result<Vec<v1::Lock>, Fault> {
    let request = caller.call(v1::ListLocksRequest {})?;
    let answer = caller.site.admin.list_locks(request).await;
    Ok(caller.ended(answer)?.locks)
}
