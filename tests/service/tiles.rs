//! The ledger's tiles (C2SP tlog-tiles) over HTTPS, as the Go project's packages for transparency
//! logs read them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use daypass::{
    ledger::{EventKind, checkpoint::Signer, tree::leaf_hash},
    store::Store,
};
use time::OffsetDateTime;
use tokio::task::JoinSet;

use crate::{
    observe::{size, start},
    support::{
        env::TestEnv,
        files,
        handover::{hand_over, verifier_of},
        https,
    },
};

/// The verifier: a program of Go's own packages.
struct Go {
    program: PathBuf,
    arguments: Vec<String>,
    notes: Vec<PathBuf>,
}

impl Go {
    /// Compiles it from Debian's packages, without a network.
    fn compile(env: &TestEnv) -> Self {
        let (folder, program) = (env.folder(), env.folder().join("tlog"));
        let compiled = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/tlog/main.go"))
            .env("GO111MODULE", "off")
            .env("GOPATH", "/usr/share/gocode")
            .env("GOCACHE", folder.join("go-cache"))
            .env("GOFLAGS", "")
            .env("CGO_ENABLED", "0")
            .output()
            .expect("go: apt-get install golang-go golang-golang-x-mod-dev");
        let stderr = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{stderr}");
        let (roots, entries) = (folder.join("roots.pem"), folder.join("entries"));
        fs::write(&roots, env.server.tls_ca()).unwrap();
        let key = env.authority().store.verifier().to_string();
        let path = |path: &Path| path.display().to_string();
        Self {
            program,
            arguments: vec![env.server.url(), path(&roots), key, path(&entries)],
            notes: Vec::new(),
        }
    }

    /// Has it verify the ledger as it is: the signed checkpoint, that its last entries are in it,
    /// and that it contains every earlier checkpoint.
    async fn assert_verifies(&mut self, env: &TestEnv) {
        let store = &env.authority().store;
        let size = store.size();
        let entries = store.entries(size.saturating_sub(300), 300).await.unwrap();
        let lines: Vec<u8> = entries
            .iter()
            .flat_map(|(_, leaf)| [leaf.as_slice(), b"\n"].concat())
            .collect();
        fs::write(&self.arguments[3], lines).unwrap();
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.arguments).args(&self.notes);
        let verified = command.output().await.unwrap();
        let stderr = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success(), "{size}: {stderr}");
        assert_eq!(
            String::from_utf8_lossy(&verified.stdout).trim(),
            size.to_string()
        );
        let note = env.folder().join(format!("checkpoint-{size}"));
        let url = format!("{}/checkpoint", env.server.url());
        let answer = https::client(&env.server.tls_ca()).get(url).send().await;
        fs::write(&note, answer.unwrap().bytes().await.unwrap()).unwrap();
        self.notes.push(note);
    }
}

/// Appends until the ledger has this many entries.
#[allow(clippy::disallowed_methods, reason = "the daemon's own clock")]
async fn grow(store: &Store, size: u64) {
    let now = OffsetDateTime::now_utc();
    let mut appends = JoinSet::new();
    for _ in store.size()..size {
        if appends.len() == 512 {
            appends.join_next().await.unwrap().unwrap();
        }
        let store = store.clone();
        appends.spawn(async move {
            let event = EventKind::started("test", "localhost");
            store.record(event, now).await.unwrap();
        });
    }
    appends.join_all().await;
    assert_eq!(store.size(), size);
}

#[tokio::test(flavor = "multi_thread")]
async fn gos_own_packages_verify_the_ledger_from_its_tiles() {
    let env = start(TestEnv::new()).await;
    let mut go = Go::compile(&env);
    let first = size(&env);
    assert!(first < 255, "{first}");
    for size in [first, first + 1, 255, 256, 257, 511, 512, 513, 1000] {
        grow(&env.authority().store, size).await;
        go.assert_verifies(&env).await;
    }
}

