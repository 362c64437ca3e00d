//! The script, the style and the icon: in the program, each with a strong ETag (RFC 9110, section
//! 8.8.3).

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderMap, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, ETAG},
};
use sha2::{Digest, Sha256};

use crate::server::conditional;

/// A file.
struct File {
    kind: &'static str,
    body: &'static str,
    tag: String,
}

static SCRIPT: LazyLock<File> = LazyLock::new(|| {
    let body = include_str!("files/page.js");
    File::new("text/javascript; charset=utf-8", body)
});
static ACCESS: LazyLock<File> = LazyLock::new(|| {
    let body = include_str!("files/access.js");
    File::new("text/javascript; charset=utf-8", body)
});
static PASSKEY_SCRIPT: LazyLock<File> = LazyLock::new(|| {
    let body = include_str!("files/passkey.js");
    File::new("text/javascript; charset=utf-8", body)
});
static PROOF: LazyLock<File> = LazyLock::new(|| {
    let body = include_str!("files/proof.js");
    File::new("text/javascript; charset=utf-8", body)
});
static STYLE: LazyLock<File> =
    LazyLock::new(|| File::new("text/css; charset=utf-8", include_str!("files/page.css")));
static ICON: LazyLock<File> =
    LazyLock::new(|| File::new("image/svg+xml", include_str!("files/icon.svg")));

impl File {
    fn new(kind: &'static str, body: &'static str) -> Self {
        let digest = base16ct::lower::encode_string(&Sha256::digest(body));
        Self {
            kind,
            body,
            tag: format!("\"{digest}\""),
        }
    }

    /// The file, or 304 if the browser has it. `no-cache`: the browser asks each time, so that
    /// script and page are always of one version.
    fn answer(&self, headers: &HeaderMap) -> Response {
        let fixed = [(CACHE_CONTROL, "no-cache"), (CONTENT_TYPE, self.kind)];
        let tag = [(ETAG, self.tag.clone())];
        match conditional::has(headers, &self.tag) {
            true => (StatusCode::NOT_MODIFIED, fixed, tag).into_response(),
            false => (fixed, tag, self.body).into_response(),
        }
    }
}

pub(super) async fn script(headers: HeaderMap) -> Response {
    SCRIPT.answer(&headers)
}

pub(super) async fn access_script(headers: HeaderMap) -> Response {
    ACCESS.answer(&headers)
}

pub(super) async fn passkey_script(headers: HeaderMap) -> Response {
    PASSKEY_SCRIPT.answer(&headers)
}

pub(super) async fn proof_script(headers: HeaderMap) -> Response {
    PROOF.answer(&headers)
}

pub(super) async fn style(headers: HeaderMap) -> Response {
    STYLE.answer(&headers)
}

pub(super) async fn icon(headers: HeaderMap) -> Response {
    ICON.answer(&headers)
}
