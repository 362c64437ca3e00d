//! A server with false answers: the real one of a test's world, reached through this one. It
//! answers `ListRoles`, `Issue`, `EmergencyChallenge` and `Requests.Get` by itself, as the test
//! says, and owns a CA key that it lists beside the real ones.

use std::sync::Arc;

use daypass::proto::v1::{
    self,
    get_trust_response::ca_key,
    ledger_server::{Ledger, LedgerServer},
    passes_server::{Passes, PassesServer},
    requests_server::{Requests, RequestsServer},
    trust_client::TrustClient,
    trust_server::{Trust, TrustServer},
};
use parking_lot::Mutex;
use ssh_key::PrivateKey;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::{Empty, wrappers::TcpListenerStream};
use tonic::{Extensions, Request, Response, Status, transport::Server};

use crate::support::{api::Api, files, now};

/// The answer to one call of `Issue`.
pub(crate) type Issue = Arc<dyn Fn(&v1::IssueRequest) -> v1::IssueResponse + Send + Sync>;

/// What the server answers with.
#[derive(Clone)]
pub(crate) struct Answers {
    /// One list for each call; the last one stays.
    pub(crate) roles: Vec<Vec<v1::Role>>,
    pub(crate) issue: Issue,
    pub(crate) request: v1::Request,
    /// The version of the list of revoked host certificates; none: the real one.
    pub(crate) host_revocations_version: Option<u64>,
    /// By how much the published version of the list of revoked host certificates is too old.
    pub(crate) host_revocations_behind: u64,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            roles: Vec::new(),
            issue: Arc::new(|_| v1::IssueResponse::default()),
            request: v1::Request::default(),
            host_revocations_version: None,
            host_revocations_behind: 0,
        }
    }
}

/// The server.
pub(crate) struct FakeServer {
    /// `http://localhost:PORT`
    pub(crate) url: String,
    /// The CA key that clients trust.
    pub(crate) ca: PrivateKey,
    answers: Arc<Mutex<Answers>>,
    /// The ask of the last `Issue`.
    asked: Arc<Mutex<Option<v1::IssueRequest>>>,
    task: JoinHandle<()>,
}

impl FakeServer {
    /// A server in front of `real`.
    pub(crate) async fn start(real: &Api) -> Self {
        let ca = files::new_key();
        let answers = Arc::new(Mutex::new(Answers::default()));
        let asked = Arc::new(Mutex::new(None));
        let service = Service {
            real: real.clone(),
            ca_key: ca.public_key().to_openssh().unwrap(),
            answers: answers.clone(),
            asked: asked.clone(),
        };
        // The client takes the first address of "localhost".
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::builder()
            .add_service(TrustServer::new(service.clone()))
            .add_service(LedgerServer::new(service.clone()))
            .add_service(RequestsServer::new(service.clone()))
            .add_service(PassesServer::new(service));
        let task = tokio::spawn(async move {
            let served = server.serve_with_incoming(TcpListenerStream::new(listener));
            served.await.unwrap();
        });
        Self {
            url: format!("http://localhost:{port}"),
            ca,
            answers,
            asked,
            task,
        }
    }

    /// Sets what it answers with from now on.
    pub(crate) fn answers(&self, answers: Answers) {
        *self.answers.lock() = answers;
        *self.asked.lock() = None;
    }

