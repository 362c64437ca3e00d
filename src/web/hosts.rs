//! The known hosts for those who may read the ledger: which revoked passes each of them refuses,
//! and which are behind.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use tonic::Code;

use super::{
    caller::{Caller, NoCaller},
    environment::now,
    fault::Fault,
    pages::{self, HostRow, HostsView},
    reading::fault_page,
    site::Site,
    target::Target,
};
use crate::{proto::v1, unix_seconds::UnixSeconds};

/// Hosts of a page at most.
const PAGE: u32 = 100;

/// What to show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Form {
    /// Hosts after this name: the next page.
    after: String,
    /// Only hosts that are behind, unless it is empty.
    behind: String,
}

/// Serves a page of the hosts.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    caller: Result<Caller, NoCaller>,
    form: Result<Query<Form>, QueryRejection>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Hosts),
    };
    let Ok(Query(form)) = form else {
        return Fault::new(StatusCode::BAD_REQUEST, "The list's form is malformed.").page();
    };
    match view(&site, &caller, form).await {
        Ok(view) => {
            let now = UnixSeconds::from(now());
            pages::hosts(&caller.session, &view, now).into_response()
        }
        Err(fault) => fault_page(&fault, Target::Hosts),
    }
}

async fn view(site: &Site, caller: &Caller, form: Form) -> Result<HostsView, Fault> {
    let only_behind = !form.behind.is_empty();
    let request = caller.call(v1::ListHostsRequest {
        behind: only_behind,
        page_size: PAGE,
        page: form.after.clone(),
    })?;
    let answer = match site.hosts.list(request).await {
        // The server knows no hosts.
        Err(status) if status.code() == Code::NotFound => v1::ListHostsResponse::default(),
        answer => caller.ended(answer)?,
    };
    let store = &site.authority.store;
    let (newest, rows) = store.state(|state| {
        let row = |host: v1::Host| {
            let report = host.report.as_ref();
            let version = report.and_then(|it| it.krl_version);
            HostRow {
                outdated_since: version.and_then(|version| state.outdated_since(version)),
                host,
            }
        };
        let rows = answer.hosts.into_iter().map(row);
        (state.revocation_version(), rows.collect())
    });
    Ok(HostsView {
        rows,
        newest,
        only_behind,
        is_first: form.after.is_empty(),
        next: Some(answer.next_page).filter(|next| !next.is_empty()),
    })
}
