//! A server's gRPC side that lets one host join, and answers it with what a test tells it to.

use std::{collections::HashMap, sync::Arc};

use daypass::{
    ledger::join_code,
    proto::v1::{
        GetRevocationsRequest, GetRevocationsResponse, GetTrustRequest, GetTrustResponse, Host,
        HostKeyProof, HostReport, JoinHostRequest, JoinHostResponse, ListHostsRequest,
        ListHostsResponse, LoginReport, ReportLoginsRequest, ReportLoginsResponse, SyncHostRequest,
        SyncHostResponse,
        hosts_server::{Hosts, HostsServer},
        trust_server::{Trust, TrustServer},
    },
    ssh::host_proof::{HostProof, HostVerb},
};
use parking_lot::Mutex;
use prost::Message;
use sha2::{Digest, Sha256};
use ssh_encoding::Decode;
use ssh_key::{
    PublicKey, SshSig,
    certificate::{Builder, CertType},
};
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status, service::Routes};
use tonic_types::{ErrorDetails, StatusExt};

use super::ca::{Ca, now};

/// The join code of [`FakeHosts`].
pub(crate) const CODE: &str = "7KQ2-M9XP-3A4W-ZZTB";

/// What the server says of the host, and what it was asked.
pub(crate) struct State {
    /// The key that signs host certificates.
    pub(crate) ca: Ca,
    /// The keys that are published as such.
    pub(crate) published: Vec<String>,
    pub(crate) names: Vec<&'static str>,
    /// Seconds from now, from and to which a certificate is valid.
    pub(crate) validity: (i64, i64),
    /// The next serial.
    pub(crate) serial: u64,
    pub(crate) kind: CertType,
    /// What is wrong with the next certificates.
    pub(crate) change: fn(&mut Builder),
    /// Whether the next report is answered by new certificates.
    pub(crate) is_due: bool,
    /// The reason for which every call is refused.
    pub(crate) refuse: Option<&'static str>,
    /// Whether it lacks `ReportLogins`, as an older server does.
    pub(crate) lacks_logins: bool,
    pub(crate) joins: usize,
    /// Every join waits for a permit of it.
    pub(crate) gate: Option<Arc<Semaphore>>,
    pub(crate) reports: Vec<HostReport>,
    pub(crate) logins: Vec<LoginReport>,
    /// How many more reports of logins are taken before the caller is over its rate.
    pub(crate) takes: usize,
    /// The keys that have joined.
    keys: Option<Vec<String>>,
}

/// The services. Clones share their state.
#[derive(Clone)]
pub(crate) struct FakeHosts(pub(crate) Arc<Mutex<State>>);

impl FakeHosts {
    /// Lets a host join as web-1 and www, in the group web.
    pub(crate) fn new() -> Self {
        let ca = Ca::new();
        Self(Arc::new(Mutex::new(State {
            published: vec![ca.line().trim().to_owned()],
            ca,
            names: vec!["web-1", "www"],
            validity: (-300, 14 * 86400),
            serial: 40,
            kind: CertType::Host,
            change: |_| (),
            is_due: false,
            refuse: None,
            lacks_logins: false,
            joins: 0,
            gate: None,
            reports: Vec::new(),
            logins: Vec::new(),
            takes: usize::MAX,
            keys: None,
        })))
    }

    /// Both services.
    pub(crate) fn routes(&self) -> Routes {
        Routes::new(HostsServer::new(self.clone())).add_service(TrustServer::new(self.clone()))
    }

    /// The line of a newcomer's known_hosts.
    pub(crate) fn cert_authority(&self) -> String {
        format!("@cert-authority * {}", self.0.lock().ca.line())
    }
}

impl State {
    fn certify(&mut self, keys: &[HostKeyProof]) -> Vec<String> {
        let certify = |(at, proof): (usize, &HostKeyProof)| {
            let key = PublicKey::from_openssh(&proof.public_key).unwrap();
            let serial = self.serial + at as u64;
            let (names, change) = (&self.names, self.change);
            self.ca
                .certify(self.kind, &key, (serial, self.validity), names, change)
        };
        let certificates = keys.iter().enumerate().map(certify).collect();
        self.serial += 10;
        certificates
    }

    fn refusal(&self) -> Result<(), Status> {
        match self.refuse {
            None => Ok(()),
            Some("UNIMPLEMENTED") => Err(Status::unimplemented("no such service")),
            Some("UNAVAILABLE") => Err(Status::unavailable("later")),
            Some(reason) => Err(refused(reason)),
        }
    }
}

fn refused(reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "daypass", HashMap::new());
    Status::with_error_details(Code::FailedPrecondition, "declined", details)
}