    /// What `Issue` was last asked for; none since [`FakeServer::answers`].
    pub(crate) fn asked(&self) -> Option<v1::IssueRequest> {
        self.asked.lock().clone()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Service {
    real: Api,
    ca_key: String,
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Option<v1::IssueRequest>>>,
}

type Answer<T> = Result<Response<T>, Status>;

/// The same call for the real server, with the caller's token.
fn passed_on<T>(request: Request<T>) -> Request<T> {
    let (metadata, _, message) = request.into_parts();
    Request::from_parts(metadata, Extensions::default(), message)
}

fn unused<T>() -> Answer<T> {
    Err(Status::unimplemented("no test needs it"))
}

#[tonic::async_trait]
impl Trust for Service {
    async fn get_trust(
        &self,
        request: Request<v1::GetTrustRequest>,
    ) -> Answer<v1::GetTrustResponse> {
        let mut trust = TrustClient::new(self.real.channel());
        let mut answer = trust.get_trust(passed_on(request)).await?;
        if let Some(version) = self.answers.lock().host_revocations_version {
            answer.get_mut().host_revocations_version = version;
        }
        answer
            .get_mut()
            .ca_keys
            .push(v1::get_trust_response::CaKey {
                public_key: self.ca_key.clone(),
                state: ca_key::State::Active.into(),
            });
        answer.get_mut().host_revocations_version -= self.answers.lock().host_revocations_behind;
        Ok(Response::new(answer.into_inner()))
    }

    async fn get_revocations(
        &self,
        request: Request<v1::GetRevocationsRequest>,
    ) -> Answer<v1::GetRevocationsResponse> {
        let mut trust = TrustClient::new(self.real.channel());
        let answer = trust.get_revocations(passed_on(request)).await?;
        Ok(Response::new(answer.into_inner()))
    }
}

#[tonic::async_trait]
impl Ledger for Service {
    type ExportStream = Empty<Result<v1::ExportResponse, Status>>;

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Answer<v1::GetCheckpointResponse> {
        let mut ledger = v1::ledger_client::LedgerClient::new(self.real.channel());
        let answer = ledger.get_checkpoint(passed_on(request)).await?;
        Ok(Response::new(answer.into_inner()))
    }

    async fn prove(&self, request: Request<v1::ProveRequest>) -> Answer<v1::ProveResponse> {
        let mut ledger = v1::ledger_client::LedgerClient::new(self.real.channel());
        let answer = ledger.prove(passed_on(request)).await?;
        Ok(Response::new(answer.into_inner()))
    }

    async fn list(&self, _: Request<v1::ListRequest>) -> Answer<v1::ListResponse> {
        unused()
    }

    async fn find_policy(
        &self,
        _: Request<v1::FindPolicyRequest>,
    ) -> Answer<v1::FindPolicyResponse> {
        unused()
    }

    async fn export(&self, _: Request<v1::ExportRequest>) -> Answer<Self::ExportStream> {
        unused()
    }
}

#[tonic::async_trait]
impl Passes for Service {
    async fn issue(&self, request: Request<v1::IssueRequest>) -> Answer<v1::IssueResponse> {
        let request = request.into_inner();
        let answer = (self.answers.lock().issue)(&request);
        *self.asked.lock() = Some(request);
        Ok(Response::new(answer))
    }

    async fn issue_for(&self, _: Request<v1::IssueForRequest>) -> Answer<v1::IssueResponse> {
        unused()
    }

    async fn list_roles(
        &self,
        request: Request<v1::ListRolesRequest>,
    ) -> Answer<v1::ListRolesResponse> {
        let mut answers = self.answers.lock().clone();
        if answers.roles.is_empty() {
            let answer = self.real.passes().list_roles(passed_on(request)).await?;
            return Ok(Response::new(answer.into_inner()));
        }
        let roles = match answers.roles.len() {
            1 => answers.roles.remove(0),
            _ => self.answers.lock().roles.remove(0),
        };
        Ok(Response::new(v1::ListRolesResponse {
            roles,
            ..v1::ListRolesResponse::default()
        }))
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Answer<v1::WhoAmIResponse> {
        let answer = self.real.passes().who_am_i(passed_on(request)).await?;
        Ok(Response::new(answer.into_inner()))
    }

    async fn list_passes(
        &self,
        _: Request<v1::ListPassesRequest>,
    ) -> Answer<v1::ListPassesResponse> {
        unused()
    }

    async fn preview_lock_me(
        &self,
        _: Request<v1::PreviewLockMeRequest>,
    ) -> Answer<v1::PreviewResponse> {
        unused()
    }

    async fn lock_me(&self, _: Request<v1::LockMeRequest>) -> Answer<v1::LockResponse> {
        unused()
    }

    async fn explain(&self, _: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        unused()
    }

    async fn emergency_challenge(
        &self,
        _: Request<v1::EmergencyChallengeRequest>,
    ) -> Answer<v1::EmergencyChallengeResponse> {
        Ok(Response::new(v1::EmergencyChallengeResponse {
            challenge: "a challenge".to_owned(),
            expires_at: u64::try_from(now() + 600).unwrap(),
        }))
    }
}

#[tonic::async_trait]
impl Requests for Service {
    type WatchStream = Empty<Result<v1::Request, Status>>;

    async fn get(&self, _: Request<v1::GetRequest>) -> Answer<v1::Request> {
        Ok(Response::new(self.answers.lock().request.clone()))
    }

    async fn open(&self, _: Request<v1::IssueRequest>) -> Answer<v1::Request> {
        Ok(Response::new(self.answers.lock().request.clone()))
    }

    async fn list(&self, _: Request<v1::ListRequestsRequest>) -> Answer<v1::ListRequestsResponse> {
        unused()
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        unused()
    }

    async fn approve(&self, _: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        unused()
    }

    async fn deny(&self, _: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        unused()
    }

    async fn cancel(&self, _: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        unused()
    }

    async fn review(&self, _: Request<v1::DecideRequest>) -> Answer<v1::Request> {
        unused()
    }
}
