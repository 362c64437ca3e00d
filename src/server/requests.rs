//! `daypass.v1.Requests`: one operation each, and a stream of what changes.

mod watch;

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::{Services, call::Call, convert, status::CallError};
use crate::{
    identity::{Identity, KeyHolder},
    ledger::{
        approval,
        state::{self, Verb},
    },
    operations::{
        attempt::Attempt,
        issuance::Issuance,
        requests::{self, Verdict, Viewer},
    },
    proto::v1::{self, requests_server::Requests},
    ssh::key,
    ssh::sshsig::Namespace,
};

use watch::Watch;

type Changes = ReceiverStream<Result<v1::Request, Status>>;

#[async_trait]
impl Requests for Services {
    type WatchStream = Changes;

    async fn open(
        &self,
        request: Request<v1::IssueRequest>,
    ) -> Result<Response<v1::Request>, Status> {
        let (mut call, request) = Call::open("Requests/Open", request);
        let outcome = self.open_request(&mut call, request).await;
        call.close(outcome)
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Request>, Status> {
        let (mut call, request) = Call::open("Requests/Get", request);
        let outcome = self.one_request(&mut call, request.id).await;
        call.close(outcome)
    }

    async fn list(
        &self,
        request: Request<v1::ListRequestsRequest>,
    ) -> Result<Response<v1::ListRequestsResponse>, Status> {
        let (mut call, request) = Call::open("Requests/List", request);
        let outcome = self.open_requests(&mut call, request).await;
        call.close(outcome)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Changes>, Status> {
        let (mut call, request) = Call::open("Requests/Watch", request);
        let outcome = self.watch_requests(&mut call, request.id).await;
        call.close(outcome)
    }

    async fn approve(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::Request>, Status> {
        let (call, request) = Call::open("Requests/Approve", request);
        self.decide(call, request, Verb::Approve).await
    }

    async fn deny(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::Request>, Status> {
        let (call, request) = Call::open("Requests/Deny", request);
        self.decide(call, request, Verb::Deny).await
    }

    async fn cancel(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::Request>, Status> {
        let (call, request) = Call::open("Requests/Cancel", request);
        self.decide(call, request, Verb::Cancel).await
    }

    async fn review(
        &self,
        request: Request<v1::DecideRequest>,
    ) -> Result<Response<v1::Request>, Status> {
        let (call, request) = Call::open("Requests/Review", request);
        self.decide(call, request, Verb::Review).await
    }
}

impl Services {
    async fn open_request(
        &self,
        call: &mut Call,
        request: v1::IssueRequest,
    ) -> Result<v1::Request, CallError> {
        let identity = self.authenticate(call).await?;
        let (holder, ask) = match self.read(&identity, &request) {
            Ok(read) => read,
            Err(refusal) => return Err(self.refuse(call, &identity, &request, refusal).await),
        };
        let issuance = Issuance::new(&self.authority, &holder, &ask, call.context());
        let view = issuance.open().await?;
        Ok(convert::request(&view))
    }

    async fn one_request(&self, call: &mut Call, id: u64) -> Result<v1::Request, CallError> {
        let identity = self.authenticate(call).await?;
        let view = requests::get(&self.authority, &identity, id, call.now()).await?;
        Ok(convert::request(&view))
    }

    async fn open_requests(
        &self,
        call: &mut Call,
        request: v1::ListRequestsRequest,
    ) -> Result<v1::ListRequestsResponse, CallError> {
        let identity = self.authenticate(call).await?;
        let page = convert::requests_page(&request)?;
        let viewer = Viewer::new(&self.authority, &identity);
        let (views, next) = requests::list(&self.authority, &viewer, page, call.now()).await?;
        Ok(v1::ListRequestsResponse {
            requests: views.iter().map(convert::request).collect(),
            next_page_token: next.map(|id| id.to_string()).unwrap_or_default(),
        })
    }

    async fn watch_requests(&self, call: &mut Call, id: u64) -> Result<Changes, CallError> {
        let identity = self.authenticate(call).await?;
        if id != 0 {
            requests::get(&self.authority, &identity, id, call.now()).await?;
        }
        let viewer = Viewer::new(&self.authority, &identity);
        let only = (id != 0).then_some(id);
        let (place, news) = self.watches.open(&identity, only, viewer.sight().clone())?;
        let (sender, changes) = mpsc::channel(16);
        let watch = Watch {
            authority: self.authority.clone(),
            identity,
            viewer,
            only,
            told: BTreeMap::new(),
            place,
            sender,
        };
        let (clock, stop) = (call.clock(), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = watch.run(news, clock) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(ReceiverStream::new(changes))
    }

    async fn decide(
        &self,
        mut call: Call,
        request: v1::DecideRequest,
        verb: Verb,
    ) -> Result<Response<v1::Request>, Status> {
        let outcome = self.take_decision(&mut call, &request, verb).await;
        call.close(outcome)
    }

    async fn take_decision(
        &self,
        call: &mut Call,
        request: &v1::DecideRequest,
        verb: Verb,
    ) -> Result<v1::Request, CallError> {
        let identity = self.authenticate(call).await?;
        let comment = convert::comment(&request.comment)?.unwrap_or_default();
        let (state, digest) = requests::digest(&self.authority, request.id).await?;
        let message = approval::Message {
            verb,
            server_name: &self.authority.server_name,
            issuer: identity.issuer(),
            subject: identity.subject(),
            digest: &digest,
            comment: &comment,
        };
        let holder = match decider(&identity, request, &message.to_bytes()) {
            Ok(holder) => holder,
            Err(refusal) => {
                return Err(self.refuse_decision(call, &identity, &state, refusal).await);
            }
        };
        let verdict = Verdict {
            id: request.id,
            verb,
            comment: &comment,
            signature: &request.signature,
        };
        let view = requests::decide(&self.authority, &holder, &verdict, call.context()).await?;
        Ok(convert::request(&view))
    }

    /// Records a decision without its proof, once.
    async fn refuse_decision(
        &self,
        call: &Call,
        identity: &Identity,
        request: &state::Request,
        refusal: CallError,
    ) -> CallError {
        let ask = requests::about(request);
        let (reason, detail) = (refusal.reason(), refusal.to_string());
        let attempt = Attempt {
            identity,
            key: None,
            ask: &ask,
            context: call.context(),
        };
        match attempt.refuse(&self.authority, reason, &detail).await {
            Ok(()) => refusal,
            Err(error) => error.into(),
        }
    }
}

/// The proof that the decider holds the key that signed, and that their token is bound to it.
fn decider(
    identity: &Identity,
    request: &v1::DecideRequest,
    message: &[u8],
) -> Result<KeyHolder, CallError> {
    let key = key::parse(&request.public_key).map_err(CallError::SubjectKey)?;
    let (secret, signature) = (&request.binding_secret, &request.signature);
    let identity = identity.clone();
    Ok(identity.hold_for(Namespace::Approve, key, secret, message, signature)?)
}
