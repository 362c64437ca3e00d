//! Entry bundles (C2SP tlog-tiles): the ledger's events over plain HTTPS, for a caller with the
//! token of an auditor. The handler of `Ledger.List` decides who that is, bounds and logs the call.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use tonic::{Code, Status, metadata::MetadataMap};

use super::services::Services;
use crate::{
    ledger::tile::Tile,
    proto::v1::{ListRequest, ledger_server::Ledger},
};

/// Serves the events of a tile of level 0: each is two bytes of length, big-endian, and the leaf.
pub(super) async fn bundle(State(services): State<Arc<Services>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let path = parts.uri.path().strip_prefix("/tile/entries/");
    let path = path.filter(|_| parts.uri.query().is_none());
    let Some(tile) = path.and_then(|path| Tile::parse(&format!("0/{path}"))) else {
        return text(StatusCode::NOT_FOUND, "no bundle has this path");
    };
    match leaves(&services, tile, &parts).await {
        Ok(Some(leaves)) => encoded(&leaves).map_or_else(too_long, |bundle| {
            let headers = [
                (CONTENT_TYPE, "application/octet-stream"),
                (CACHE_CONTROL, "no-store"),
            ];
            (headers, bundle).into_response()
        }),
        Ok(None) => text(
            StatusCode::NOT_FOUND,
            "the ledger does not reach this bundle yet",
        ),
        Err(status) => text(code(status.code()), status.message()),
    }
}

/// The leaves of a tile; none if the ledger does not have it. One answer of `Ledger.List` may hold
/// fewer.
async fn leaves(
    services: &Services,
    tile: Tile,
    parts: &Parts,
) -> Result<Option<Vec<Vec<u8>>>, Status> {
    let metadata = MetadataMap::from_headers(parts.headers.clone());
    let (first, count) = (tile.first(), tile.width());
    let mut leaves: Vec<Vec<u8>> = Vec::with_capacity(count);
    while leaves.len() < count {
        let request = ListRequest {
            from: first + leaves.len() as u64,
            limit: u32::try_from(count - leaves.len()).unwrap_or(1),
            ..ListRequest::default()
        };
        let extensions = parts.extensions.clone();
        let request = tonic::Request::from_parts(metadata.clone(), extensions, request);
        let page = Ledger::list(services, request).await?.into_inner();
        if !tile.is_in(page.size) || page.events.is_empty() {
            return Ok(None);
        }
        leaves.extend(page.events);
    }
    Ok(Some(leaves))
}

/// The bytes of a bundle.
///
/// # Errors
/// Returns the place of a leaf that is longer than the format can say.
fn encoded(leaves: &[Vec<u8>]) -> Result<Vec<u8>, usize> {
    let mut bundle = Vec::new();
    for (at, leaf) in leaves.iter().enumerate() {
        let length = u16::try_from(leaf.len()).map_err(|_| at)?;
        bundle.extend(length.to_be_bytes());
        bundle.extend(leaf);
    }
    Ok(bundle)
}

fn too_long(at: usize) -> Response {
    let message = format!(
        "event {at} of this bundle is longer than 65535 bytes, which a bundle cannot hold: use daypass ledger export"
    );
    text(StatusCode::UNPROCESSABLE_ENTITY, &message)
}

fn code(code: Code) -> StatusCode {
    match code {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Codes of gRPC that the handler does not return.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn text(status: StatusCode, message: &str) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, format!("{message}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_has_each_leaf_behind_its_length_and_names_one_that_is_too_long() {
        let leaves = [b"{}".to_vec(), vec![b'x'; 0x0102]];
        let bundle = encoded(&leaves).unwrap_or_default();
        assert_eq!(bundle.get(..6), Some(&b"\x00\x02{}\x01\x02"[..]));
        assert_eq!(bundle.len(), 2 + 2 + 2 + 0x0102);
        assert!(encoded(&[vec![b'x'; 65_535]]).is_ok());
        assert_eq!(encoded(&[vec![], vec![b'x'; 65_536]]), Err(1));
    }
}
