//! A caller without an identity, who sends many calls at once.

use std::sync::atomic::Ordering;

use daypass::proto::v1::trust_client::TrustClient;
use daypass::proto::v1::{Ask, EmergencyChallengeRequest, GetRevocationsRequest, IssueRequest};
use rand::Rng;
use tokio::{net::TcpStream, task::JoinSet};

use super::{Client, PATIENCE, parsed};
use crate::{
    history::{Asked, Expected, What},
    support::{api::with_token, issued::Issued},
};

/// Calls of one flood.
const CALLS: u64 = 400;

/// Bytes of an invalid token: within the server's bound on headers.
const TOKEN: usize = 6000;

impl Client {
    /// Calls without a token, with an invalid one, for challenges and lists, and connections that
    /// send nothing.
    pub(super) async fn strange(&mut self) {
        let number = self.daemon();
        let daemon = self.shared.daemons[number].clone();
        let mut ask = self.ask("shell");
        ask.reason = format!("stranger-{}", ask.reason);
        self.nameless(number, ask.clone()).await;
        let mut calls = JoinSet::new();
        for call in 0..CALLS {
            let (daemon, ask) = (daemon.clone(), ask.clone());
            let address = daemon.files.url().replace("https://", "");
            let kind = self.chance.gen_range(0..5);
            calls.spawn(async move {
                let api = &daemon.api;
                let issue = IssueRequest {
                    ask: Some(ask),
                    ..IssueRequest::default()
                };
                match kind {
                    0 => drop(api.passes().issue(issue).await),
                    1 => {
                        let token = format!("{call:a>TOKEN$}");
                        drop(api.passes().issue(with_token(issue, &token)).await);
                    }
                    2 => {
                        let wanted = EmergencyChallengeRequest {};
                        drop(api.passes().emergency_challenge(wanted).await);
                    }
                    3 => {
                        let mut trust = TrustClient::new(api.channel());
                        drop(
                            trust
                                .get_revocations(GetRevocationsRequest::default())
                                .await,
                        );
                    }
                    _ => drop(TcpStream::connect(&address).await),
                }
            });
        }
        let _ = tokio::time::timeout(PATIENCE, calls.join_all()).await;
        self.shared.strange.fetch_add(CALLS, Ordering::SeqCst);
    }

    /// One such call, whose answer is judged.
    async fn nameless(&self, daemon: usize, ask: Ask) {
        let asked = Asked {
            tag: ask.reason.clone(),
            subject: String::new(),
            key: String::new(),
            role: "shell",
            ttl_seconds: ask.ttl_seconds,
            request: None,
            emergency: false,
            by: None,
            expected: Expected::Unproven,
        };
        let request = IssueRequest {
            ask: Some(ask),
            ..IssueRequest::default()
        };
        let mut passes = self.shared.daemons[daemon].api.passes();
        let answer = async {
            let issued: Issued = passes.issue(request).await?.into_inner().into();
            Ok(parsed::issued(&issued))
        };
        self.record(daemon, What::Ask(asked), answer).await;
    }
}
