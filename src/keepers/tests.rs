//! What a keeper makes of a way that fails, hangs and comes back.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicU8, Ordering};

use ssh_key::Algorithm;

use super::*;

const ANSWERS: u8 = 0;
const FAILS: u8 = 1;
const HANGS: u8 = 2;

const EACH: Duration = Duration::from_millis(5);

fn timed(way: Changing) -> Keeper<Changing> {
    Keeper::timed(way, 10 * EACH, EACH)
}

struct Changing(Arc<AtomicU8>);

impl Changing {
    async fn be(&self) -> Result<(), Away> {
        match self.0.load(Ordering::SeqCst) {
            ANSWERS => Ok(()),
            FAILS => Err(Away("broken".to_owned())),
            _ => std::future::pending().await,
        }
    }
}

impl Way for Changing {
    async fn sign(&self, _: ToSign<'_>) -> Result<Signature, Unsigned> {
        self.be().await?;
        Ok(Signature::new(Algorithm::Ed25519, vec![0; 64]).unwrap())
    }

    async fn find(&self) -> Result<(), Away> {
        self.be().await
    }
}

async fn until(keeper: &Keeper<Changing>, is_away: bool) {
    for _ in 0..1000 {
        if keeper.away().is_some() == is_away {
            return;
        }
        tokio::time::sleep(EACH).await;
    }
    unreachable!("still {:?}", keeper.away());
}

#[tokio::test]
async fn a_key_is_away_until_it_answers_and_again_when_it_does_not() {
    let state = Arc::new(AtomicU8::new(FAILS));
    let keeper = timed(Changing(state.clone()));
    assert_eq!(keeper.away(), None);
    keeper.start().await.unwrap_err();
    assert_eq!(keeper.away().unwrap(), "broken");
    state.store(ANSWERS, Ordering::SeqCst);
    until(&keeper, false).await;
    keeper.sign(b"message".as_slice().into()).await.unwrap();

    for fault in [FAILS, HANGS] {
        state.store(fault, Ordering::SeqCst);
        let away = keeper.sign(b"message".as_slice().into()).await;
        let Err(Unsigned::Away(away)) = away else {
            unreachable!("{away:?}")
        };
        let expected = if fault == HANGS {
            "no answer within"
        } else {
            "broken"
        };
        assert!(away.0.contains(expected), "{away}");
        assert!(keeper.away().is_some());
        state.store(ANSWERS, Ordering::SeqCst);
        until(&keeper, false).await;
    }
}

#[tokio::test]
async fn nothing_looks_for_a_key_that_is_not_needed_any_more() {
    let state = Arc::new(AtomicU8::new(FAILS));
    let keeper = timed(Changing(state));
    keeper.start().await.unwrap_err();
    let inner = Arc::downgrade(&keeper.0);
    drop(keeper);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while inner.strong_count() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "it is kept");
        tokio::time::sleep(EACH).await;
    }
}

/// An administrator who has just started the keeper does not wait for the next search.
#[tokio::test]
async fn a_key_that_is_found_answers_at_once() {
    let state = Arc::new(AtomicU8::new(FAILS));
    let hour = Duration::from_secs(3600);
    let keeper = Keeper::timed(Changing(state.clone()), 10 * EACH, hour);
    keeper.start().await.unwrap_err();
    // The search in the background has failed too, and comes back in an hour.
    tokio::time::sleep(EACH).await;
    state.store(ANSWERS, Ordering::SeqCst);
    assert!(keeper.away().is_some());
    keeper.find().await.unwrap();
    assert_eq!(keeper.away(), None);
    keeper.sign(b"message".as_slice().into()).await.unwrap();
}

/// A key that answered once was never looked at again, so a server whose signer had died said that
/// it was ready until a pass was recorded that was never signed.
#[tokio::test]
async fn a_key_that_dies_is_away_although_nothing_was_signed() {
    let state = Arc::new(AtomicU8::new(ANSWERS));
    let keeper = timed(Changing(state.clone()));
    keeper.start().await.unwrap();
    for fault in [FAILS, HANGS] {
        state.store(fault, Ordering::SeqCst);
        for _ in 0..100 {
            let _ = keeper.look().await;
            if keeper.away().is_some() {
                break;
            }
            tokio::time::sleep(EACH).await;
        }
        assert!(keeper.away().is_some(), "fault {fault}");
        keeper.sign(b"message".as_slice().into()).await.unwrap_err();
        state.store(ANSWERS, Ordering::SeqCst);
        until(&keeper, false).await;
    }
}

/// An operator may restart a signer between two passes, and no pass is lost.
#[tokio::test]
async fn one_look_that_fails_does_not_take_the_key_away() {
    let state = Arc::new(AtomicU8::new(ANSWERS));
    let keeper = timed(Changing(state.clone()));
    keeper.start().await.unwrap();
    for _ in 0..3 {
        for (now, is_there) in [(FAILS, false), (ANSWERS, true)] {
            state.store(now, Ordering::SeqCst);
            tokio::time::sleep(2 * EACH).await;
            assert_eq!(keeper.look().await.is_ok(), is_there);
            assert_eq!(keeper.away(), None);
        }
    }
}

/// What signs is not asked besides: each look is a call to the signer.
#[tokio::test]
async fn a_key_that_signs_is_not_looked_at() {
    let state = Arc::new(AtomicU8::new(ANSWERS));
    let hour = Duration::from_secs(3600);
    let keeper = Arc::new(Keeper::timed(Changing(state.clone()), hour, hour));
    keeper.sign(b"message".as_slice().into()).await.unwrap();
    // Asked now, it would fail.
    state.store(FAILS, Ordering::SeqCst);
    keeper.look().await.unwrap();

    let keeper = Arc::new(Keeper::timed(Changing(state.clone()), hour, EACH));
    state.store(HANGS, Ordering::SeqCst);
    let signing = keeper.clone();
    let signing =
        tokio::spawn(async move { signing.sign(b"message".as_slice().into()).await.is_ok() });
    while keeper.0.state.lock().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    state.store(FAILS, Ordering::SeqCst);
    keeper.look().await.unwrap();
    // A caller that gives up leaves no signature behind.
    signing.abort();
    assert!(signing.await.unwrap_err().is_cancelled());
    assert_eq!(keeper.0.state.lock().in_flight, 0);
    keeper.look().await.unwrap_err();
}
