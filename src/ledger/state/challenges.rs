//! Answered challenges, and consents to passes on behalf of a user. Each one counts for one pass.
//! Pure.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Rejection, Rule};
use crate::{
    ledger::{Event, consent, emergency::Proof, event::Issued},
    unix_seconds::UnixSeconds,
};

/// Time for which an answered challenge or a consent is remembered. It is far longer than their
/// lives (`identity::emergency::CHALLENGE_LIFE`, `identity::on_behalf::CONSENT_LIFE`).
const MEMORY: Duration = Duration::from_secs(3600);

/// Beginning of the entry of a consent. Challenges are base64url.
const CONSENT: &str = "consent:";

/// Answered challenges and ids of consents, and their times. An id begins with
/// [`CONSENT`], and no challenge does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Challenges {
    answered: BTreeSet<String>,
    by_time: BTreeSet<(UnixSeconds, String)>,
}

impl Challenges {
    /// Remembers the challenge or the consent. Uses the later of the event's time and `agreed`,
    /// because the clock may be behind.
    pub(super) fn apply(&mut self, event: &Event, issued: &Issued, agreed: UnixSeconds) {
        let challenge = issued.emergency_proof.iter();
        let challenge = challenge.map(|proof| proof.challenge.clone());
        let consent = consent::id(issued).map(|id| format!("{CONSENT}{id}"));
        for used in challenge.chain(consent) {
            let at = UnixSeconds::from(event.at).max(agreed);
            self.answered.insert(used.clone());
            self.by_time.insert((at, used));
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

    /// Checks that the consent with this id has given no pass.
    pub(super) fn expect_unused_consent(&self, id: &str) -> Result<(), Rejection> {
        match self.answered.contains(&format!("{CONSENT}{id}")) {
            false => Ok(()),
            true => Err(Rejection::new(
                Rule::ConsentUsed,
                "this consent has given a pass already: let the user sign a new one",
            )),
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
