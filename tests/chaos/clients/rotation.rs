//! An administrator who rotates the CA's keys: staged, activated, activated back, retired.

use std::{sync::atomic::Ordering, time::Duration};

use daypass::{
    ledger::{
        event::CaKeyStep,
        order::{Target, Verb},
    },
    proto::v1::{self, OrderCaKeyRequest, ca_key},
};
use rand::{Rng, seq::SliceRandom};

use super::Client;
use crate::{
    history::{CaKeyCall, Outcome, What},
    keys,
    support::user::TestUser,
};

/// Keys that the administrator keeps, so that there is always one to activate.
const KEPT: usize = 2;

/// A signed order, and what the history says of it.
type Signed = (CaKeyCall, OrderCaKeyRequest);

impl Client {
    /// Gives orders about keys until the run is over.
    pub(crate) async fn run_rotation(mut self) {
        let folder = self.shared.daemons[0].files.folder();
        let all = keys::public(folder).into_iter().take(keys::FILES.len());
        let all: Vec<String> = all.map(|(fingerprint, _)| fingerprint).collect();
        while !self.shared.is_over.load(Ordering::SeqCst) {
            self.rotate(&all).await;
            let pause = self.chance.gen_range(0..800);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// One order, by one daemon or by two at once; or two orders that exclude each other.
    async fn rotate(&mut self, all: &[String]) {
        let (daemon, other) = (self.daemon(), self.daemon());
        let wish = (self.chance.gen_range(0..100), self.chance.gen_range(0..8));
        let (first, second) = (self.any(all), self.any(all));
        let is_patient = self.chance.gen_ratio(1, 3);
        let (carol, dave) = (self.administrator(daemon), self.administrator(other));
        let Some((after, known)) = listed(&carol).await else {
            return;
        };
        let in_state = |wanted: &[ca_key::State]| {
            let found = known.iter().find(|(_, state)| wanted.contains(state));
            found.map(|(key, _)| key.clone())
        };
        let retired = |state: &ca_key::State| *state == ca_key::State::Retired;
        let gone = known.iter().filter(|(_, state)| retired(state)).count();
        let (step, key) = match wish.0 {
            0..=14 => (CaKeyStep::Stage, first),
            15..=59 => (CaKeyStep::Activate, first),
            60..=79 => {
                let back = in_state(&[ca_key::State::Retiring]);
                (CaKeyStep::Activate, back.unwrap_or(first))
            }
            80..=87 if gone + KEPT < all.len() => {
                let old = in_state(&[ca_key::State::Retiring, ca_key::State::Staged]);
                (CaKeyStep::Retire, old.unwrap_or(first))
            }
            // Each of them is refused.
            88..=93 => (
                CaKeyStep::Retire,
                in_state(&[ca_key::State::Active]).unwrap_or(first),
            ),
            _ => (
                CaKeyStep::Activate,
                in_state(&[ca_key::State::Retired]).unwrap_or(first),
            ),
        };
        let anyway = !is_patient && step != CaKeyStep::Stage;
        let order = self.signed(&carol, (step, &key, anyway), after);
        match wish.1 {
            // The same order twice at once: it counts once.
            0 => {
                let again = self.signed_again(&order, &dave, after);
                tokio::join!(
                    self.send_ca_key(daemon, &carol, order),
                    self.send_ca_key(other, &dave, again),
                );
            }
            // Two keys cannot both become active by what one administrator saw.
            1 => {
                let rival = self.signed(&dave, (CaKeyStep::Activate, &second, true), after);
                tokio::join!(
                    self.send_ca_key(daemon, &carol, order),
                    self.send_ca_key(other, &dave, rival),
                );
            }
            _ => self.send_ca_key(daemon, &carol, order).await,
        }
    }

    fn any(&mut self, all: &[String]) -> String {
        all.choose(&mut self.chance).unwrap().clone()
    }

    fn signed(
        &mut self,
        user: &TestUser,
        (step, key, anyway): (CaKeyStep, &str, bool),
        after: u64,
    ) -> Signed {
        let tag = self.order_tag();
        let (name, wire) = match step {
            CaKeyStep::Stage => ("stage", v1::CaKeyStep::Stage),
            CaKeyStep::Activate => ("activate", v1::CaKeyStep::Activate),
            CaKeyStep::Retire => ("retire", v1::CaKeyStep::Retire),
        };
        let key = key.to_owned();
        let target = Target::CaKey {
            key: key.clone(),
            anyway,
        };
        let request = OrderCaKeyRequest {
            key: key.clone(),
            step: wire.into(),
            anyway,
            order: user.order((Verb::from(step), &target, &tag, after)),
        };
        let call = CaKeyCall {
            tag,
            step: name,
            key,
            anyway,
        };
        (call, request)
    }

    /// The same order with the same reason, by the token for the other daemon.
    fn signed_again(&self, (call, request): &Signed, user: &TestUser, after: u64) -> Signed {
        let step = match call.step {
            "stage" => CaKeyStep::Stage,
            "activate" => CaKeyStep::Activate,
            _ => CaKeyStep::Retire,
        };
        let target = Target::CaKey {
            key: call.key.clone(),
            anyway: call.anyway,
        };
        let request = OrderCaKeyRequest {
            order: user.order((Verb::from(step), &target, &call.tag, after)),
            ..request.clone()
        };
        (call.clone(), request)
    }

    async fn send_ca_key(&self, daemon: usize, user: &TestUser, (call, request): Signed) {
        let answer = async {
            let index = user.send_ca_key(request).await?;
            Ok(Outcome::Ordered {
                index: Some(index),
                serials: Vec::new(),
            })
        };
        self.record(daemon, What::CaKey(call), answer).await;
    }

    /// The tag of an order.
    pub(super) fn order_tag(&mut self) -> String {
        self.tags += 1;
        format!("order-{}-{}", self.number, self.tags)
    }
}

/// What the next order must name, and the keys with their states; none if the daemon does not
/// answer.
async fn listed(user: &TestUser) -> Option<(u64, Vec<(String, ca_key::State)>)> {
    let answer = tokio::time::timeout(super::PATIENCE, user.ca_keys()).await;
    let listed = answer.ok()?.ok()?;
    let keys = listed.keys.into_iter().map(|it| {
        let state = it.state();
        (it.fingerprint, state)
    });
    Some((listed.after, keys.collect()))
}
