//! Handlers of `daypass.v1.Trust`: facts that need no token.

use tonic::{Request, async_trait};

use super::{answer::Answer, convert, services::Services};
use crate::{
    operations::{hosts::revoked, published, trust},
    proto::v1::{self, trust_server::Trust},
};

#[async_trait]
impl Trust for Services {
    async fn get_trust(
        &self,
        request: Request<v1::GetTrustRequest>,
    ) -> Answer<v1::GetTrustResponse> {
        self.answer("Trust/GetTrust", request, async |call, _| {
            self.admit(call)?;
            let trust = trust::current_trust(&self.authority).await;
            let issuers = self.issuers.settings();
            Ok(convert::trust(trust, issuers, &self.page_url)?)
        })
        .await
    }

    async fn get_revocations(
        &self,
        request: Request<v1::GetRevocationsRequest>,
    ) -> Answer<v1::GetRevocationsResponse> {
        self.answer("Trust/GetRevocations", request, async |call, request| {
            self.admit(call)?;
            if request.hosts {
                return Ok(v1::GetRevocationsResponse {
                    krl: revoked::list(&self.authority).await?.to_vec(),
                    signature: Vec::new(),
                });
            }
            let published = published::current_revocations(&self.authority).await?;
            Ok(v1::GetRevocationsResponse {
                krl: published.document.body.to_vec(),
                signature: published.document.signature.clone(),
            })
        })
        .await
    }
}
