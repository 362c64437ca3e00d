//! `daypass.v1.Passes`: one operation each.

use tonic::{Request, Response, Status, async_trait};

use super::{
    Services,
    call::{Call, random},
    convert,
    status::CallError,
};
use crate::{
    identity::{Identity, KeyHolder, proof},
    operations::{
        attempt::Attempt,
        issuance::{Issuance, Outcome},
        roles,
    },
    policy::Ask,
    proto::{
        ask_bytes,
        v1::{self, passes_server::Passes},
    },
    ssh::key,
};

#[async_trait]
impl Passes for Services {
    async fn issue(
        &self,
        request: Request<v1::IssueRequest>,
    ) -> Result<Response<v1::IssueResponse>, Status> {
        let (mut call, request) = Call::open("Passes/Issue", request);
        let outcome = self.issue_pass(&mut call, request).await;
        call.close(outcome)
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let (mut call, request) = Call::open("Passes/Explain", request);
        let outcome = self.explain_roles(&mut call, request).await;
        call.close(outcome)
    }

    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Result<Response<v1::ListRolesResponse>, Status> {
        let (mut call, request) = Call::open("Passes/ListRoles", request);
        let outcome = self.roles(&mut call, request).await;
        call.close(outcome)
    }

    async fn emergency_challenge(
        &self,
        request: Request<v1::EmergencyChallengeRequest>,
    ) -> Result<Response<v1::EmergencyChallengeResponse>, Status> {
        let (call, _) = Call::open("Passes/EmergencyChallenge", request);
        let outcome = self.challenge(&call);
        call.close(outcome)
    }
}

impl Services {
    async fn issue_pass(
        &self,
        call: &mut Call,
        request: v1::IssueRequest,
    ) -> Result<v1::IssueResponse, CallError> {
        let identity = match &request.emergency {
            None => self.authenticate(call).await?,
            Some(proof) => self.authenticate_by_keys(call, &request, proof)?,
        };
        let (holder, ask) = match self.read(&identity, &request) {
            Ok(read) => read,
            Err(refusal) => return Err(self.refuse(call, &identity, &request, refusal).await),
        };
        let (authority, context) = (&self.authority, call.context());
        let issuance = Issuance::new(authority, &holder, &ask, context);
        match issuance.issue(random()?).await? {
            Outcome::Pass(pass) => {
                call.issued(pass.certificate.serial());
                Ok(convert::pass(&pass)?)
            }
            Outcome::Pending(view) => Ok(v1::IssueResponse {
                pending: Some(convert::request(&view)),
                ..v1::IssueResponse::default()
            }),
        }
    }

    /// The ask, and the proof that its subject key is the caller's.
    pub(super) fn read(
        &self,
        identity: &Identity,
        request: &v1::IssueRequest,
    ) -> Result<(KeyHolder, Ask), CallError> {
        let wire = request.ask.clone().unwrap_or_default();
        let ask = convert::ask(&wire)?;
        let key = key::parse(&request.public_key).map_err(CallError::SubjectKey)?;
        let message = proof::possession_message(
            &self.authority.server_name,
            identity.token_hash(),
            &key,
            &ask_bytes(&wire),
        )?;
        let secret = &request.binding_secret;
        let holder = identity
            .clone()
            .hold(key, secret, &message, &request.possession)?;
        Ok((holder, ask))
    }

    /// Records the refusal of a proven identity, once. A store that cannot record is what the caller hears of then.
    pub(super) async fn refuse(
        &self,
        call: &Call,
        identity: &Identity,
        request: &v1::IssueRequest,
        refusal: CallError,
    ) -> CallError {
        let wire = request.ask.clone().unwrap_or_default();
        let ask = convert::ask(&wire).unwrap_or_else(|_| convert::readable(&wire));
        let key = key::parse(&request.public_key).ok();
        let detail = refusal.to_string();
        let attempt = Attempt {
            identity,
            key: key.as_ref(),
            ask: &ask,
            context: call.context(),
        };
        let recorded = attempt.refuse(&self.authority, refusal.reason(), &detail);
        match recorded.await {
            Ok(()) => refusal,
            Err(error) => error.into(),
        }
    }

    async fn explain_roles(
        &self,
        call: &mut Call,
        request: v1::ExplainRequest,
    ) -> Result<v1::ExplainResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let wire = request.ask.unwrap_or_default();
        let ask = match wire.role.is_empty() {
            true => convert::readable(&wire),
            false => convert::ask(&wire)?,
        };
        let explanations = roles::explain(&self.authority, &identity, &ask, call.context());
        let roles = explanations.into_iter().map(convert::explanation).collect();
        Ok(v1::ExplainResponse { roles })
    }

    async fn roles(
        &self,
        call: &mut Call,
        request: v1::ListRolesRequest,
    ) -> Result<v1::ListRolesResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let host = convert::host(&request.host)?;
        let policy = self.authority.policy();
        let open = roles::list(&policy, &identity, host.as_deref()).into_iter();
        let roles = open.map(|role| convert::role(role, &identity)).collect();
        Ok(v1::ListRolesResponse { roles })
    }
}
