//! A CA with everything real but the network: issuer, tokens, keys, possession proofs, policy,
//! ledger. A test chooses the kind of the CA key and of a caller's key, and the time of an issue.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use daypass::{
    ca::{Ca, KeyState, draft::parse_subject_key, key::file},
    dev::issuer::{CLIENT_ID, Issuer},
    identity::{Algorithm, Binding, Issuers, KeyHolder, Settings, SignIn, proof},
    ledger::{EventKind, checkpoint::Signer},
    operations::{
        Authority,
        authority::Parts,
        issuance::{Issuance, Outcome},
    },
    policy::{Ask, Context, Policy},
    ssh::sshsig::Namespace,
    store::Store,
};
use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey};
use time::{Duration, OffsetDateTime};

use super::{security_key::SecurityKey, ssh::Pass};

const SERVER: &str = "ca.example.com";

/// A running CA without a server in front.
pub struct TestCa {
    issuer: Issuer,
    issuers: Issuers,
    authority: Authority,
    folder: tempfile::TempDir,
}

impl TestCa {
    /// A CA with this policy and an Ed25519 key.
    pub async fn start(policy: &str) -> Self {
        Self::start_with(policy, "ed25519").await
    }

    /// A CA with a key of this kind (`ssh-keygen -t`).
    pub async fn start_with(policy: &str, kind: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let issuer = Issuer::start().await.unwrap();
        let issuers = Issuers::new(vec![settings(issuer.url())]).unwrap();
        let key = file::load(&make_key(folder.path(), "ca", &[kind]), None).unwrap();
        let signer = Signer::new("ca.example.com/ledger", &[1; 32]).unwrap();
        let started = EventKind::started("test", SERVER);
        let state = folder.path().join("state");
        let store = Store::open(&state, signer, started, OffsetDateTime::now_utc());
        let ca = Ca::new(vec![(key, KeyState::Active)]).unwrap();
        let policy = Policy::parse(policy, "policy.toml").unwrap();
        let now = OffsetDateTime::now_utc();
        let parts = Parts {
            server_name: SERVER.to_owned(),
            ca,
            policy,
            store: store.await.unwrap(),
            is_new_policy: true,
        };
        let authority = Authority::start(parts, now).await.unwrap();
        Self {
            issuer,
            issuers,
            authority,
            folder,
        }
    }

    /// The CA's public key in OpenSSH form.
    pub fn ca_key(&self) -> String {
        self.authority.ca().active().to_openssh().unwrap()
    }

    /// A pass for a fresh Ed25519 key.
    pub async fn pass(&self, person: &str, ask: &Ask) -> Pass {
        self.pass_for(person, ask, &["ed25519"]).await
    }

    /// A pass for a fresh key of this kind (`ssh-keygen -t`).
    pub async fn pass_for(&self, person: &str, ask: &Ask, kind: &[&str]) -> Pass {
        self.issue(person, ask, kind, Duration::ZERO).await
    }

    /// A pass that was issued at another time.
    pub async fn pass_at(&self, person: &str, ask: &Ask, shift: Duration) -> Pass {
        self.issue(person, ask, &["ed25519"], shift).await
    }

    /// Whether this ask is denied.
    pub async fn refuses(&self, person: &str, ask: &Ask) -> bool {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let key = make_key(folder.path(), "pass", &["ed25519"]);
        let holder = self.holder(person, &key).await;
        let context = Context {
            now: OffsetDateTime::now_utc(),
            caller: Some([127, 0, 0, 1].into()),
        };
        let issuance = Issuance::new(&self.authority, &holder, ask, context);
        issuance.issue(rand::random()).await.is_err()
    }

    /// A pass for a security key, or why there is none.
    pub async fn pass_for_security_key(
        &self,
        person: &str,
        ask: &Ask,
        key: &SecurityKey,
    ) -> Result<Pass, daypass::operations::Error> {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let public = key.public();
        // `ssh -i pass` takes the agent's key whose public half is in the file.
        for name in ["pass", "pass.pub"] {
            fs::write(folder.path().join(name), public.to_openssh().unwrap()).unwrap();
        }
        let prove = |message: &[u8]| key.prove(Namespace::Issue.as_str(), message);
        let holder = self.proven(person, public, prove).await;
        let context = Context {
            now: OffsetDateTime::now_utc(),
            caller: Some([127, 0, 0, 1].into()),
        };
        let issuance = Issuance::new(&self.authority, &holder, ask, context);
        match issuance.issue(rand::random()).await? {
            Outcome::Pass(pass) => Ok(Pass::new(folder, pass.certificate)),
            Outcome::Pending(_) => panic!("the role needs approval"),
        }
    }

