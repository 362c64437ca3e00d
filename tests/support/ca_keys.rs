//! Orders about the CA's keys.

use daypass::{
    ledger::{
        event::CaKeyStep,
        order::{Target, Verb},
    },
    proto::v1::{self, CaKey, ListCaKeysRequest, ListCaKeysResponse, OrderCaKeyRequest},
};

use super::{
    api::{Refusal, with_token},
    user::TestUser,
};

impl TestUser {
    pub async fn ca_keys(&self) -> Result<ListCaKeysResponse, Refusal> {
        let request = with_token(ListCaKeysRequest {}, &self.token);
        let answer = self.api.admin().list_ca_keys(request).await?;
        Ok(answer.into_inner())
    }

    /// A signed step, to be changed or sent as often as a test likes. Any reason means `anyway`.
    pub async fn ca_key_request(
        &self,
        step: CaKeyStep,
        key: &str,
        reason: &str,
    ) -> OrderCaKeyRequest {
        let after = self.ca_keys().await.map_or(0, |it| it.after);
        let anyway = !reason.is_empty();
        let target = Target::CaKey {
            key: key.to_owned(),
            anyway,
        };
        OrderCaKeyRequest {
            key: key.to_owned(),
            step: match step {
                CaKeyStep::Stage => v1::CaKeyStep::Stage,
                CaKeyStep::Activate => v1::CaKeyStep::Activate,
                CaKeyStep::Retire => v1::CaKeyStep::Retire,
            }
            .into(),
            anyway,
            order: self.order((Verb::from(step), &target, reason, after)),
        }
    }

    pub async fn send_ca_key(&self, request: OrderCaKeyRequest) -> Result<u64, Refusal> {
        let request = with_token(request, &self.token);
        let answer = self.api.admin().order_ca_key(request).await?;
        Ok(answer.into_inner().event)
    }

    /// Takes a step with a key, without waiting if there is a reason.
    pub async fn order_ca_key(
        &self,
        step: CaKeyStep,
        key: &str,
        reason: &str,
    ) -> Result<u64, Refusal> {
        let request = self.ca_key_request(step, key, reason).await;
        self.send_ca_key(request).await
    }

    /// The fingerprint of the only key in this state.
    pub async fn ca_key_in(&self, state: v1::ca_key::State) -> String {
        let keys = self.ca_keys().await.unwrap().keys;
        let mut found = keys.iter().filter(|key: &&CaKey| key.state() == state);
        match (found.next(), found.next()) {
            (Some(key), None) => key.fingerprint.clone(),
            _ => panic!("{keys:?}"),
        }
    }
}
