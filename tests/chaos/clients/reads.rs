//! Hosts, auditors and witnesses: they read.

use daypass::{
    ledger::tree::leaf_hash,
    proto::v1::{
        GetCheckpointRequest, GetRevocationsRequest, ListRequest, ListRequestsRequest,
        ledger_client::LedgerClient, trust_client::TrustClient,
    },
};

use super::{Client, parsed};
use crate::{
    history::{Outcome, What},
    support::api::with_token,
};

/// The longest wait for the first request of a watch.
const WATCHED: std::time::Duration = std::time::Duration::from_millis(300);

impl Client {
    pub(super) async fn revocations(&mut self) {
        let daemon = self.daemon();
        self.revocations_of(daemon).await;
    }

    pub(crate) async fn revocations_of(&self, daemon: usize) {
        let api = &self.shared.daemons[daemon].api;
        let answer = async {
            let mut trust = TrustClient::new(api.channel());
            let list = trust
                .get_revocations(GetRevocationsRequest::default())
                .await?
                .into_inner();
            Ok(Outcome::Revocations(parsed::revocations(list.krl)))
        };
        self.record(daemon, What::Read("revocations"), answer).await;
    }

    pub(crate) async fn checkpoint(&mut self) {
        let daemon = self.daemon();
        let user = self.user_on(
            daemon,
            &format!("user-{}", self.number),
            &["sre"],
            self.key.clone(),
        );
        let answer = async {
            let message = with_token(GetCheckpointRequest {}, &user.token);
            let answer = LedgerClient::new(user.api.channel())
                .get_checkpoint(message)
                .await?;
            Ok(parsed::checkpoint(&answer.into_inner().checkpoint))
        };
        self.record(daemon, What::Read("checkpoint"), answer).await;
    }

    /// The newest events, as an auditor lists them.
    pub(super) async fn list(&mut self) {
        let daemon = self.daemon();
        let auditor = self.administrator(daemon);
        let answer = async {
            let request = ListRequest {
                from: u64::MAX >> 1,
                limit: 50,
                newest_first: true,
                filter: None,
            };
            let message = with_token(request, &auditor.token);
            let listed = LedgerClient::new(auditor.api.channel())
                .list(message)
                .await?
                .into_inner();
            let leaves = listed.events.iter().map(|leaf| {
                let event: serde_json::Value = serde_json::from_slice(leaf).unwrap_or_default();
                (event["index"].as_u64().unwrap_or(u64::MAX), leaf_hash(leaf))
            });
            Ok(Outcome::Leaves(leaves.collect()))
        };
        self.record(daemon, What::Read("events"), answer).await;
    }

    /// The requests that a lead may decide: listed, then watched for a moment.
    pub(super) async fn watch(&mut self) {
        let daemon = self.daemon();
        let name = format!("lead-{}", self.number);
        let lead = self.user_on(daemon, &name, &["sre-lead"], self.key.clone());
        let answer = async {
            let message = with_token(ListRequestsRequest::default(), &lead.token);
            let listed = lead
                .api
                .requests()
                .list(message)
                .await?
                .into_inner()
                .requests;
            let mut shown: Vec<_> = listed
                .into_iter()
                .map(|it| (it.id, leaf_hash(&it.event)))
                .collect();
            let mut changes = lead.watch(0).await?;
            while let Ok(Ok(Some(change))) = tokio::time::timeout(WATCHED, changes.message()).await
            {
                shown.push((change.id, leaf_hash(&change.event)));
                if shown.len() > 100 {
                    break;
                }
            }
            Ok(Outcome::Leaves(shown))
        };
        self.record(daemon, What::Read("requests"), answer).await;
    }
}
