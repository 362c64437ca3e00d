//! `Passes/IssueFor`: a bastion or web terminal asks for a pass on behalf of a user who is present.

use super::{call::Call, convert, services::Services, status::CallError};
use crate::{
    identity::{Error, Identity, KeyHolder},
    operations::{
        attempt::Attempt,
        on_behalf::{self, Party},
    },
    policy::Ask,
    proto::v1,
    ssh::key,
    unix_seconds::UnixSeconds,
};

impl Services {
    /// Authenticates the asking identity, proves its key and the user's consent, and issues.
    ///
    /// A refusal until both are proven is the asking identity's: only it is known to have called.
    /// From then on, it is the user's, and names who asked.
    pub(super) async fn issued_for(
        &self,
        call: &mut Call,
        request: v1::IssueForRequest,
    ) -> Result<v1::IssueResponse, CallError> {
        let by = self.authenticate(call).await?;
        let (holder, ask) = match self.consented(call, &by, &request).await {
            Ok(consented) => consented,
            Err(refusal) => return Err(self.refused_for(call, &by, &request, refusal).await),
        };
        self.decided(call, &holder, &ask).await
    }

    async fn consented(
        &self,
        call: &Call,
        by: &Identity,
        request: &v1::IssueForRequest,
    ) -> Result<(KeyHolder, Ask), CallError> {
        let (no_ask, no_proof) = (v1::Ask::default(), v1::KeyProof::default());
        let ask = convert::ask(request.ask.as_ref().unwrap_or(&no_ask))?;
        let of_user = |error| Error::OfUser(Box::new(error));
        let consent = request.consent.as_ref();
        let consent = consent.ok_or_else(|| of_user(Error::ProofMissing))?;
        let user = self.user_of(call, consent).await.map_err(of_user)?;
        let possession = request.proof.as_ref().unwrap_or(&no_proof);
        let signed = consent.proof.as_ref().unwrap_or(&no_proof);
        let unreadable = |_| Error::Consent("its key is not one that this server takes".into());
        let user = Party {
            identity: user,
            key: key::parse(&signed.public_key).map_err(unreadable)?,
            secret: &signed.binding_secret,
            signature: &signed.signature,
        };
        let by = Party {
            identity: by.clone(),
            key: key::parse(&possession.public_key).map_err(CallError::SubjectKey)?,
            secret: &possession.binding_secret,
            signature: &possession.signature,
        };
        let until = UnixSeconds(consent.expires_at);
        let context = (&ask, call.context());
        let holder = on_behalf::holder(&self.authority, &user, &by, until, context)?;
        Ok((holder, ask))
    }

    async fn user_of(&self, call: &Call, consent: &v1::Consent) -> Result<Identity, Error> {
        let (token, now) = (consent.token.as_str(), call.now());
        match consent.original_token.as_str() {
            "" => self.issuers.verify(token, now).await,
            original => Box::pin(self.issuers.verify_refreshed(token, original, now)).await,
        }
    }

    /// Records a refusal of the asking identity, and returns it.
    async fn refused_for(
        &self,
        call: &Call,
        by: &Identity,
        request: &v1::IssueForRequest,
        refusal: CallError,
    ) -> CallError {
        let wire = request.ask.clone().unwrap_or_default();
        let proof = request.proof.clone().unwrap_or_default();
        let key = key::parse(&proof.public_key).ok();
        let attempt = Attempt {
            identity: by,
            by: None,
            key: key.as_ref(),
            ask: &convert::ask(&wire).unwrap_or_else(|_| convert::readable(&wire)),
            context: call.context(),
        };
        let detail = refusal.to_string();
        self.recorded(attempt, refusal, &detail).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{consent, event::RequestDetails},
        proto::ask_bytes,
    };

    /// A bastion and a user sign the bytes of the wire, and an auditor makes them from the event.
    #[test]
    fn the_recorded_ask_has_the_bytes_of_the_one_that_was_sent() {
        let wire = v1::Ask {
            role: "logs".into(),
            host: "web-1".into(),
            params: [("unit".into(), "nginx".into()), ("a".into(), "\0".into())].into(),
            reason: "INC-1".into(),
            ttl_seconds: 60,
            source_addresses: vec!["10.0.0.0/8".into(), "2001:db8::/32".into()],
            extensions: vec!["pty".into()],
            request: 9,
            emergency: true,
        };
        let recorded = RequestDetails {
            role: wire.role.clone(),
            host: Some(wire.host.clone()),
            params: wire.params.clone().into_iter().collect(),
            reason: Some(wire.reason.clone()),
            ttl_seconds: Some(wire.ttl_seconds),
            source_addresses: wire.source_addresses.clone(),
            extensions: wire.extensions.clone(),
            caller: Some("192.0.2.1".into()),
            request: Some(wire.request),
            emergency: true,
        };
        assert_eq!(consent::ask_bytes(&recorded), ask_bytes(&wire));
        let bare = RequestDetails {
            role: "logs".into(),
            ..RequestDetails::default()
        };
        let wire = v1::Ask {
            role: "logs".into(),
            ..v1::Ask::default()
        };
        assert_eq!(consent::ask_bytes(&bare), ask_bytes(&wire));
    }
}