    async fn issue(&self, person: &str, ask: &Ask, kind: &[&str], shift: Duration) -> Pass {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let key = make_key(folder.path(), "pass", kind);
        let holder = self.holder(person, &key).await;
        let context = Context {
            now: OffsetDateTime::now_utc() + shift,
            caller: Some([127, 0, 0, 1].into()),
        };
        let issuance = Issuance::new(&self.authority, &holder, ask, context);
        let Outcome::Pass(pass) = issuance.issue(rand::random()).await.unwrap() else {
            panic!("the role needs approval");
        };
        Pass::new(folder, pass.certificate)
    }

    /// Signs in and proves to hold the key, as the client does.
    async fn holder(&self, person: &str, key: &Path) -> KeyHolder {
        let private = PrivateKey::read_openssh_file(key).unwrap();
        let text = fs::read_to_string(key.with_extension("pub")).unwrap();
        let public = parse_subject_key(&text).unwrap();
        let prove = |message: &[u8]| sign(&private, key, message);
        self.proven(person, public, prove).await
    }

    async fn proven(
        &self,
        person: &str,
        public: PublicKey,
        prove: impl Fn(&[u8]) -> String,
    ) -> KeyHolder {
        let secret: [u8; 32] = rand::random();
        let nonce = proof::commitment(&public, &secret).unwrap();
        let token = self.issuer.id_token(person, Some(&nonce));
        let now = OffsetDateTime::now_utc();
        let identity = self.issuers.verify(&token, now).await.unwrap();
        let message =
            proof::possession_message(SERVER, identity.token_hash(), &public, b"ask").unwrap();
        let possession = prove(&message);
        identity
            .prove_possession(public, &secret, &message, &possession)
            .unwrap()
    }
}

/// An SSHSIG; by ssh-keygen for RSA, which the library cannot sign with.
fn sign(private: &PrivateKey, file: &Path, message: &[u8]) -> String {
    if private.algorithm().is_rsa() {
        let text = file.with_extension("message");
        fs::write(&text, message).unwrap();
        run(Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", Namespace::Issue.as_str(), "-f"])
            .args([file, &text]));
        return fs::read_to_string(file.with_extension("message.sig")).unwrap();
    }
    private
        .sign(Namespace::Issue.as_str(), HashAlg::Sha512, message)
        .unwrap()
        .to_pem(LineEnding::LF)
        .unwrap()
}

fn settings(url: &str) -> Settings {
    Settings {
        name: "dev".to_owned(),
        url: url.to_owned(),
        client_id: CLIENT_ID.to_owned(),
        audiences: vec![CLIENT_ID.to_owned()],
        scopes: vec!["openid".to_owned()],
        algorithms: vec![Algorithm::ES256],
        key_without_id: false,
        binding: Binding::Nonce,
        device_flow: false,
        interactive: true,
        ca_certificates: None,
        label: None,
        string_booleans: false,
        sign_in: SignIn::default(),
    }
}

/// Makes a key with ssh-keygen, and again until ssh-key reads it: of one P-521 key in four the
/// private number begins with zero bits, OpenSSH leaves that byte out, and ssh-key 0.6 misses it.
fn make_key(folder: &Path, name: &str, kind: &[&str]) -> PathBuf {
    let path = folder.join(name);
    for _ in 0..8 {
        let _ = fs::remove_file(&path);
        run(Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", "", "-f"])
            .arg(&path)
            .arg("-t")
            .args(kind));
        if PrivateKey::read_openssh_file(&path).is_ok() {
            break;
        }
    }
    path
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .expect("ssh-keygen is missing: apt-get install openssh-client");
    assert!(output.status.success(), "{command:?}: {output:?}");
}
