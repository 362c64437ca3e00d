//! Handlers of `daypass.v1.Requests`: one operation each, and a stream of changes.

mod watch;

use std::collections::BTreeMap;

use ssh_key::PublicKey;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, async_trait};

use super::{answer::Answer, call::Call, convert, services::Services, status::CallError};
use crate::{
    identity::{Identity, KeyHolder},
    ledger::{approval, state::Verb},
    operations::{
        self,
        attempt::Attempt,
        issuance::Issuance,
        requests::{self, Verdict, Viewer},
    },
    policy::{Denial, Reason},
    proto::v1::{self, requests_server::Requests},
    ssh::{key, presence, sshsig::Namespace},
};

use watch::Watch;

type Changes = ReceiverStream<Result<v1::Request, Status>>;

#[async_trait]
impl Requests for Services {
    type WatchStream = Changes;

    async fn open(&self, request: Request<v1::IssueRequest>) -> Answer<v1::Request> {
        let method = "Requests/Open";
        self.answer_known(method, request, async |call, identity, request| {
            let (holder, ask) = self.holder(call, &identity, &request).await?;
            let issuance = Issuance::new(&self.authority, &holder, &ask, call.context());
            Ok(convert::request(&issuance.open().await?))
        })
        .await
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Answer<v1::Request> {
        let method = "Requests/Get";
        self.answer_known(method, request, async |call, identity, request| {
            let view = requests::get(&self.authority, &identity, request.id, call.now()).await?;
            Ok(convert::request(&view))
        })
        .await
    }

    async fn list(
        &self,
        request: Request<v1::ListRequestsRequest>,
    ) -> Answer<v1::ListRequestsResponse> {
        let method = "Requests/List";
        self.answer_known(method, request, async |call, identity, request| {
            let page = convert::requests_page(&request)?;
            let viewer = Viewer::new(&self.authority, &identity);
            let (views, next) = requests::list(&self.authority, &viewer, page, call.now()).await?;
            Ok(v1::ListRequestsResponse {
                requests: views.iter().map(convert::request).collect(),
                next_page_token: next.map(|id| id.to_string()).unwrap_or_default(),
            })
        })
        .await
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Answer<Changes> {
        let method = "Requests/Watch";
        self.answer_known(method, request, async |call, identity, request| {
            self.start_watch(call, identity, &request).await
        })
        .await
    }

    async fn approve(&self, request: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        self.decide("Requests/Approve", Verb::Approve, request)
            .await
    }

    async fn deny(&self, request: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        self.decide("Requests/Deny", Verb::Deny, request).await
    }

    async fn cancel(&self, request: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        self.decide("Requests/Cancel", Verb::Cancel, request).await
    }

    async fn review(&self, request: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        self.decide("Requests/Review", Verb::Review, request).await
    }
}

impl Services {
    async fn start_watch(
        &self,
        call: &Call,
        identity: Identity,
        request: &v1::WatchRequest,
    ) -> Result<Changes, CallError> {
        let id = request.id;
        match id {
            0 => requests::follow(&self.authority).await?,
            _ => drop(requests::get(&self.authority, &identity, id, call.now()).await?),
        }
        let viewer = Viewer::new(&self.authority, &identity);
        let only = (id != 0).then_some(id);
        let (slot, events) = self.watches.open(&identity, only, viewer.sight().clone())?;
        let (sender, changes) = mpsc::channel(16);
        let watch = Watch {
            authority: self.authority.clone(),
            identity,
            viewer,
            only,
            beats: request.beats,
            told: BTreeMap::new(),
            slot,
            sender,
            stop: self.stop.clone(),
        };
        let (clock, stop) = (call.clock(), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = watch.run(events, clock) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(ReceiverStream::new(changes))
    }

    async fn decide(
        &self,
        method: &'static str,
        verb: Verb,
        request: Request<v1::DecideRequest>,
    ) -> Answer<v1::Request> {
        self.answer_known(method, request, async |call, identity, request| {
            let comment = convert::comment(&request.comment)?.unwrap_or_default();
            let (about, digest) = requests::digest(&self.authority, request.id).await?;
            let message = approval::Message {
                verb,
                server_name: &self.authority.server_name,
                issuer: identity.issuer(),
                subject: identity.subject(),
                digest: &digest,
                comment: &comment,
            };
            let (proof, message) = (request.proof.unwrap_or_default(), message.to_bytes());
            let shown = &request.presence_signature;
            let proven = decider(&identity, &proof, &message)
                .and_then(|holder| Ok((holder, self.presence(shown, &message)?)));
            let (holder, presence) = match proven {
                Ok(proven) => proven,
                Err(refusal) => {
                    let attempt = Attempt {
                        by: None,
                        identity: &identity,
                        key: None,
                        ask: &requests::about(&about),
                        context: call.context(),
                    };
                    let detail = refusal.to_string();
                    return Err(self.recorded(attempt, refusal, &detail).await);
                }
            };
            let verdict = Verdict {
                id: request.id,
                verb,
                comment: &comment,
                signature: &proof.signature,
                presence: presence.map(|key| (key, shown.as_str())),
            };
            let view = requests::decide(&self.authority, &holder, &verdict, call.context()).await?;
            Ok(convert::request(&view))
        })
        .await
    }
}

impl Services {
    /// The key that shows the presence of the decider: one of OpenSSH, or a passkey that signed on
    /// the page of this server. `None` if there is no signature.
    fn presence(&self, unverified: &str, message: &[u8]) -> Result<Option<PublicKey>, CallError> {
        if unverified.is_empty() {
            return Ok(None);
        }
        let refused = |error: presence::Error| {
            let detail = format!("the signature by a passkey or security key is refused: {error}");
            operations::Error::Denied(Denial::new(Reason::Presence, detail))
        };
        let shown = presence::verify(unverified, Namespace::Approve, message).map_err(refused)?;
        let is_of_page = |origin: String| format!("{origin}/web") == self.page_url;
        match shown.origin.is_none_or(is_of_page) {
            true => Ok(Some(shown.key)),
            false => Err(refused(presence::Error::Origin).into()),
        }
    }
}

/// Proves that the decider holds the signing key, and that the decider's token is bound to it.
fn decider(
    identity: &Identity,
    proof: &v1::KeyProof,
    message: &[u8],
) -> Result<KeyHolder, CallError> {
    let key = key::parse(&proof.public_key).map_err(CallError::SubjectKey)?;
    let (secret, signature) = (&proof.binding_secret, &proof.signature);
    let identity = identity.clone();
    Ok(identity.prove_possession_for(Namespace::Approve, key, secret, message, signature)?)
}
