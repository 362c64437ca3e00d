//! What can become of a request, and what somebody can decide about it. Pure.

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for approvals.
    Pending,
    /// It has all that it needs, and may be redeemed.
    Approved,
    /// Somebody said no.
    Denied,
    /// Whoever asked took it back.
    Cancelled,
    /// Its time is over.
    Expired,
    /// It has become a pass.
    Redeemed,
    /// An emergency that nobody else has looked at yet.
    ReviewOpen,
    /// An emergency that somebody else has looked at.
    Reviewed,
}

/// What somebody decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// One more approval.
    Approve,
    /// Nobody may redeem it.
    Deny,
    /// Whoever asked takes it back.
    Cancel,
    /// The emergency was looked at.
    Review,
}

impl Verb {
    /// As it is signed and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Cancel => "cancel",
            Self::Review => "review",
        }
    }
}
