//! `daypass ledger witness`: it follows an honest server through restarts, kills and silence, and
//! catches servers that contradict themselves. These have the ledger's own key, as a stolen server.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use daypass::ledger::{checkpoint::Signer, handover::Handover, tile::Tile};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    time::timeout,
};

use crate::support::{
    api::ask,
    command::{DAYPASS, Done, Terminal},
    env::TestEnv,
    server::signal,
};

const ORIGIN: &str = "daypass.example.com/ledger";

/// A ledger as a server shows it.
#[derive(Clone)]
struct Shown {
    leaves: Vec<String>,
    origin: &'static str,
    seed: u8,
    /// The seed of another key that signs beside it.
    also: Option<u8>,
    /// The answer to `/ledger-keys`; none: 404.
    keys: Option<String>,
    /// Whether its tiles are of another ledger.
    has_false_tiles: bool,
    is_silent: bool,
}

impl Shown {
    /// The first `size` entries of a history.
    fn of(history: &str, size: usize) -> Self {
        let leaves = (0..size).map(|at| format!("{history} {at}"));
        Self {
            leaves: leaves.collect(),
            origin: ORIGIN,
            seed: 7,
            also: None,
            keys: None,
            has_false_tiles: false,
            is_silent: false,
        }
    }

    /// The same entries up to `at`, then those of another history.
    fn forked(self, at: usize, size: usize) -> Self {
        let mut other = Self::of("rewritten", size);
        other.leaves[..at].clone_from_slice(&self.leaves[..at]);
        other
    }

    fn signer(&self) -> Signer {
        Signer::new(self.origin, &[self.seed; 32]).unwrap()
    }

    fn note(&self) -> String {
        let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for leaf in &self.leaves {
            tree.push(leaf.clone().into_bytes());
        }
        let root = tree.root();
        let root = root.as_bytes().as_slice().try_into().unwrap();
        let note = self.signer().sign(self.leaves.len() as u64, root);
        let also = self.also.map(|seed| {
            let note = Signer::new(self.origin, &[seed; 32]).unwrap();
            let note = note.sign(self.leaves.len() as u64, root);
            note.split_once("\n\n").unwrap().1.to_owned()
        });
        note + &also.unwrap_or_default()
    }

    /// The same, signed by these keys, with these handovers to the first of them.
    fn signed_by(self, seed: u8, also: Option<u8>, handovers: &[Handover]) -> Self {
        let key = verifier_key(&Self {
            seed,
            ..self.clone()
        });
        let keys = serde_json::json!({ "key": key, "handovers": handovers });
        Self {
            seed,
            also,
            keys: Some(keys.to_string()),
            ..self
        }
    }

    /// The bytes of `/tile/PATH`; none beyond the head.
    fn tile(&self, path: &str) -> Option<Vec<u8>> {
        let tile = Tile::parse(path)?;
        tile.is_in(self.leaves.len() as u64).then_some(())?;
        let leaf = |leaf: &String| Sha256::new_with_prefix([0]).chain_update(leaf).finalize();
        let mut row: Vec<_> = self.leaves.iter().map(leaf).collect();
        let level: u32 = path.split('/').next()?.parse().ok()?;
        for _ in 0..8 * level {
            let (pairs, _) = row.as_chunks::<2>();
            let node = |[a, b]: &[_; 2]| {
                let node = Sha256::new_with_prefix([1]).chain_update(a);
                node.chain_update(b).finalize()
            };
            row = pairs.iter().map(node).collect();
        }
        let digits = path.split(".p/").next()?.split('/').skip(1);
        let index: usize = digits
            .map(|it| it.trim_start_matches('x'))
            .collect::<String>()
            .parse()
            .ok()?;
        let width = path
            .split_once(".p/")
            .map_or(256, |(_, width)| width.parse().unwrap());
        let row = row[index * 256..][..width].concat();
        let flip = u8::from(self.has_false_tiles);
        Some(row.into_iter().map(|byte: u8| byte ^ flip).collect())
    }
}

