//! Authentication: the first step of every handler that needs to know its caller.

use super::{call::Call, services::Services, status::CallError};
use crate::identity::Identity;

impl Services {
    /// Checks the rate of the address, then the token (or the two of a renewed sign-in), then the
    /// rate of the identity.
    pub(super) async fn authenticate(&self, call: &mut Call) -> Result<Identity, CallError> {
        self.admit(call)?;
        let (token, now) = (call.bearer()?, call.now());
        let identity = match call.original()? {
            None => self.issuers.verify(token, now).await?,
            Some(original) => Box::pin(self.issuers.verify_refreshed(token, original, now)).await?,
        };
        call.identify(&identity);
        self.per_identity
            .check((identity.issuer(), identity.subject()))
            .map_err(CallError::RateLimited)?;
        call.prove();
        Ok(identity)
    }

    /// Checks the rate of the address alone, for calls that need no token.
    pub(super) fn admit(&self, call: &Call) -> Result<(), CallError> {
        match call.network() {
            Some(network) => self
                .per_address
                .check(network)
                .map_err(CallError::RateLimited),
            None => Ok(()),
        }
    }
}
