//! Numbers of this CA for its operators: what waits, what is in force, how large it is.

use time::OffsetDateTime;

use super::{authority::Authority, error::Error, published};
use crate::{
    ledger::{LedgerState, state::State},
    unix_seconds::UnixSeconds,
};

/// What waits and what is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overview {
    /// Passes that have not expired and are not revoked.
    pub live_passes: usize,
    /// Requests that wait for approvals.
    pub pending_requests: usize,
    /// Requests that may be redeemed.
    pub approved_requests: usize,
    /// Emergencies that no other person has reviewed.
    pub open_reviews: usize,
    /// Locks in force.
    pub locks: usize,
}

/// Counts over the ledger's state. Its time grows with the passes and requests in memory, so
/// callers ask rarely.
pub(crate) fn overview(authority: &Authority, now: OffsetDateTime) -> Overview {
    authority.store.state(|state| count(state, now))
}

fn count(state: &LedgerState, now: OffsetDateTime) -> Overview {
    let second = UnixSeconds::from(now);
    let is_live = |valid_before: UnixSeconds| valid_before > second;
    let mut overview = Overview {
        live_passes: state
            .passes()
            .filter(|pass| !pass.is_revoked && is_live(pass.valid_before))
            .count(),
        locks: state.locks().count(),
        ..Overview::default()
    };
    for request in state.requests() {
        match request.state(now) {
            State::Pending => overview.pending_requests += 1,
            State::Approved => overview.approved_requests += 1,
            State::ReviewOpen => overview.open_reviews += 1,
            State::Denied
            | State::Cancelled
            | State::Expired
            | State::Redeemed
            | State::Reviewed => {}
        }
    }
    overview
}

/// The revocation list that hosts fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Krl {
    /// Its bytes.
    pub bytes: usize,
    /// Its version.
    pub version: u64,
    /// When its content was made.
    pub made_at: UnixSeconds,
}

/// The revocation list as it is published now.
///
/// # Errors
/// As [`published::revocations`].
pub(crate) async fn krl(authority: &Authority) -> Result<Krl, Error> {
    let list = published::revocations(authority).await?;
    Ok(Krl {
        bytes: list.document.body.len(),
        version: list.version,
        made_at: list.made_at,
    })
}