#[tokio::test]
async fn tiles_are_cached_and_nothing_else_has_their_paths() {
    let env = start(TestEnv::new()).await;
    grow(&env.authority().store, 300).await;
    let client = https::client(&env.server.tls_ca());
    let get = async |path: &str| {
        let url = format!("{}{path}", env.server.url());
        let answer = client.get(url).send().await.unwrap();
        let header = |name: &str| {
            let value = answer.headers().get(name).unwrap();
            value.to_str().unwrap().to_owned()
        };
        let (caching, kind) = (header("cache-control"), header("content-type"));
        let status = answer.status().as_u16();
        (status, caching, kind, answer.bytes().await.unwrap())
    };
    let whole = get("/tile/0/000").await;
    assert_eq!((whole.0, whole.3.len()), (200, 256 * 32));
    assert_eq!(whole.1, "public, max-age=31536000, immutable");
    assert_eq!(whole.2, "application/octet-stream");
    for (path, hashes) in [
        ("/tile/0/000.p/1", 1),
        ("/tile/0/001.p/44", 44),
        ("/tile/1/000.p/1", 1),
    ] {
        let (status, caching, _, body) = get(path).await;
        assert_eq!((status, body.len()), (200, hashes * 32), "{path}");
        assert_eq!(caching, "public, max-age=60", "{path}");
    }
    for path in [
        "/tile/0/001.p/45",
        "/tile/0/001",
        "/tile/0/002.p/1",
        "/tile/1/000",
        "/tile/1/000.p/2",
        "/tile/2/000.p/1",
        "/tile/63/000.p/1",
        "/tile/0/000.p/256",
        "/tile/0/000.p/0",
        "/tile/0/x000/000",
        "/tile/0/0",
        "/tile/00/000",
        "/tile/0/%30%30%30",
        "/tile/0/000/",
        "/tile//0/000",
        "/tile/0/000?x=1",
        "/tile/0/000%2ep/1",
        "/tile/-1/000",
        "/tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        "/tile/entries/0/000",
        "/tile/entries/000.p/0",
        "/tile/entries/000?x=1",
    ] {
        let (status, caching, _, _) = get(path).await;
        assert_eq!((status, &*caching), (404, "no-store"), "{path}");
    }
}

/// The leaves of an entry bundle.
fn unbundled(mut bundle: &[u8]) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (leaf, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        leaves.push(leaf.to_vec());
        bundle = rest;
    }
    assert!(bundle.is_empty(), "half a length");
    leaves
}

#[tokio::test]
async fn entry_bundles_are_the_leaves_of_the_tiles_and_want_an_auditors_token() {
    let env = start(TestEnv::new()).await;
    grow(&env.authority().store, 300).await;
    let client = https::client(&env.server.tls_ca());
    let get = async |path: &str, token: Option<&str>| {
        let mut request = client.get(format!("{}{path}", env.server.url()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let caching = answer.headers()["cache-control"]
            .to_str()
            .unwrap()
            .to_owned();
        let status = answer.status().as_u16();
        (status, caching, answer.bytes().await.unwrap().to_vec())
    };
    let auditor = env.carol().token;
    for (bundle, tile, count) in [("000", "000", 256), ("001.p/44", "001.p/44", 44)] {
        let bundle = format!("/tile/entries/{bundle}");
        let (status, caching, body) = get(&bundle, Some(&auditor)).await;
        assert_eq!((status, &*caching), (200, "no-store"), "{bundle}");
        let leaves = unbundled(&body);
        assert_eq!(leaves.len(), count, "{bundle}");
        let (_, _, hashes) = get(&format!("/tile/0/{tile}"), None).await;
        let expected: Vec<u8> = leaves.iter().flat_map(|leaf| leaf_hash(leaf)).collect();
        assert_eq!(expected, hashes, "{bundle}");
    }
    let stranger = env.user("eve", &["interns"]).token;
    for (path, token, expected) in [
        ("/tile/entries/000", None, 401),
        ("/tile/entries/000", Some("a.b.c"), 401),
        ("/tile/entries/000", Some(&*stranger), 403),
        ("/tile/entries/001", Some(&*auditor), 404),
        ("/tile/entries/002.p/1", Some(&*auditor), 404),
    ] {
        let (status, caching, body) = get(path, token).await;
        let said = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(
            (status, &*caching),
            (expected, "no-store"),
            "{path}: {said}"
        );
        assert!(!said.contains("\"index\""), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gos_own_packages_verify_a_checkpoint_that_two_keys_sign() {
    let mut env = start(TestEnv::new()).await;
    let mut go = Go::compile(&env);
    go.assert_verifies(&env).await;
    let (world, key) = (env.folder().join("world"), "key = \"ledger_key\"");
    files::write_key(&world.join("ledger_key_2"), &files::new_key());
    let both = format!("{key}\nnext_key = \"ledger_key_2\"");
    files::edit(&world.join("daypass.toml"), key, &both);
    env.restart().await;
    let signer = |name: &str| {
        let key = ssh_key::PrivateKey::read_openssh_file(&world.join(name)).unwrap();
        let seed = key.key_data().ed25519().unwrap().private.to_bytes();
        Signer::new("localhost/ledger", &seed).unwrap()
    };
    let new = verifier_of(&signer("ledger_key_2"), &signer("ledger_key"));
    let now = OffsetDateTime::now_utc();
    let store = &env.authority().store;
    hand_over(store, "localhost", &new, now).await.unwrap();
    go.assert_verifies(&env).await;
    // The same with the new key, which the operator gives it; earlier notes are the old key's.
    let old = std::mem::replace(&mut go.arguments[2], new.to_string());
    go.notes.retain(|note| {
        fs::read_to_string(note)
            .unwrap()
            .matches("\n\u{2014} ")
            .count()
            > 1
    });
    assert_ne!(old, go.arguments[2]);
    go.assert_verifies(&env).await;
    env.close().await;
}