/// A server that shows what the test wants.
struct Server {
    shown: Arc<Mutex<Shown>>,
    url: String,
}

impl Server {
    async fn start(shown: Shown) -> Self {
        let shown = Arc::new(Mutex::new(shown));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let checkpoint = async |State(shown): State<Arc<Mutex<Shown>>>| {
            let shown = shown.lock();
            match shown.is_silent {
                true => Err(StatusCode::SERVICE_UNAVAILABLE),
                false => Ok(shown.note()),
            }
        };
        let tile = async |State(shown): State<Arc<Mutex<Shown>>>, Path(path): Path<String>| {
            let tile = shown.lock().tile(&path);
            tile.ok_or(StatusCode::NOT_FOUND)
        };
        let keys = async |State(shown): State<Arc<Mutex<Shown>>>| {
            let keys = shown.lock().keys.clone();
            keys.ok_or(StatusCode::NOT_FOUND)
        };
        let router = Router::new()
            .route("/checkpoint", get(checkpoint))
            .route("/ledger-keys", get(keys))
            .route("/tile/{*path}", get(tile))
            .with_state(shown.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { shown, url }
    }

    fn show(&self, shown: Shown) {
        *self.shown.lock() = shown;
    }
}

/// A witness's machine.
struct Place {
    folder: TempDir,
    terminal: Terminal,
    key: String,
}

impl Place {
    fn new(key: &str) -> Self {
        let folder = crate::support::files::folder();
        let terminal = Terminal {
            home: folder.path().to_owned(),
            state: folder.path().join("state"),
            variables: Vec::new(),
        };
        Self {
            folder,
            terminal,
            key: key.to_owned(),
        }
    }

    fn of(shown: &Shown) -> Self {
        Self::new(&verifier_key(shown))
    }

    async fn look(&self, servers: &[&Server]) -> Done {
        let urls: Vec<&str> = servers.iter().map(|server| server.url.as_str()).collect();
        self.run(&urls, &["--once"]).await
    }

    async fn run(&self, urls: &[&str], more: &[&str]) -> Done {
        let words = [&["ledger", "witness"], urls, &["--key", &self.key], more].concat();
        self.terminal.run_json(&words).await
    }

    /// Its one record.
    fn record(&self) -> PathBuf {
        let folder = self.folder.path().join("state/witness");
        let mut folders = fs::read_dir(folder).unwrap();
        folders.next().unwrap().unwrap().path()
    }

    /// Whether the folder of the record has its file: they are not made in one step.
    fn has_record(&self) -> bool {
        let folder = self.folder.path().join("state/witness");
        let mut folders = fs::read_dir(folder).into_iter().flatten().flatten();
        folders.any(|folder| folder.path().join("checkpoints").exists())
    }

