//! Authentication without an issuer: challenges, and callers who are proven by registered keys
//! instead of a token.

use super::{call::Call, environment::random, services::Services, status::CallError};
use crate::{
    identity::{
        Error, Identity,
        emergency::{MAX_SIGNATURES, Unverified},
        proof,
    },
    ledger::emergency,
    proto::{ask_bytes, v1},
    ssh::key,
    unix_seconds::UnixSeconds,
};

impl Services {
    /// Returns a fresh challenge if a registered key could answer one.
    pub(super) fn challenge(
        &self,
        call: &Call,
    ) -> Result<v1::EmergencyChallengeResponse, CallError> {
        self.admit(call)?;
        if self.authority.policy().registry().is_empty() {
            return Err(Error::EmergencyKey("none is registered here; sign in").into());
        }
        let (challenge, ends) = self.challenges.make(random()?, call.now());
        Ok(v1::EmergencyChallengeResponse {
            challenge,
            expires_at: UnixSeconds::from(ends).get(),
        })
    }

    /// Checks the rate of the address, then the challenge and the signatures over it, then the rate
    /// of the identity.
    pub(super) fn authenticate_by_keys(
        &self,
        call: &mut Call,
        request: &v1::IssueRequest,
        proof: &v1::EmergencyProof,
    ) -> Result<Identity, CallError> {
        self.admit(call)?;
        if call.has_token() {
            return Err(
                Error::EmergencyKey("they come without a token; send one of the two").into(),
            );
        }
        let challenge = self.challenges.check(&proof.challenge, call.now())?;
        let subject = request.proof.clone().unwrap_or_default();
        let key = key::parse(&subject.public_key).map_err(CallError::SubjectKey)?;
        let ask = request.ask.clone().unwrap_or_default();
        let possession = proof::possession_message(
            &self.authority.server_name,
            challenge.hash(),
            &key,
            &ask_bytes(&ask),
        )?;
        let policy = self.authority.policy();
        let signatures = unverified(proof)?;
        let first = signatures.first();
        let holder = first
            .ok_or(Error::EmergencyKey("no registered key has signed"))?
            .key
            .to_bytes()?;
        let message = emergency::message(&holder, &possession);
        let registry = policy.registry();
        let identity = registry.verify(&challenge, &message, &signatures)?;
        call.identify(&identity);
        self.per_identity
            .check((identity.issuer(), identity.subject()))
            .map_err(CallError::RateLimited)?;
        call.prove();
        Ok(identity)
    }
}

fn unverified(proof: &v1::EmergencyProof) -> Result<Vec<Unverified>, CallError> {
    if proof.signatures.len() > MAX_SIGNATURES {
        return Err(Error::TooLarge("the list of emergency signatures").into());
    }
    let read = |one: &v1::emergency_proof::Signature| {
        let key = key::parse(&one.public_key)
            .map_err(|_| Error::EmergencyKey("one of them is a key that nothing here takes"))?;
        Ok(Unverified {
            key,
            signature: one.signature.clone(),
        })
    };
    proof.signatures.iter().map(read).collect()
}
