//! "My access": what a person may have, has and has asked for, and the lock on themself.
//!
//! The cookie alone reads this page. The lock needs a signature by the browser's key, so a thief of
//! the cookie locks no one out.

use std::sync::Arc;

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode, header::SET_COOKIE};
use serde::Deserialize;
use serde_json::json;

use super::{
    caller::{Caller, NoCaller},
    cookies,
    environment::now,
    fault::Fault,
    origin,
    pages::{self, Access},
    reading::fault_page,
    site::Site,
    target::Target,
    view::RequestView,
};
use crate::{proto::v1, unix_seconds::UnixSeconds};

/// Requests that are looked through for those of the person.
const LOOKED_AT: u32 = 500;

/// Requests of the person that are shown at most.
const SHOWN: usize = 50;

/// Serves the page.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    caller: Result<Caller, NoCaller>,
) -> Response {
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Access),
    };
    match access(&caller).await {
        Ok(access) => {
            let (server, now) = (&site.authority.server_name, UnixSeconds::from(now()));
            pages::access(&caller.session, server, &access, now).into_response()
        }
        Err(fault) => fault_page(&fault, Target::Access),
    }
}

async fn access(caller: &Caller) -> Result<Access, Fault> {
    let site = &caller.site;
    let roles = caller.call(v1::ListRolesRequest::default())?;
    let roles = caller.ended(site.passes.list_roles(roles).await)?;
    let passes = caller.call(v1::ListPassesRequest {})?;
    let passes = caller.ended(site.passes.list_passes(passes).await)?;
    let lock = caller.call(v1::PreviewLockMeRequest {})?;
    let lock = caller.ended(site.passes.preview_lock_me(lock).await)?;
    Ok(Access {
        roles: roles.roles,
        locked: roles.locked,
        passes: passes.passes,
        more_passes: passes.more,
        requests: own_requests(caller).await?,
        lock,
    })
}

async fn own_requests(caller: &Caller) -> Result<Vec<RequestView>, Fault> {
    let request = caller.call(v1::ListRequestsRequest {
        all: true,
        page_size: LOOKED_AT,
        page_token: String::new(),
    })?;
    let answer = caller.ended(caller.site.requests.list(request).await)?;
    let views = answer.requests.into_iter().map(RequestView::read);
    let mut views = views.collect::<Result<Vec<_>, _>>()?;
    let me = &caller.session.identity;
    views.retain(|view| {
        let who = &view.content.who;
        (who.issuer.as_str(), who.subject.as_str()) == (me.issuer(), me.subject())
    });
    views.sort_by_key(|view| std::cmp::Reverse(view.id));
    views.truncate(SHOWN);
    Ok(views)
}

/// A lock as the script sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignedLock {
    /// The commitment of the sign-in that the page was made for.
    commitment: String,
    reason: String,
    after: u64,
    /// In OpenSSH form.
    public_key: String,
    /// The secret behind the commitment, in base64.
    binding_secret: String,
    /// An armored SSHSIG.
    signature: String,
}

/// Locks the person, and ends the session.
pub(super) async fn lock_me(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    caller: Result<Caller, NoCaller>,
    body: Result<Json<SignedLock>, JsonRejection>,
) -> Response {
    if !origin::is_own(&headers, &site.clients.origin) {
        return Fault::foreign(&site.clients.origin).json();
    }
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.json(),
    };
    let malformed = || Fault::new(StatusCode::BAD_REQUEST, "The lock is malformed.").json();
    let Ok(Json(lock)) = body else {
        return malformed();
    };
    if lock.commitment != caller.session.commitment {
        let text = "You have signed in anew in another tab. Load this page again.";
        return Fault::new(StatusCode::CONFLICT, text).json();
    }
    let Ok(binding_secret) = STANDARD.decode(&lock.binding_secret) else {
        return malformed();
    };
    let order = v1::AdminOrder {
        reason: lock.reason,
        after: lock.after,
        proof: Some(v1::KeyProof {
            public_key: lock.public_key,
            binding_secret,
            signature: lock.signature,
        }),
    };
    match locked(&caller, order).await {
        Ok(revoked) => {
            caller.end();
            let mut response = Json(json!({ "revoked": revoked })).into_response();
            if let Ok(gone) = cookies::remove(cookies::SESSION) {
                let _ = response.headers_mut().append(SET_COOKIE, gone);
            }
            response
        }
        Err(fault) => fault.json(),
    }
}

/// Returns the number of revoked passes.
async fn locked(caller: &Caller, order: v1::AdminOrder) -> Result<usize, Fault> {
    let request = caller.call(v1::LockMeRequest { order: Some(order) })?;
    let answer = caller.site.passes.lock_me(request).await?;
    Ok(answer.into_inner().serials.len())
}
