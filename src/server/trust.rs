//! `daypass.v1.Trust`: what anyone may know, without a token.

use tonic::{Request, Response, Status, async_trait};

use super::{Services, call::Call, convert, status::Refusal};
use crate::{
    operations::trust,
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
}

impl Services {
    fn trust(&self, call: &Call) -> Result<v1::GetTrustResponse, Refusal> {
        self.admit(call)?;
        let trust = trust::trust(&self.authority);
        Ok(convert::trust(trust, self.issuers.settings())?)
    }
}
