//! Asks for passes, and requests with their decisions.

use daypass::ledger::state::Verb;
use daypass::proto::v1::{Ask, Request};
use rand::Rng;

use super::{Client, asked, parsed};
use crate::{
    history::{Expected, Outcome, What},
    support::{api::Caller, user::TestUser},
};

/// Users whom clients lock.
pub(super) const VICTIMS: usize = 6;

impl Client {
    /// The honest user, or one whom other clients lock.
    pub(super) async fn shell(&mut self) {
        let daemon = self.daemon();
        let name = match self.chance.gen_ratio(1, 5) {
            true => format!(
                "victim-{}-{}",
                self.chance.gen_range(0..VICTIMS),
                self.tags / 40
            ),
            false => format!("user-{}", self.number),
        };
        let user = self.user_on(daemon, &name, &["sre"], self.key.clone());
        let ask = self.ask("shell");
        self.issue(daemon, &user, ask, Expected::Anything).await;
    }

    pub(super) async fn logs(&mut self) {
        let daemon = self.daemon();
        let user = self.user_on(
            daemon,
            &format!("user-{}", self.number),
            &["sre"],
            self.key.clone(),
        );
        let mut ask = self.ask("logs");
        let (unit, expected) = match self.chance.gen_ratio(1, 4) {
            true => ("--since=1h; reboot", Expected::Denial),
            false => ("nginx.service", Expected::Anything),
        };
        ask.params.insert("unit".to_owned(), unit.to_owned());
        let user = match expected {
            Expected::Denial => self.stranger(daemon, &["sre"], "deploy"),
            Expected::Anything | Expected::Unproven => user,
        };
        self.issue(daemon, &user, ask, expected).await;
    }

    /// A role whose second principal is a claim.
    pub(super) async fn own(&mut self, login: &str) {
        let daemon = self.daemon();
        let user = self.stranger(daemon, &["sre"], login);
        let ask = self.ask("own");
        let expected = if login == "root" {
            Expected::Denial
        } else {
            Expected::Anything
        };
        self.issue(daemon, &user, ask, expected).await;
    }

    pub(super) async fn wrong_role(&mut self) {
        let daemon = self.daemon();
        let user = self.stranger(daemon, &["guests"], "deploy");
        let ask = self.ask("shell");
        self.issue(daemon, &user, ask, Expected::Denial).await;
    }

    /// Another user's token, with a key of the thief.
    pub(super) async fn stolen_token(&mut self) {
        let daemon = self.daemon();
        let owner = self.stranger(daemon, &["sre"], "deploy");
        let thief = TestUser {
            caller: Caller::new(),
            ..owner
        };
        let ask = self.ask("shell");
        self.issue(daemon, &thief, ask, Expected::Unproven).await;
    }

    /// A possession proof by another key than the one that it is sent with.
    pub(super) async fn other_possession(&mut self) {
        let daemon = self.daemon();
        let user = self.stranger(daemon, &["sre"], "deploy");
        let ask = self.ask("shell");
        let what = What::Ask(asked(&user, &ask, Expected::Unproven));
        let mut attempt = user.attempt(ask);
        attempt.sign(&Caller::new().key, user.api.server_name());
        let answer = async { Ok(parsed::issued(&user.api.issue(&attempt).await?)) };
        self.record(daemon, what, answer).await;
    }

    /// Opens a request, has it approved, and redeems it twice at once.
    pub(super) async fn approval(&mut self) {
        let (daemon, other) = (self.daemon(), self.daemon());
        let user = self.stranger(daemon, &["sre"], "deploy");
        let ask = self.ask("prod");
        let Outcome::Filed(id) = self
            .issue(daemon, &user, ask.clone(), Expected::Anything)
            .await
        else {
            return;
        };
        if self.chance.gen_ratio(1, 3) {
            // Not approved yet.
            let early = Ask {
                request: id,
                ..ask.clone()
            };
            self.issue(daemon, &user, early, Expected::Denial).await;
        }
        if self.chance.gen_ratio(1, 3) {
            let own = self.user_on(daemon, &user.name, &["sre", "sre-lead"], Caller::new());
            self.decide(daemon, &own, (Verb::Approve, "approve"), id)
                .await;
        }
        let lead = self.user_on(
            other,
            &format!("lead-{}", self.number),
            &["sre-lead"],
            self.lead.clone(),
        );
        let (verb, name) = match self.chance.gen_ratio(1, 5) {
            true => (Verb::Deny, "deny"),
            false => (Verb::Approve, "approve"),
        };
        self.decide(other, &lead, (verb, name), id).await;
        if self.chance.gen_ratio(1, 3) {
            self.decide(daemon, &lead, (verb, name), id).await;
        }
        let ask = Ask { request: id, ..ask };
        let what = || What::Ask(asked(&user, &ask, Expected::Anything));
        let redeem = async |daemon: usize| {
            let there = user.over(&self.shared.daemons[daemon].api);
            let attempt = there.attempt(ask.clone());
            let answer = async { Ok(parsed::issued(&there.api.issue(&attempt).await?)) };
            self.record(daemon, what(), answer).await
        };
        tokio::join!(redeem(daemon), redeem(other));
    }

    /// Opens a request and withdraws it.
    pub(super) async fn withdrawal(&mut self) {
        let daemon = self.daemon();
        let user = self.stranger(daemon, &["sre"], "deploy");
        let ask = self.ask("prod");
        let opened = self
            .issue(daemon, &user, ask.clone(), Expected::Anything)
            .await;
        if let Outcome::Filed(id) = opened {
            self.decide(daemon, &user, (Verb::Cancel, "cancel"), id)
                .await;
            let ask = Ask { request: id, ..ask };
            self.issue(daemon, &user, ask, Expected::Denial).await;
        }
    }

    pub(super) async fn emergency(&mut self) {
        let daemon = self.daemon();
        let user = self.stranger(daemon, &["sre"], "deploy");
        let ask = Ask {
            emergency: true,
            ..self.ask("prod")
        };
        self.issue(daemon, &user, ask, Expected::Anything).await;
    }

    /// A user who asks once, so that the rate of recorded denials is not reached.
    fn stranger(&mut self, daemon: usize, groups: &[&str], login: &str) -> TestUser {
        let name = format!("once-{}-{}", self.number, self.tags);
        self.user_with(daemon, &name, groups, (self.key.clone(), login))
    }

    async fn decide(
        &mut self,
        daemon: usize,
        user: &TestUser,
        (verb, name): (Verb, &'static str),
        id: u64,
    ) {
        let what = What::Decide {
            verb: name,
            request: id,
            by: user.name.clone(),
        };
        let answer = async {
            let seen: Request = user.view(id).await?;
            user.decide(verb, &seen).await?;
            Ok(Outcome::Decided)
        };
        self.record(daemon, what, answer).await;
    }
}