    fn sizes(&self) -> Vec<u64> {
        let text = fs::read_to_string(self.record().join("checkpoints")).unwrap();
        let lines = text.lines().map(serde_json::from_str::<Value>);
        lines
            .map(|line| line.unwrap()["size"].as_u64().unwrap())
            .collect()
    }
}

/// The verifier key of a signer, in its C2SP form.
fn verifier_key(shown: &Shown) -> String {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::{Engine, engine::general_purpose::STANDARD};
    let pair = Ed25519KeyPair::from_seed_unchecked(&[shown.seed; 32]).unwrap();
    let key = [&[1], pair.public_key().as_ref()].concat();
    let hash = Sha256::new_with_prefix(shown.origin)
        .chain_update("\n")
        .chain_update(&key)
        .finalize();
    let hash = base16ct::lower::encode_string(&hash[..4]);
    format!("{}+{hash}+{}", shown.origin, STANDARD.encode(key))
}

fn sighting(done: &Done) -> Vec<String> {
    let lines = done.stdout.lines().map(serde_json::from_str::<Value>);
    lines
        .map(|line| line.unwrap()["sighting"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_witness_follows_growth_and_several_servers_of_one_ledger() {
    let ahead = Server::start(Shown::of("honest", 3)).await;
    let behind = Server::start(Shown::of("honest", 2)).await;
    let place = Place::of(&ahead.shown.lock().clone());
    for (case, sizes, expected) in [
        ("the first look", (3, 2), ["first", "behind"]),
        ("nothing new", (3, 2), ["unchanged", "unchanged"]),
        ("growth", (300, 2), ["continues", "unchanged"]),
        (
            "past a tile of tiles",
            (2_000, 257),
            ["continues", "behind"],
        ),
        (
            "the second catches up",
            (2_000, 2_000),
            ["unchanged", "continues"],
        ),
    ] {
        ahead.show(Shown::of("honest", sizes.0));
        behind.show(Shown::of("honest", sizes.1));
        let done = place.look(&[&ahead, &behind]).await.exits(case, 0);
        assert_eq!(sighting(&done), expected, "{case}");
    }
    assert_eq!(place.sizes(), [3, 2, 300, 2_000, 257, 2_000]);
}

#[tokio::test]
async fn every_contradiction_exits_with_7_and_shows_both_notes() {
    let honest = || Shown::of("honest", 300);
    let cases: HashMap<&str, (Shown, &str)> = HashMap::from([
        ("fewer entries", (Shown::of("honest", 299), "shrunk")),
        ("as many, rewritten", (honest().forked(299, 300), "fork")),
        ("more, rewritten", (honest().forked(100, 900), "fork")),
        ("an empty ledger", (Shown::of("honest", 0), "shrunk")),
        (
            "another key",
            (
                Shown {
                    seed: 8,
                    ..honest()
                },
                "wrong_key",
            ),
        ),
        (
            "another ledger",
            (
                Shown {
                    origin: "other.example.com/ledger",
                    ..honest()
                },
                "wrong_origin",
            ),
        ),
        (
            "false tiles",
            (
                Shown {
                    has_false_tiles: true,
                    ..Shown::of("honest", 400)
                },
                "false_tiles",
            ),
        ),
    ]);
    for (case, (shown, kind)) in cases {
        let server = Server::start(honest()).await;
        let place = Place::of(&honest());
        place.look(&[&server]).await.exits(case, 0);
        server.show(shown.clone());
        for _ in 0..2 {
            let done = place.look(&[&server]).await.exits(case, 7);
            let alarm = done.json()["alarm"].clone();
            assert_eq!(alarm["kind"], kind, "{case}: {done:?}");
            assert_eq!(alarm["known"], honest().note(), "{case}");
            assert_eq!(alarm["shown"], shown.note(), "{case}");
            assert!(done.stderr.contains("LEDGER ALARM"), "{done:?}");
        }
        assert_eq!(place.sizes(), [300], "{case}");
        let kept = fs::read_dir(place.record()).unwrap().filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("evidence-")
        });
        assert_eq!(kept.count(), 1, "{case}");
        // The honest ledger is still good.
        server.show(Shown::of("honest", 301));
        place.look(&[&server]).await.exits(case, 0);
    }
}

#[tokio::test]
async fn two_servers_that_contradict_each_other_are_caught() {
    let first = Server::start(Shown::of("honest", 300)).await;
    let place = Place::of(&first.shown.lock().clone());
    for size in [299, 300, 301] {
        let other = Server::start(Shown::of("honest", 300).forked(298, size)).await;
        let done = place.look(&[&first, &other]).await.exits("two", 7);
        let last = done.stdout.lines().last().unwrap();
        let alarm: Value = serde_json::from_str(last).unwrap();
        assert_eq!(alarm["alarm"]["kind"], "fork", "{size}: {done:?}");
        assert_eq!(alarm["alarm"]["server"], other.url, "{size}");
    }
}

#[tokio::test]
async fn silence_is_not_dishonesty() {
    let server = Server::start(Shown::of("honest", 3)).await;
    let place = Place::of(&server.shown.lock().clone());
    place.look(&[&server]).await.exits("once", 0);
    let shown = server.shown.lock().clone();
    server.show(Shown {
        is_silent: true,
        ..shown
    });
    let done = place.look(&[&server]).await.exits("503", 6);
    assert!(done.stderr.contains("503"), "{done:?}");
    let words = ["--interval", "1s", "--max-silence", "1s"];
    let done = place.run(&[&server.url], &words).await;
    done.exits("it waits, then gives up", 6);
    // A server of the ledger that answers is enough.
    let other = Server::start(Shown::of("honest", 5)).await;
    place.look(&[&server, &other]).await.exits("one of two", 0);
    let done = place.run(&["https://127.0.0.1:1"], &["--once"]).await;
    done.exits("a closed port", 6);
    let done = place
        .terminal
        .run(&["ledger", "witness", &server.url, "--once"])
        .await;
    let done = done.exits("no key", 2);
    assert!(done.stderr.contains("serve --check"), "{done:?}");
}

/// The sleep of a laptop counted as the server's silence: one failed look in the second of the
/// resume ended the witness.
#[tokio::test]
async fn a_witness_that_was_stopped_does_not_take_that_for_the_servers_silence() {
    let server = Server::start(Shown::of("honest", 3)).await;
    let place = Place::of(&server.shown.lock().clone());
    place.look(&[&server]).await.exits("once", 0);
    let words = ["--interval", "1s", "--max-silence", "7s", "--key"];
    let words = [
        &["ledger", "witness", &*server.url],
        &words[..],
        &[&*place.key],
    ]
    .concat();
    let mut child = place.terminal.command(&words).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = BufReader::new(child.stdout.take().unwrap()).lines();
    server.show(Shown::of("honest", 4));
    let soon = Duration::from_secs(60);
    let line = timeout(soon, seen.next_line()).await.unwrap().unwrap();
    assert!(line.unwrap().contains("4 entries"));
    signal(child.id().unwrap(), "STOP");
    let shown = server.shown.lock().clone();
    server.show(Shown {
        is_silent: true,
        ..shown
    });
    tokio::time::sleep(Duration::from_secs(8)).await;
    signal(child.id().unwrap(), "CONT");
    let line = timeout(soon, told.next_line()).await.unwrap().unwrap();
    assert!(line.unwrap().contains("no answer that counts"));
    server.show(Shown::of("honest", 5));
    let line = timeout(soon, seen.next_line()).await.unwrap().unwrap();
    assert!(line.is_some_and(|line| line.contains("5 entries")));
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_stops_the_witness_and_its_record_stays_whole() {
    let server = Server::start(Shown::of("honest", 3)).await;
    let place = Place::of(&server.shown.lock().clone());
    let file = || fs::read(place.record().join("checkpoints")).unwrap();
    let mut size = 3;
    place.look(&[&server]).await.exits("room", 0);
    let line = file().len();
    while file().len() + line < 1024 {
        size += 1;
        server.show(Shown::of("honest", size));
        place.look(&[&server]).await.exits("room", 0);
    }
    let before = file();
    server.show(Shown::of("honest", size + 1));
    // A limit on the size of files cuts the next line in the middle, as a full disk does.
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; exec {DAYPASS} ledger witness {} --once --key '{}'",
        server.url, place.key
    );
    let done = Done::of(place.terminal.program("bash", &["-c", &script])).await;
    let done = done.exits("full", 1);
    assert!(done.stderr.contains("checkpoints"), "{done:?}");
    assert_eq!(file(), before);
    place.look(&[&server]).await.exits("room again", 0);
    assert_eq!(place.sizes().last(), Some(&(size as u64 + 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_is_killed_loses_nothing_of_a_real_server() {
    let mut env = TestEnv::new().signed_in(&["alice"]).start().await;
    let status = env.terminal("alice").json(&["status"]).await;
    let key = status["ledger_key"].as_str().unwrap().to_owned();
    let url = env.server.url();
    let mut place = Place::new(&key);
    place.terminal.variables = env.server.variables();
    let mut expected = Vec::new();
    for round in 0..4 {
        let size = env.authority().store.size();
        let words = ["ledger", "witness", &url, "--key", &key, "--interval", "1s"];
        let mut command = place.terminal.command(&words);
        let child = command.spawn().unwrap();
        expected.push(size);
        // Killed once the line is in the record, which is before it is printed.
        let deadline = Instant::now() + Duration::from_secs(30);
        while !place.has_record() || place.sizes() != expected {
            assert!(Instant::now() < deadline, "{round}: {expected:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let second = place.run(&[&url], &["--once"]).await;
        let second = second.exits("a second witness", 2);
        assert!(second.stderr.contains("another witness"), "{second:?}");
        signal(child.id().unwrap(), "KILL");
        child.wait_with_output().await.unwrap();
        env.user("alice", &["sre"])
            .issue(ask("shell"))
            .await
            .unwrap();
        if round == 1 {
            env.restart().await;
        }
    }
    let done = place.run(&[&url], &["--once"]).await;
    assert_eq!(sighting(&done.exits("at last", 0)), ["continues"]);
}

/// The handover at `size` from the key of one seed to that of another.
fn handover(size: u64, old: u8, new: u8) -> Handover {
    let key = |seed| Signer::new(ORIGIN, &[seed; 32]).unwrap();
    Handover::sign(&key(old), &key(new), size).unwrap()
}

#[tokio::test]
async fn a_witness_follows_a_handover_for_good() {
    let server = Server::start(Shown::of("honest", 3)).await;
    let place = Place::of(&server.shown.lock().clone());
    place.look(&[&server]).await.exits("the old key", 0);
    let chain = [handover(3, 7, 8)];
    server.show(Shown::of("honest", 5).signed_by(8, Some(7), &chain));
    let done = place.look(&[&server]).await.exits("both keys", 0);
    assert_eq!(done.json()["handovers"][0]["size"], 3, "{done:?}");
    server.show(Shown::of("honest", 6).signed_by(8, None, &chain));
    let done = place.look(&[&server]).await.exits("the new key", 0);
    assert_eq!(sighting(&done), ["continues"]);
    // A thief with the old key goes on from the honest ledger.
    for (case, shown) in [
        ("it shows no keys", Shown::of("honest", 7)),
        (
            "and a fork",
            Shown::of("honest", 7).signed_by(9, Some(7), &[handover(5, 7, 9)]),
        ),
    ] {
        server.show(shown);
        let done = place.look(&[&server]).await.exits(case, 7);
        assert!(done.stdout.contains("wrong_key"), "{case}: {done:?}");
    }
    server.show(Shown::of("honest", 8).signed_by(8, None, &chain));
    place.look(&[&server]).await.exits("the honest server", 0);
    assert_eq!(place.sizes(), [3, 5, 6, 8]);
}

#[tokio::test]
async fn a_witness_follows_no_handover_that_the_old_key_did_not_sign() {
    let mut unsigned = handover(3, 7, 8);
    unsigned.old_signature.clone_from(&unsigned.new_signature);
    let moved = Handover {
        size: 2,
        ..handover(3, 7, 8)
    };
    for (case, chain) in [
        ("no handover", vec![]),
        ("another start", vec![handover(3, 9, 8)]),
        ("without the old key", vec![unsigned]),
        ("moved", vec![moved]),
        (
            "after what was seen by the old key alone",
            vec![handover(1, 7, 8)],
        ),
    ] {
        let server = Server::start(Shown::of("honest", 3)).await;
        let place = Place::of(&server.shown.lock().clone());
        place.look(&[&server]).await.exits("the old key", 0);
        for also in [None, Some(7)] {
            server.show(Shown::of("honest", 5).signed_by(8, also, &chain));
            let done = place.look(&[&server]).await.exits(case, 7);
            assert!(done.stdout.contains("wrong_key"), "{case}: {done:?}");
        }
        // Nothing was kept of it.
        server.show(Shown::of("honest", 5));
        place.look(&[&server]).await.exits("the old key again", 0);
    }
}
