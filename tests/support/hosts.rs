//! Known hosts as a test plays them: keys in memory, joins and reports made by hand.

use daypass::{
    ledger::{
        event::NewHost,
        join_code,
        order::{Target, Verb},
    },
    proto::v1::{
        AddHostRequest, Host, HostKeyProof, HostReport, JoinHostRequest, JoinHostResponse,
        ListHostsRequest, Login, LoginReport, RemoveHostRequest, ReportLoginsRequest,
        SyncHostRequest, hosts_client::HostsClient, preview_request,
    },
    ssh::{
        host_proof::{HostProof, HostVerb},
        sshsig::Namespace,
    },
    unix_seconds::UnixSeconds,
};
use prost::Message as _;
use sha2::{Digest, Sha256};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKey, rand_core::OsRng};
use tonic::transport::Channel;

use super::{
    api::{Api, Refusal, with_token},
    env::{EnvOptions, TestEnv},
    files, now,
    user::TestUser,
};

/// The section that lets a server know hosts; its key is `host_ca_key`.
pub const SECTION: &str = "[hosts]\nnames = [\"web-*\", \"*.example.com\", \"10.0.0.*\"]\n\
                           [[hosts.key]]\nfile = \"host_ca_key\"\nstate = \"active\"\n";

/// The options of a server in a process of its own that knows hosts.
pub fn knowing(options: EnvOptions) -> EnvOptions {
    files::write_key(&options.folder().join("host_ca_key"), &files::new_key());
    options.configuration(SECTION)
}

/// A host's keys.
#[derive(Clone)]
pub struct TestHost {
    pub name: String,
    pub keys: Vec<PrivateKey>,
}

impl TestHost {
    /// A host with an Ed25519 and an ECDSA key.
    pub fn new(name: &str) -> Self {
        let curve = EcdsaCurve::NistP256;
        let kinds = [Algorithm::Ed25519, Algorithm::Ecdsa { curve }];
        let keys = kinds.map(|kind| PrivateKey::random(&mut OsRng, kind).unwrap());
        Self {
            name: name.to_owned(),
            keys: keys.into(),
        }
    }

    /// Its public keys.
    pub fn public(&self) -> Vec<PublicKey> {
        self.keys
            .iter()
            .map(|key| key.public_key().clone())
            .collect()
    }

    /// Its keys, each with its signature over the call.
    pub fn prove(&self, server: &str, verb: HostVerb, digest: &[u8; 32]) -> Vec<HostKeyProof> {
        let keys = self.public();
        let proof = HostProof {
            server,
            verb,
            digest,
            keys: &keys,
        };
        let message = proof.message().unwrap();
        let one = |key: &PrivateKey| {
            let signed = key.sign(Namespace::Host.as_str(), HashAlg::Sha512, &message);
            let mut signature = Vec::new();
            ssh_encoding::Encode::encode(&signed.unwrap(), &mut signature).unwrap();
            HostKeyProof {
                public_key: key.public_key().to_openssh().unwrap(),
                signature,
            }
        };
        self.keys.iter().map(one).collect()
    }

    /// An honest join.
    pub fn joining(&self, server: &str, code: &str) -> JoinHostRequest {
        JoinHostRequest {
            code: code.to_owned(),
            name: String::new(),
            keys: self.prove(
                server,
                HostVerb::Join,
                &join_code::hash(code).unwrap_or_default(),
            ),
            binding_secret: Vec::new(),
        }
    }

    /// A good report of now, with these serials.
    pub fn report(&self, ca_keys: &[String], certificates: &[u64]) -> HostReport {
        HostReport {
            at: u64::try_from(now()).unwrap() * 1000,
            host: self.name.clone(),
            trusted_ca_keys: ca_keys.to_vec(),
            krl_version: Some(u64::MAX),
            sshd_version: "OpenSSH_9.9p1".to_owned(),
            daypass_version: "0.1.0".to_owned(),
            faults: Vec::new(),
            certificates: certificates.to_vec(),
            logins_until: None,
            keeps_certificates: false,
        }
    }

    /// These logins, reported now by a host of these groups, signed.
    pub fn reporting_logins(
        &self,
        server: &str,
        groups: &[&str],
        logins: Vec<Login>,
    ) -> ReportLoginsRequest {
        let report = LoginReport {
            at: u64::try_from(now()).unwrap() * 1000,
            host: self.name.clone(),
            groups: groups.iter().map(|&it| it.to_owned()).collect(),
            logins,
        }
        .encode_to_vec();
        let digest = Sha256::digest(&report).into();
        ReportLoginsRequest {
            keys: self.prove(server, HostVerb::Logins, &digest),
            report,
        }
    }