/// Demands that every key has signed.
fn verify(keys: &[HostKeyProof], verb: HostVerb, digest: [u8; 32]) {
    let publics: Vec<PublicKey> = keys
        .iter()
        .map(|proof| PublicKey::from_openssh(&proof.public_key).unwrap())
        .collect();
    let message = HostProof {
        server: "localhost",
        verb,
        digest: &digest,
        keys: &publics,
    }
    .message()
    .unwrap();
    for (proof, key) in keys.iter().zip(&publics) {
        let signature = SshSig::decode(&mut &*proof.signature).unwrap();
        key.verify("daypass-host@v1", &message, &signature).unwrap();
        let algorithm = signature.algorithm().to_string();
        assert_ne!(algorithm, "ssh-rsa");
        assert_ne!(algorithm, "rsa-sha2-256");
    }
}

#[tonic::async_trait]
impl Hosts for FakeHosts {
    async fn join(
        &self,
        request: Request<JoinHostRequest>,
    ) -> Result<Response<JoinHostResponse>, Status> {
        let request = request.into_inner();
        let gate = {
            let mut state = self.0.lock();
            state.joins += 1;
            state.gate.clone()
        };
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let mut state = self.0.lock();
        state.refusal()?;
        let digest = join_code::hash(&request.code).unwrap();
        if Some(digest) != join_code::hash(CODE) {
            return Err(refused("HOST_CODE_INVALID"));
        }
        verify(&request.keys, HostVerb::Join, digest);
        let keys: Vec<String> = request
            .keys
            .iter()
            .map(|it| it.public_key.clone())
            .collect();
        if state.keys.as_ref().is_some_and(|known| *known != keys) {
            return Err(refused("HOST_CODE_USED"));
        }
        state.keys = Some(keys);
        let certificates = state.certify(&request.keys);
        let (name, aliases) = state.names.split_first().unwrap();
        let host = Host {
            name: (*name).to_owned(),
            aliases: aliases.iter().map(|it| (*it).to_owned()).collect(),
            group: "web".to_owned(),
            ..Host::default()
        };
        Ok(Response::new(JoinHostResponse {
            host: Some(host),
            certificates,
        }))
    }

    async fn sync(
        &self,
        request: Request<SyncHostRequest>,
    ) -> Result<Response<SyncHostResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.0.lock();
        state.refusal()?;
        let digest = Sha256::digest(&request.report).into();
        verify(&request.keys, HostVerb::Sync, digest);
        let report = HostReport::decode(&*request.report).unwrap();
        if report.at.abs_diff(now() * 1000) > 300_000 {
            return Err(refused("HOST_REPORT"));
        }
        let may_renew = !report.keeps_certificates;
        state.reports.push(report);
        let certificates = match may_renew && std::mem::take(&mut state.is_due) {
            true => state.certify(&request.keys),
            false => Vec::new(),
        };
        Ok(Response::new(SyncHostResponse {
            certificates,
            ..SyncHostResponse::default()
        }))
    }

    async fn report_logins(
        &self,
        request: Request<ReportLoginsRequest>,
    ) -> Result<Response<ReportLoginsResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.0.lock();
        state.refusal()?;
        if state.lacks_logins {
            return Err(Status::unimplemented(""));
        }
        let digest = Sha256::digest(&request.report).into();
        verify(&request.keys, HostVerb::Logins, digest);
        if state.takes == 0 {
            let details = ErrorDetails::with_error_info("RATE_LIMITED", "daypass", HashMap::new());
            let code = Code::ResourceExhausted;
            return Err(Status::with_error_details(code, "try again", details));
        }
        state.takes -= 1;
        let report = LoginReport::decode(&*request.report).unwrap();
        state.logins.push(report);
        Ok(Response::new(ReportLoginsResponse { foreign: 0 }))
    }

    async fn list(
        &self,
        _: Request<ListHostsRequest>,
    ) -> Result<Response<ListHostsResponse>, Status> {
        Err(Status::unimplemented("not for hosts"))
    }
}

#[tonic::async_trait]
impl Trust for FakeHosts {
    async fn get_trust(
        &self,
        _: Request<GetTrustRequest>,
    ) -> Result<Response<GetTrustResponse>, Status> {
        Ok(Response::new(GetTrustResponse {
            server_name: "localhost".to_owned(),
            host_ca_keys: self.0.lock().published.clone(),
            ..GetTrustResponse::default()
        }))
    }

    async fn get_revocations(
        &self,
        _: Request<GetRevocationsRequest>,
    ) -> Result<Response<GetRevocationsResponse>, Status> {
        Err(Status::unimplemented("not for hosts"))
    }
}
