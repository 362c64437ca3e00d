//! A signer whose key is slow: what is signed in time counts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use super::{BEHIND, ceilings, counted, expect_pass};
use crate::{
    ca_keys::{files, user},
    support::{
        agent::Agent,
        api::{Api, ask},
        server::ServerFiles,
        signer::{SignerFiles, verifier},
    },
};

/// `SSH_AGENTC_SIGN_REQUEST` (draft-ietf-sshm-ssh-agent, section 5.1).
const SIGN: u8 = 13;

/// A socket before a real agent, behind which each signature takes so many milliseconds.
fn slow_agent(socket: &Path, agent: PathBuf) -> Arc<AtomicU64> {
    let listener = UnixListener::bind(socket).unwrap();
    let delay = Arc::new(AtomicU64::new(0));
    let delays = delay.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (agent, delays) = (agent.clone(), delays.clone());
            tokio::spawn(async move {
                let _ = pass_on(stream, &agent, &delays).await;
            });
        }
    });
    delay
}

async fn pass_on(mut caller: UnixStream, agent: &Path, delay: &AtomicU64) -> io::Result<()> {
    let mut agent = UnixStream::connect(agent).await?;
    loop {
        let question = frame(&mut caller).await?;
        if question.get(4) == Some(&SIGN) {
            tokio::time::sleep(Duration::from_millis(delay.load(Ordering::Relaxed))).await;
        }
        agent.write_all(&question).await?;
        let answer = frame(&mut agent).await?;
        caller.write_all(&answer).await?;
    }
}

/// A message with its length before it.
async fn frame(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut frame = length.to_be_bytes().to_vec();
    frame.resize(4 + length as usize, 0);
    stream.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}

/// Asks for so many passes at once. Returns how many were issued; the others are told that the key
/// is away, within the deadline.
async fn burst(files: &ServerFiles, api: &Api, count: usize) -> usize {
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..count {
        let alice = user(files, api, "alice");
        callers.spawn(async move {
            let begun = Instant::now();
            let issued = alice.issue(ask("shell")).await;
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(25), "{waited:?}");
            match issued {
                Ok(_) => true,
                Err(refused) => {
                    assert_eq!(refused.reason, "CA_UNAVAILABLE", "{refused:?}");
                    false
                }
            }
        });
    }
    let issued = callers.join_all().await;
    issued.into_iter().filter(|it| *it).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_burst_at_a_slow_agent_what_is_signed_in_time_counts() {
    let files = files().await;
    let key = "file = \"ca_key.pub\"\nagent = \"slow\"";
    let signer = SignerFiles::prepare(files.folder(), &verifier(&files), key, &ceilings());
    let agent = Agent::start(&signer.path("")).await;
    agent.add_new(&signer.path("ca_key"), &["-t", "ed25519"]);
    fs::remove_file(signer.path("ca_key")).unwrap();
    let delay = slow_agent(&signer.path("slow"), agent.socket.clone());
    files.replace_ca_key(BEHIND);
    signer.must(&["accept", "--new"]);
    let _running = signer.spawn(&[]);
    let mut process = files.spawn(&[]);
    let api = files.expect_api(&mut process).await;
    expect_pass(&user(&files, &api, "alice")).await;

    // Even side by side, these would take 15 s, and each call has 5: all of them failed.
    delay.store(1500, Ordering::Relaxed);
    let issued = burst(&files, &api, 40).await;
    assert!((1..40).contains(&issued), "{issued}");
    let (recorded, failed) = counted(&files, &api).await;
    assert_eq!(recorded, 1 + issued + failed, "each is said to be unsigned");
    delay.store(0, Ordering::Relaxed);
    expect_pass(&user(&files, &api, "alice")).await;
    process.stop().await;
}
