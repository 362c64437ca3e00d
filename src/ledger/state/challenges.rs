//! Answered challenges. Each one counts for one pass. Pure.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Rejection, Rule};
use crate::{
    ledger::{Event, emergency::Proof, event::Issued},
    unix_seconds::UnixSeconds,
};

/// Time for which an answered challenge is remembered. It is far longer than a challenge's life
/// (`identity::emergency::CHALLENGE_LIFE`).
const MEMORY: Duration = Duration::from_secs(3600);

/// Answered challenges and their times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Challenges {
    answered: BTreeSet<String>,
    by_time: BTreeSet<(UnixSeconds, String)>,
}

impl Challenges {
    /// Remembers the challenge. Uses the later of the event's time and `agreed`, because the clock
    /// may be behind.
    pub(super) fn apply(&mut self, event: &Event, issued: &Issued, agreed: UnixSeconds) {
        if let Some(proof) = &issued.emergency_proof {
            let challenge = &proof.challenge;
            let at = UnixSeconds::from(event.at).max(agreed);
            self.answered.insert(challenge.clone());
            self.by_time.insert((at, challenge.clone()));
        }
    }

    /// Forgets challenges that were answered more than [`MEMORY`] before `agreed`.
    pub(super) fn forget_before(&mut self, agreed: UnixSeconds) {
        while let Some((at, challenge)) = self.by_time.first()
            && at.saturating_add(MEMORY) < agreed
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
                "this challenge was already used: get a new one and have it signed",
            )),
        }
    }
}
