//! The page on which a person makes a passkey. It registers nothing: the browser prints a line for
//! the policy, which administrators write. So a thief of a session gains no key by it.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};

use super::{
    caller::{Caller, NoCaller},
    pages,
    site::Site,
    target::Target,
};
use crate::operations::requests;

/// Serves the page.
pub(super) async fn page(
    State(site): State<Arc<Site>>,
    caller: Result<Caller, NoCaller>,
) -> Response {
    match caller {
        Ok(caller) => {
            let session = &caller.session;
            let keys = requests::presence_keys(&site.authority, &session.identity);
            pages::passkey(session, &keys).into_response()
        }
        Err(none) => none.page(Target::Passkey),
    }
}
