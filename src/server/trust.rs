//! `daypass.v1.Trust`: what anyone may know, without a token.

use tonic::{Request, Response, Status, async_trait};

use super::{Services, call::Call, convert, status::CallError};
use crate::{
    operations::{published, trust},
    proto::v1::{self, trust_server::Trust},
};

#[async_trait]
impl Trust for Services {
    async fn get_trust(
        &self,
        request: Request<v1::GetTrustRequest>,
    ) -> Result<Response<v1::GetTrustResponse>, Status> {
        let (call, _) = Call::open("Trust/GetTrust", request);
        let outcome = self.trust(&call);
        call.close(outcome)
    }

    async fn get_revocations(
        &self,
        request: Request<v1::GetRevocationsRequest>,
    ) -> Result<Response<v1::GetRevocationsResponse>, Status> {
        let (call, _) = Call::open("Trust/GetRevocations", request);
        let outcome = self.revocations(&call);
        call.close(outcome)
    }
}

impl Services {
    fn trust(&self, call: &Call) -> Result<v1::GetTrustResponse, CallError> {
        self.admit(call)?;
        let trust = trust::trust(&self.authority);
        Ok(convert::trust(trust, self.issuers.settings())?)
    }

    fn revocations(&self, call: &Call) -> Result<v1::GetRevocationsResponse, CallError> {
        self.admit(call)?;
        let revocations = published::revocations(&self.authority, call.now())?;
        Ok(v1::GetRevocationsResponse {
            krl: revocations.document.body.to_vec(),
            signature: revocations.document.signature.clone(),
            version: revocations.version,
        })
    }
}
