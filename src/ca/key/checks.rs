//! The check of an Ed25519 key's own signatures, many at once.
//!
//! Each signature is verified before it leaves. A commit of the ledger answers many callers at the
//! same moment, so their signatures are verified as one batch, at half the cost of one by one.
//!
//! A batch is for signatures that this process made, and for no others: it accepts signatures with
//! a component of small order, which a strict check refuses (RFC 8032 section 5.1.7 lets a
//! verifier do either). Those of callers, and of keys elsewhere, are verified one by one.

use ed25519_dalek::{Signature, VerifyingKey, verify_batch};
use parking_lot::Mutex;
use ssh_key::PublicKey;
use tokio::{sync::oneshot, task::yield_now};

use crate::ssh::signed_by::is_ed25519;

/// Signatures of one batch at most. More save nothing, and the last one would wait for the first.
const MOST: usize = 32;

/// The checks of one key.
pub(super) struct Checks {
    key: VerifyingKey,
    waiting: Mutex<Vec<Check>>,
}

/// A signature that waits for its check.
struct Check {
    message: Vec<u8>,
    signature: Signature,
    is_signed: oneshot::Sender<bool>,
}

impl Checks {
    /// `None` if it is not an Ed25519 key, or an invalid one.
    pub(super) fn of(public: &PublicKey) -> Option<Self> {
        Some(Self {
            key: VerifyingKey::from_bytes(&public.key_data().ed25519()?.0).ok()?,
            waiting: Mutex::default(),
        })
    }

    /// Whether the key made this signature over `message`.
    pub(super) async fn is_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::from_slice(signature) else {
            return false;
        };
        let (sender, is_signed) = oneshot::channel();
        let check = Check {
            message: message.to_owned(),
            signature,
            is_signed: sender,
        };
        let waiting = {
            let mut waiting = self.waiting.lock();
            waiting.push(check);
            waiting.len()
        };
        // The first one of a batch checks it for all, and one that fills it does so at once: there
        // is always a caller with a turn while a signature waits.
        if waiting == 1 || waiting == MOST {
            let turn = Turn(self);
            if waiting == 1 {
                yield_now().await;
            }
            drop(turn);
        }
        is_signed.await.unwrap_or(false)
    }

    fn check(&self) {
        let checks = std::mem::take(&mut *self.waiting.lock());
        let is_batch_signed = checks.len() > 1 && self.is_batch_signed(&checks);
        for check in checks {
            let is_signed = is_batch_signed || self.is_one_signed(&check);
            // A caller that is gone needs no answer.
            let _ = check.is_signed.send(is_signed);
        }
    }

    fn is_batch_signed(&self, checks: &[Check]) -> bool {
        let messages: Vec<_> = checks.iter().map(|it| it.message.as_slice()).collect();
        let signatures: Vec<_> = checks.iter().map(|it| it.signature).collect();
        verify_batch(&messages, &signatures, &vec![self.key; checks.len()]).is_ok()
    }

    fn is_one_signed(&self, check: &Check) -> bool {
        is_ed25519(
            self.key.as_bytes(),
            &check.message,
            &check.signature.to_bytes(),
        )
    }
}

/// A caller's turn to check what waits. A caller that goes away before has it, too: others wait for
/// their answers.
struct Turn<'a>(&'a Checks);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.check();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::{
        future::Future,
        pin::pin,
        sync::Arc,
        task::{Context, Poll, Waker},
    };

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use ssh_key::public::Ed25519PublicKey;

    use super::*;

    fn pair(seed: u8) -> (Ed25519KeyPair, Arc<Checks>) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = Ed25519PublicKey::try_from(pair.public_key().as_ref()).unwrap();
        let checks = Checks::of(&PublicKey::from(public)).unwrap();
        (pair, Arc::new(checks))
    }

    /// The answers for signatures that are made at the same time.
    async fn at_once(checks: &Arc<Checks>, asked: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<bool> {
        let check = |(message, signature): (Vec<u8>, Vec<u8>)| {
            let checks = checks.clone();
            tokio::spawn(async move { checks.is_signed(&message, &signature).await })
        };
        let mut answers = Vec::new();
        for answer in asked.into_iter().map(check).collect::<Vec<_>>() {
            answers.push(answer.await.unwrap());
        }
        answers
    }

    #[tokio::test]
    async fn of_many_signatures_each_wrong_one_is_found_and_no_other() {
        let (own, checks) = pair(7);
        let (other, _) = pair(8);
        for count in [1, 2, 3, MOST - 1, MOST, MOST + 1, 3 * MOST] {
            for wrong in [None, Some(0), Some(count / 2), Some(count - 1)] {
                let asked: Vec<_> = (0..count)
                    .map(|at| {
                        let message = format!("pass {at}").into_bytes();
                        let key = if wrong == Some(at) { &other } else { &own };
                        let signature = key.sign(&message).as_ref().to_vec();
                        (message, signature)
                    })
                    .collect();
                let answers = at_once(&checks, asked).await;
                for (at, is_signed) in answers.into_iter().enumerate() {
                    assert_eq!(is_signed, wrong != Some(at), "{at} of {count}, {wrong:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_signature_of_another_message_and_one_that_was_cut_are_found() {
        let (own, checks) = pair(7);
        let [first, second] = [b"pass 1".to_vec(), b"pass 2".to_vec()];
        let signature = own.sign(&first).as_ref().to_vec();
        let cut = signature[..63].to_vec();
        let mut flipped = signature.clone();
        flipped[40] ^= 1;
        // Two errors that would cancel each other out in a plain sum.
        let swapped = own.sign(&second).as_ref().to_vec();
        let asked = [
            (first.clone(), signature.clone()),
            (second.clone(), signature),
            (first.clone(), cut),
            (first.clone(), flipped),
            (first, swapped),
        ];
        let expected = [true, false, false, false, false];
        assert_eq!(at_once(&checks, asked.into()).await, expected);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_others_their_answers() {
        let (own, checks) = pair(7);
        let signature = |message: &[u8]| own.sign(message).as_ref().to_vec();
        let mut context = Context::from_waker(Waker::noop());
        let (first, second) = (signature(b"pass 1"), signature(b"pass 2"));
        let mut second = pin!(checks.is_signed(b"pass 2", &second));
        {
            // It has the turn, and is given up before it took it.
            let mut first = pin!(checks.is_signed(b"pass 1", &first));
            assert!(first.as_mut().poll(&mut context).is_pending());
            assert!(second.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(second.as_mut().poll(&mut context), Poll::Ready(true));
        // One that waits is given up: the next batch has no trace of it.
        let third = signature(b"pass 3");
        assert!(checks.is_signed(b"pass 3", &third).await);
        assert!(checks.waiting.lock().is_empty());
    }
}
