//! Rotation of the CA's keys, for an administrator.

use super::{Error, Signed, credentials::authorized, key::Key};
use crate::{
    ledger::{
        event::CaKeyStep,
        order::{Target, Verb},
    },
    proto::v1,
};

impl Signed {
    /// The CA's keys, and which known hosts do not trust them.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn ca_keys(&self) -> Result<v1::ListCaKeysResponse, Error> {
        let request = authorized(&self.login, v1::ListCaKeysRequest {})?;
        let answer = self.server.admin().list_ca_keys(request).await?;
        Ok(answer.into_inner())
    }

    /// Takes a step with a key. `after` is that of the list that the user was shown: the order does
    /// not count if another administrator's came since.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] if the policy does not allow this identity to.
    pub(crate) async fn order_ca_key(
        &self,
        (step, fingerprint): (CaKeyStep, &str),
        (anyway, reason): (bool, &str),
        after: u64,
        key: &Key,
    ) -> Result<v1::OrderCaKeyResponse, Error> {
        let target = Target::CaKey {
            key: fingerprint.to_owned(),
            anyway,
        };
        let proof = self.prove_order(Verb::from(step), &target, reason, after, key);
        let step = match step {
            CaKeyStep::Stage => v1::CaKeyStep::Stage,
            CaKeyStep::Activate => v1::CaKeyStep::Activate,
            CaKeyStep::Retire => v1::CaKeyStep::Retire,
        };
        let request = v1::OrderCaKeyRequest {
            key: fingerprint.to_owned(),
            step: step.into(),
            anyway,
            order: Some(proof.await?),
        };
        let request = authorized(&self.login, request)?;
        let answer = self.server.admin().order_ca_key(request).await?;
        Ok(answer.into_inner())
    }
}
