//! The states of a request, and the decisions about it. Pure.

use serde::{Deserialize, Serialize};

/// The state of a request or review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It waits for approvals.
    Pending,
    /// It has all its approvals and may be redeemed.
    Approved,
    /// An approver denied it.
    Denied,
    /// The requester withdrew it.
    Cancelled,
    /// It has expired.
    Expired,
    /// It was redeemed for a pass.
    Redeemed,
    /// An emergency whose review is open.
    ReviewOpen,
    /// An emergency that another person has reviewed.
    Reviewed,
}

/// The kinds of decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// One approval.
    Approve,
    /// The end of the request: it cannot be redeemed.
    Deny,
    /// The requester withdraws the request.
    Cancel,
    /// A reviewer closes the review of an emergency.
    Review,
}

impl Verb {
    /// The name in signatures and on screens.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Cancel => "cancel",
            Self::Review => "review",
        }
    }
}
