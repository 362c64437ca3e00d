//! Handlers of `daypass.v1.Passes`. Each converts its request, calls one operation, and converts
//! the answer.

use tonic::{Request, async_trait};

use super::{
    admin::Unproven, answer::Answer, call::Call, convert, environment::random, services::Services,
    status::CallError,
};
use crate::{
    identity::{Identity, KeyHolder, proof},
    ledger::order::Verb,
    operations::{
        access,
        attempt::Attempt,
        issuance::{Issuance, Outcome},
        roles,
    },
    policy::Ask,
    proto::{
        ask_bytes,
        v1::{self, issue_response, passes_server::Passes},
    },
    ssh::key,
};

#[async_trait]
impl Passes for Services {
    async fn issue(&self, request: Request<v1::IssueRequest>) -> Answer<v1::IssueResponse> {
        self.answer("Passes/Issue", request, async |call, request| {
            let identity = match &request.emergency {
                None => self.authenticate(call).await?,
                Some(signatures) => self.authenticate_by_keys(call, &request, signatures)?,
            };
            let (holder, ask) = self.holder(call, &identity, &request).await?;
            self.decided(call, &holder, &ask).await
        })
        .await
    }

    async fn issue_for(&self, request: Request<v1::IssueForRequest>) -> Answer<v1::IssueResponse> {
        self.answer("Passes/IssueFor", request, async |call, request| {
            Box::pin(self.issued_for(call, request)).await
        })
        .await
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        let method = "Passes/Explain";
        self.answer_known(method, request, async |call, identity, request| {
            let wire = request.ask.unwrap_or_default();
            let ask = match wire.role.is_empty() {
                true => convert::readable(&wire),
                false => convert::ask(&wire)?,
            };
            let explanations = roles::explain(&self.authority, &identity, &ask, call.context());
            let roles = explanations.into_iter().map(convert::explanation).collect();
            Ok(v1::ExplainResponse { roles })
        })
        .await
    }

    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Answer<v1::ListRolesResponse> {
        let method = "Passes/ListRoles";
        self.answer_known(method, request, async |call, identity, request| {
            let host = convert::host(&request.host)?;
            convert::expect_few(&request.serials)?;
            let policy = self.authority.policy();
            let caller = call.context().caller;
            let open = roles::list(&policy, &identity, host.as_deref(), caller).into_iter();
            let standing = roles::standing(&self.authority, &identity, &request.serials);
            let roles = open.map(|role| convert::role(&role, &identity, &standing));
            Ok(v1::ListRolesResponse {
                roles: roles.collect(),
                revoked: standing.revoked.clone(),
                locked: standing.locked.clone().unwrap_or_default(),
            })
        })
        .await
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Answer<v1::WhoAmIResponse> {
        let method = "Passes/WhoAmI";
        self.answer_known(method, request, async |call, identity, _| {
            let (policy, context) = (self.authority.policy(), call.context());
            let open = roles::list(&policy, &identity, None, context.caller);
            let issuer = self.issuers.name_of(identity.issuer());
            Ok(convert::who_am_i(&identity, issuer, &open, context.now))
        })
        .await
    }

    async fn list_passes(
        &self,
        request: Request<v1::ListPassesRequest>,
    ) -> Answer<v1::ListPassesResponse> {
        let method = "Passes/ListPasses";
        self.answer_known(method, request, async |call, identity, _| {
            let passes = access::passes(&self.authority, &identity, call.now());
            let (passes, more) = passes.await?;
            Ok(convert::valid_passes(passes, more))
        })
        .await
    }

    async fn preview_lock_me(
        &self,
        request: Request<v1::PreviewLockMeRequest>,
    ) -> Answer<v1::PreviewResponse> {
        let method = "Passes/PreviewLockMe";
        self.answer_known(method, request, async |call, identity, _| {
            let preview = access::preview_own_lock(&self.authority, &identity, call.context());
            Ok(convert::admin::preview(preview.await?))
        })
        .await
    }

    async fn lock_me(&self, request: Request<v1::LockMeRequest>) -> Answer<v1::LockResponse> {
        let method = "Passes/LockMe";
        self.answer_known(method, request, async |call, identity, request| {
            let target = access::own_target(&identity);
            let order = Unproven::new(Verb::Lock, &target, request.order);
            let order = self.proven(call, identity, order).await?;
            let done = access::lock_me(self.order(call, &order)).await?;
            Ok(order.locked(target, done))
        })
        .await
    }

    async fn emergency_challenge(
        &self,
        request: Request<v1::EmergencyChallengeRequest>,
    ) -> Answer<v1::EmergencyChallengeResponse> {
        self.answer("Passes/EmergencyChallenge", request, async |call, _| {
            self.challenge(call)
        })
        .await
    }
}

impl Services {
    /// Returns the ask and the proof that its subject key is the caller's. Records a refusal.
    pub(super) async fn holder(
        &self,
        call: &Call,
        identity: &Identity,
        request: &v1::IssueRequest,
    ) -> Result<(KeyHolder, Ask), CallError> {
        let refusal = match self.prove(identity, request) {
            Ok(proven) => return Ok(proven),
            Err(refusal) => refusal,
        };
        let wire = request.ask.clone().unwrap_or_default();
        let proof = request.proof.clone().unwrap_or_default();
        let key = key::parse(&proof.public_key).ok();
        let attempt = Attempt {
            by: None,
            identity,
            key: key.as_ref(),
            ask: &convert::ask(&wire).unwrap_or_else(|_| convert::readable(&wire)),
            context: call.context(),
        };
        let detail = refusal.to_string();
        Err(self.recorded(attempt, refusal, &detail).await)
    }

    /// Issues what the policy decides, and converts it.
    pub(super) async fn decided(
        &self,
        call: &mut Call,
        holder: &KeyHolder,
        ask: &Ask,
    ) -> Result<v1::IssueResponse, CallError> {
        let issuance = Issuance::new(&self.authority, holder, ask, call.context());
        let answer = match issuance.issue(random()?).await? {
            Outcome::Pass(pass) => {
                call.issued(pass.certificate.serial());
                issue_response::Answer::Pass(convert::pass(&pass)?)
            }
            Outcome::Pending(view) => issue_response::Answer::Request(convert::request(&view)),
        };
        Ok(v1::IssueResponse {
            answer: Some(answer),
        })
    }

    fn prove(
        &self,
        identity: &Identity,
        request: &v1::IssueRequest,
    ) -> Result<(KeyHolder, Ask), CallError> {
        let (no_ask, no_proof) = (v1::Ask::default(), v1::KeyProof::default());
        let wire = request.ask.as_ref().unwrap_or(&no_ask);
        let proof = request.proof.as_ref().unwrap_or(&no_proof);
        let ask = convert::ask(wire)?;
        let key = key::parse(&proof.public_key).map_err(CallError::SubjectKey)?;
        let message = proof::possession_message(
            &self.authority.server_name,
            identity.token_hash(),
            &key,
            &ask_bytes(wire),
        )?;
        let (secret, signature) = (&proof.binding_secret, &proof.signature);
        let holder = identity
            .clone()
            .prove_possession(key, secret, &message, signature)?;
        Ok((holder, ask))
    }
}
