//! State that the handlers share.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{rate_limit::RateLimit, watches::Watches};
use crate::{
    identity::{Issuers, emergency::Challenges},
    operations::Authority,
};

/// State of the whole server.
pub(super) struct Services {
    pub(super) authority: Arc<Authority>,
    pub(super) issuers: Issuers,
    pub(super) per_address: RateLimit,
    pub(super) per_identity: RateLimit,
    pub(super) challenges: Challenges,
    pub(super) watches: Watches,
    /// The address of the page for approvers. Empty: there is none.
    pub(super) page_url: String,
    /// Ends the streams that have no end of their own.
    pub(super) stop: CancellationToken,
}
