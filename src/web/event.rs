//! One event of the ledger, what belongs to it, and its proof for the browser.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    audit::search,
    caller::{Caller, NoCaller},
    environment::now,
    fault::Fault,
    pages::{self, EventView},
    reading::fault_page,
    target::Target,
};
use crate::{
    ledger::listed::{Row, named},
    proto::v1::{
        self,
        prove_request::{Inclusion, Proof},
    },
    unix_seconds::UnixSeconds,
};

/// Events that an event names and that are fetched at most.
const NAMED: usize = 6;

/// Events that name an event and that are listed at most.
const NAMING: usize = 50;

/// Serves one event.
pub(super) async fn page(
    caller: Result<Caller, NoCaller>,
    index: Result<Path<u64>, PathRejection>,
) -> Response {
    let Ok(Path(index)) = index else {
        return missing().page();
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.page(Target::Event(index)),
    };
    match view(&caller, index).await {
        Ok(view) => {
            let now = UnixSeconds::from(now());
            pages::event(&caller.session, &view, now).into_response()
        }
        Err(fault) => fault_page(&fault, Target::Event(index)),
    }
}

fn missing() -> Fault {
    let text = "There is no such event in the ledger. Go to /web/audit for those that there are.";
    Fault::new(StatusCode::NOT_FOUND, text)
}

async fn view(caller: &Caller, index: u64) -> Result<EventView, Fault> {
    let leaf = leaf(caller, index).await?.ok_or_else(missing)?;
    let event: Value = serde_json::from_slice(&leaf).map_err(|_| missing())?;
    let related = related(caller, index, &event).await?;
    Ok(EventView {
        index,
        leaf: String::from_utf8(leaf).map_err(|_| missing())?,
        related: related.values().map(Row::of).collect(),
        event,
    })
}

/// The stored bytes of an event; none beyond the end.
async fn leaf(caller: &Caller, index: u64) -> Result<Option<Vec<u8>>, Fault> {
    let request = caller.call(v1::ListRequest {
        from: index,
        limit: 1,
        ..v1::ListRequest::default()
    })?;
    let answer = caller.ended(caller.site.ledger.list(request).await)?;
    Ok(answer.events.into_iter().next())
}

/// The events that this one names, those that name it, and those that name the same request or
/// pass: request, approvals, pass and review lead to each other.
async fn related(
    caller: &Caller,
    index: u64,
    event: &Value,
) -> Result<BTreeMap<u64, Value>, Fault> {
    let mut related = BTreeMap::new();
    let named = named(event);
    for at in named.iter().copied().take(NAMED) {
        let leaf = leaf(caller, at).await?;
        let found = leaf.and_then(|leaf| serde_json::from_slice(&leaf).ok());
        related.extend(found.map(|event| (at, event)));
    }
    // Serials of a lock or a revocation have no story in common.
    let roots = match named.len() {
        1 => named,
        _ => Vec::new(),
    };
    for about in roots.into_iter().chain([index]) {
        let filter = v1::Filter {
            about: Some(about),
            ..v1::Filter::default()
        };
        let found = search(caller, filter, u64::MAX - 1, NAMING).await?;
        for event in found.events.into_iter().chain(found.approvals) {
            let at = event.get("index").and_then(Value::as_u64);
            related.extend(at.map(|at| (at, event)));
        }
    }
    let _ = related.remove(&index);
    Ok(related)
}

/// Serves what a browser needs to verify that an event is in the ledger: the signed checkpoint, the
/// hashes, the key, and the handovers that led to it.
pub(super) async fn proof(
    caller: Result<Caller, NoCaller>,
    index: Result<Path<u64>, PathRejection>,
) -> Response {
    let Ok(Path(index)) = index else {
        return missing().json();
    };
    let caller = match caller {
        Ok(caller) => caller,
        Err(none) => return none.json(),
    };
    match proven(&caller, index).await {
        Ok(proof) => Json(proof).into_response(),
        Err(fault) => fault.json(),
    }
}

async fn proven(caller: &Caller, index: u64) -> Result<Value, Fault> {
    let site = &caller.site;
    // The key first: of a handover between the two calls, both keys sign the checkpoint.
    let request = caller.call(v1::GetTrustRequest {})?;
    let trust = caller.ended(site.trust.get_trust(request).await)?;
    let request = caller.call(v1::GetCheckpointRequest {})?;
    let note = caller.ended(site.ledger.get_checkpoint(request).await)?;
    let note = note.checkpoint;
    let size = unverified_size(&note).filter(|size| index < *size);
    let size = size.ok_or_else(missing)?;
    let request = caller.call(v1::ProveRequest {
        proof: Some(Proof::Inclusion(Inclusion { index, size })),
    })?;
    let hashes = caller.ended(site.ledger.prove(request).await)?.hashes;
    let hashes: Vec<String> = hashes.iter().map(|hash| STANDARD.encode(hash)).collect();
    let handovers = trust.ledger_handovers.iter().map(handover);
    Ok(json!({
        "checkpoint": note,
        "hashes": hashes,
        "key": trust.ledger_verifier_key,
        "handovers": handovers.collect::<Vec<_>>(),
    }))
}

/// A handover as in `/ledger-keys`.
fn handover(handover: &v1::LedgerHandover) -> Value {
    json!({
        "size": handover.size,
        "old": handover.old_key,
        "new": handover.new_key,
        "old_signature": handover.old_signature,
        "new_signature": handover.new_signature,
    })
}

/// The size in a checkpoint of this server. The browser verifies the signature.
fn unverified_size(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}