    /// The report, signed.
    pub fn reporting(&self, server: &str, report: &HostReport) -> SyncHostRequest {
        let report = report.encode_to_vec();
        let digest = Sha256::digest(&report).into();
        SyncHostRequest {
            keys: self.prove(server, HostVerb::Sync, &digest),
            report,
        }
    }
}

/// A client of `Hosts`.
pub fn hosts(api: &Api) -> HostsClient<Channel> {
    HostsClient::new(api.channel())
}

pub async fn join(api: &Api, request: JoinHostRequest) -> Result<JoinHostResponse, Refusal> {
    Ok(hosts(api).join(request).await?.into_inner())
}

pub async fn sync(api: &Api, request: SyncHostRequest) -> Result<Vec<String>, Refusal> {
    Ok(hosts(api).sync(request).await?.into_inner().certificates)
}

/// The number of logins that the ledger does not explain.
pub async fn report_logins(api: &Api, request: ReportLoginsRequest) -> Result<u32, Refusal> {
    Ok(hosts(api)
        .report_logins(request)
        .await?
        .into_inner()
        .foreign)
}

impl TestUser {
    /// An order that lets a host join, with this code.
    pub async fn add_host_request(&self, host: NewHost) -> AddHostRequest {
        let about = preview_request::Target::Host(host.name.clone());
        let after = self.preview(about).await.map_or(0, |it| it.after);
        let target = Target::NewHost(Box::new(host.clone()));
        AddHostRequest {
            name: host.name,
            group: host.group,
            aliases: host.aliases,
            code_sha256: base16ct::lower::decode_vec(&host.code).unwrap(),
            expires_at: host.expires_at.0,
            rekey: host.rekey,
            order: self.order((Verb::AddHost, &target, "", after)),
        }
    }

    pub async fn send_add_host(&self, request: AddHostRequest) -> Result<u64, Refusal> {
        let request = with_token(request, &self.token);
        Ok(self.api.admin().add_host(request).await?.into_inner().event)
    }

    /// Lets a host of the group `web` join; returns the code.
    pub async fn add_host(&self, name: &str, rekey: bool) -> Result<String, Refusal> {
        let code = code();
        let host = NewHost {
            rekey,
            group: if rekey { "" } else { "web" }.to_owned(),
            ..new_host(name, &code)
        };
        let request = self.add_host_request(host).await;
        self.send_add_host(request).await?;
        Ok(code)
    }

    pub async fn remove_host(&self, name: &str) -> Result<Vec<u64>, Refusal> {
        let about = preview_request::Target::Host(name.to_owned());
        let after = self.preview(about).await?.after;
        let target = Target::Host(name.to_owned());
        let request = RemoveHostRequest {
            name: name.to_owned(),
            order: self.order((Verb::RemoveHost, &target, "", after)),
        };
        let request = with_token(request, &self.token);
        let answer = self.api.admin().remove_host(request).await?;
        Ok(answer.into_inner().certificates)
    }

    /// All hosts; with `behind`, only those that are.
    pub async fn hosts(&self, behind: bool) -> Result<Vec<Host>, Refusal> {
        let request = ListHostsRequest {
            behind,
            page_size: 0,
            page: String::new(),
        };
        let request = with_token(request, &self.token);
        Ok(hosts(&self.api).list(request).await?.into_inner().hosts)
    }
}

/// A host that may join for an hour, of the group `web`.
pub fn new_host(name: &str, code: &str) -> NewHost {
    NewHost {
        name: name.to_owned(),
        group: "web".to_owned(),
        aliases: Vec::new(),
        code: base16ct::lower::encode_string(&join_code::hash(code).unwrap()),
        expires_at: UnixSeconds(u64::try_from(now()).unwrap() + 3600),
        rekey: false,
    }
}

/// A fresh code.
pub fn code() -> String {
    join_code::compose(&rand::random())
}

/// A server that knows hosts, one host that has joined, and the serials of its certificates.
pub async fn joined(env: &TestEnv, name: &str) -> (TestHost, Vec<u64>) {
    let code = env.carol().add_host(name, false).await.unwrap();
    let host = TestHost::new(name);
    let answer = join(&env.api, host.joining(env.api.server_name(), &code)).await;
    let certificates = answer.unwrap().certificates;
    (host, serials(&certificates))
}

/// The serials of certificates.
pub fn serials(certificates: &[String]) -> Vec<u64> {
    let read = |text: &String| ssh_key::Certificate::from_openssh(text).unwrap().serial();
    certificates.iter().map(read).collect()
}
