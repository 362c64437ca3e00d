//! A slow key: messages of one request are signed side by side, and what is signed in time counts.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration as Time,
};

use tokio::{sync::Barrier, time::timeout};

use super::*;
use crate::ca::{
    key::{Away, Elsewhere, Looking, Signing},
    signer::message::Verdict,
};

/// A key that signs only while four ask it, and only so many messages.
struct Slow {
    key: Arc<Key>,
    four: Barrier,
    left: AtomicUsize,
}

impl Elsewhere for Slow {
    fn sign<'a>(&'a self, to_sign: ToSign<'a>) -> Signing<'a> {
        Box::pin(async move {
            let take = |left: usize| left.checked_sub(1);
            let order = Ordering::Relaxed;
            if self.left.fetch_update(order, order, take).is_err() {
                pending::<()>().await;
            }
            self.four.wait().await;
            let signed = self.key.sign(to_sign).await;
            signed.map_err(|error| Away(error.to_string()).into())
        })
    }

    fn start(&self) -> Looking<'_> {
        Box::pin(async { Ok(()) })
    }

    fn find(&self) -> Looking<'_> {
        Box::pin(async { Ok(()) })
    }

    fn look(&self) -> Looking<'_> {
        Box::pin(async { Ok(()) })
    }

    fn away(&self) -> Option<String> {
        None
    }
}

/// Whether each of eight passes is signed by a key that signs only the first `left`.
async fn signed(left: usize) -> Vec<bool> {
    let (mut world, first) = world();
    let mut passes = vec![first];
    passes.extend((0..7).map(|_| world.issue(&grant(), now(), |_| ())));
    let request = world.request(1, &passes);
    let approved = verify(&world.rules(), &world.seen_at(1), request, now()).unwrap();
    let remembered = Remembered::written(approved.head());
    let slow = Slow {
        key: world.key.clone(),
        four: Barrier::new(4),
        left: AtomicUsize::new(left),
    };
    let key = Arc::new(Key::elsewhere(world.key.public().clone(), Arc::new(slow)));
    let verdicts = timeout(Time::from_secs(60), sign(&key, approved, remembered)).await;
    // One after the other, it would wait for ever.
    let verdicts = verdicts.unwrap();
    let is_signed = |it: &Verdict| matches!(it, Verdict::Signed(_));
    assert!(
        verdicts
            .iter()
            .all(|it| is_signed(it) || matches!(it, Verdict::Away(_)))
    );
    verdicts.iter().map(is_signed).collect()
}

#[tokio::test]
async fn messages_of_a_request_are_signed_side_by_side() {
    assert_eq!(signed(8).await, [true; 8]);
}

#[tokio::test]
async fn what_is_signed_in_time_counts() {
    let signed = signed(4).await;
    assert_eq!(signed, [true, true, true, true, false, false, false, false]);
}
