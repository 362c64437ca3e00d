//! The challenges that were answered. One is good for one pass. Pure.

use std::{collections::BTreeSet, time::Duration};

use super::{Rejection, Rule};
use crate::{
    ledger::{Event, emergency::Proof, event::Issued},
    unix_seconds::UnixSeconds,
};

/// How long an answered challenge is remembered: far longer than one can be answered at all
/// (`identity::emergency::CHALLENGE_LIFE`).
const MEMORY: Duration = Duration::from_secs(3600);

/// Answered challenges, each with when that was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Challenges {
    answered: BTreeSet<String>,
    by_time: BTreeSet<(u64, String)>,
}

impl Challenges {
    /// Remembers the challenge by the later of the event's and the `agreed` time, for the clock may be behind.
    pub(super) fn apply(&mut self, event: &Event, issued: &Issued, agreed: u64) {
        if let Some(proof) = &issued.emergency_proof {
            let challenge = &proof.challenge;
            let at = UnixSeconds::from(event.at).get().max(agreed);
            self.answered.insert(challenge.clone());
            self.by_time.insert((at, challenge.clone()));
        }
    }

    /// Forgets what was answered [`MEMORY`] before `agreed` (Unix seconds).
    pub(super) fn forget_before(&mut self, agreed: u64) {
        while let Some((at, challenge)) = self.by_time.first()
            && at.saturating_add(MEMORY.as_secs()) < agreed
        {
            self.answered.remove(challenge);
            self.by_time.pop_first();
        }
    }

    pub(super) fn expect_fresh(&self, proof: &Proof) -> Result<(), Rejection> {
        match self.answered.contains(&proof.challenge) {
            false => Ok(()),
            true => Err(Rejection::new(
                Rule::ChallengeUsed,
                "this challenge was answered before: ask for a new one, and have that signed",
            )),
        }
    }
}
