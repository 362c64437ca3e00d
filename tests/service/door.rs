//! A world without sshd, its services over TLS, a caller who can do things right, and the program's log.

use std::{
    io::{self, Write},
    str::FromStr,
    sync::{Arc, LazyLock},
};

use daypass::{
    dev::world::{Options, World},
    identity::proof,
    proto::{
        ask_bytes,
        status::Details,
        v1::{self, passes_client::PassesClient},
    },
    server::log::{Format, subscriber},
    ssh::sshsig::Namespace,
};
use parking_lot::Mutex;
use ssh_key::{HashAlg, LineEnding, PrivateKey, private::Ed25519Keypair};
use tempfile::TempDir;
use tonic::{
    Code, Request, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

/// All that this program logged.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = subscriber(Format::Json, "info", move || writer.clone()).unwrap();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub fn log() -> String {
    String::from_utf8(LOG.0.lock().clone()).unwrap()
}

pub struct Door {
    pub world: World,
    pub channel: Channel,
    _folder: TempDir,
}

impl Door {
    /// Opens a world whose `daypass.toml` says this, too.
    pub async fn open(configuration: &str) -> Self {
        LazyLock::force(&LOG);
        let folder = TempDir::new().unwrap();
        let options = Options {
            configuration: configuration.to_owned(),
            without_sshd: true,
            ..Options::default()
        };
        let world = World::start_with(folder.path(), options).await.unwrap();
        let (url, ca) = world.server();
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let endpoint = Endpoint::from_shared(url).unwrap().tls_config(tls).unwrap();
        Self {
            channel: endpoint.connect().await.unwrap(),
            world,
            _folder: folder,
        }
    }

    pub fn passes(&self) -> PassesClient<Channel> {
        PassesClient::new(self.channel.clone())
    }

    /// A plain HTTPS client.
    pub fn plain(&self, builder: reqwest::ClientBuilder) -> reqwest::Client {
        let (_, ca) = self.world.server();
        let root = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
        builder.tls_certs_only([root]).no_proxy().build().unwrap()
    }

    pub fn size(&self) -> u64 {
        self.world.daemon().unwrap().authority().store.size()
    }

    /// The newest event.
    pub async fn last(&self) -> serde_json::Value {
        let store = &self.world.daemon().unwrap().authority().store;
        let entries = store.entries(store.size() - 1, 1).await.unwrap();
        serde_json::from_slice(&entries[0].1).unwrap()
    }

    pub fn caller(&self, name: &str) -> Caller {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
        let secret = vec![9; 32];
        let commitment = proof::commitment(key.public_key(), &secret).unwrap();
        Caller {
            token: self.world.issuer().id_token(name, Some(&commitment)),
            key,
            secret,
        }
    }
}

/// Somebody signed in with a key.
#[derive(Clone)]
pub struct Caller {
    pub token: String,
    pub key: PrivateKey,
    pub secret: Vec<u8>,
}

impl Caller {
    /// An ask done right.
    pub fn request(&self, ask: v1::Ask) -> v1::IssueRequest {
        let hash = proof::token_hash(&self.token);
        let public = self.key.public_key();
        let message =
            proof::possession_message("localhost", &hash, public, &ask_bytes(&ask)).unwrap();
        let possession = self
            .key
            .sign(Namespace::Issue.as_str(), HashAlg::Sha512, &message)
            .unwrap();
        v1::IssueRequest {
            ask: Some(ask),
            public_key: public.to_openssh().unwrap(),
            binding_secret: self.secret.clone(),
            possession: possession.to_pem(LineEnding::LF).unwrap(),
            emergency: None,
        }
    }

    pub fn signed<T>(&self, message: T) -> Request<T> {
        with_token(&self.token, message)
    }
}

pub fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = FromStr::from_str(&format!("Bearer {token}")).unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub fn shell() -> v1::Ask {
    v1::Ask {
        role: "shell".into(),
        ..v1::Ask::default()
    }
}

/// A refusal's code and reason.
pub fn refusal(status: &Status) -> (Code, String) {
    let reason = Details::of(status).map(|details| details.reason);
    (status.code(), reason.unwrap_or_default())
}
