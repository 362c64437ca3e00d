//! Signing: the only way from a draft and its receipt to a host certificate.

use ssh_key::Certificate;

use super::{draft::HostDraft, keys::HostCa, lint};
use crate::{
    ca::{error::Error, sign::signed, to_sign::ToSign},
    ledger::Receipt,
};

impl HostCa {
    /// Signs what the receipt recorded, as [`crate::ca::Ca::sign`] does.
    ///
    /// # Errors
    /// As [`crate::ca::Ca::sign`].
    pub(crate) async fn sign(
        &self,
        draft: HostDraft,
        receipt: Receipt,
    ) -> Result<Certificate, Error> {
        let serial = receipt.serial();
        if draft.to_be_signed_hash(serial) != *receipt.tbs_hash() {
            return Err(Error::Receipt);
        }
        let bytes = draft.to_be_signed(serial);
        lint::to_be_signed(&bytes, self.active())?;
        let to_sign = ToSign::HostCertificate {
            serial,
            bytes: &bytes,
        };
        let bytes = signed(&self.0.active, to_sign).await?;
        Ok(lint::certificate(&bytes, self.active())?)
    }
}
