//! Decisions. The browser signed the decision; the handlers of gRPC check it, and refuse it without
//! a signature by the key that the token is bound to.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{
    caller::{Caller, NoCaller},
    fault::Fault,
    origin,
    site::Site,
};
use crate::{ledger::state::Verb, proto::v1};

/// A decision as the script sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decision {
    /// The commitment of the sign-in that the page was made for.
    commitment: String,
    comment: String,
    /// In OpenSSH form.
    public_key: String,
    /// The secret behind the commitment, in base64.
    binding_secret: String,
    /// An armored SSHSIG.
    signature: String,
    /// An armored SSHSIG by a passkey, if the role demands one.
    #[serde(default)]
    presence_signature: String,
}

/// Takes a decision about a request.
pub(super) async fn decide(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    path: Result<Path<(u64, String)>, PathRejection>,
    caller: Result<Caller, NoCaller>,
    body: Result<Json<Decision>, JsonRejection>,
) -> Response {
    if !origin::is_own(&headers, &site.clients.origin) {
        return Fault::foreign(&site.clients.origin).json();
    }
    let verb = path.map(|Path((id, word))| Some((id, verb(&word)?)));
    let Ok(Some((id, verb))) = verb else {
        return Fault::new(StatusCode::NOT_FOUND, "There is no such decision.").json();
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.json(),
    };
    let decision = match body {
        Ok(Json(decision)) => decision,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let text = "The comment is too long: write at most 500 characters.";
            return Fault::new(StatusCode::PAYLOAD_TOO_LARGE, text).json();
        }
        Err(_) => {
            return Fault::new(StatusCode::BAD_REQUEST, "The decision is malformed.").json();
        }
    };
    // After a sign-in in another tab, the page shows one person and the session is another's.
    if decision.commitment != caller.session.commitment {
        let text = "You have signed in anew in another tab. Load this page again.";
        return Fault::new(StatusCode::CONFLICT, text).json();
    }
    let Ok(binding_secret) = STANDARD.decode(&decision.binding_secret) else {
        return Fault::new(StatusCode::BAD_REQUEST, "The decision is malformed.").json();
    };
    let request = v1::DecideRequest {
        id,
        comment: decision.comment,
        proof: Some(v1::KeyProof {
            public_key: decision.public_key,
            binding_secret,
            signature: decision.signature,
        }),
        presence_signature: decision.presence_signature,
    };
    match caller.decide(verb, request).await {
        Ok(view) => Json(json!({ "state": view.state_text() })).into_response(),
        Err(fault) => fault.json(),
    }
}

/// The decisions of the page.
fn verb(word: &str) -> Option<Verb> {
    let offered = [Verb::Approve, Verb::Deny, Verb::Review];
    offered.into_iter().find(|verb| verb.as_str() == word)
}
