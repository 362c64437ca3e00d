//! Signing: the only way from a draft and its receipt to a certificate.

use ssh_key::Certificate;

use super::{draft::Draft, error::Error, key::Key, keys::Ca, lint, to_sign::ToSign};
use crate::{ledger::Receipt, ssh::wire};

impl Ca {
    /// Signs what the receipt recorded: rebuilds the bytes at its serial, compares their hash,
    /// signs them, lints the whole certificate and verifies the signature with the configured key.
    ///
    /// # Errors
    /// [`Error::Receipt`] if the ledger recorded other bytes; [`Error::Key`], [`Error::Away`],
    /// [`Error::Refused`] and [`Error::Signature`] if the key fails, refuses or answers with
    /// another key's signature; [`Error::Lint`] if the result is not fit to leave.
    pub async fn sign(&self, draft: Draft, receipt: Receipt) -> Result<Certificate, Error> {
        let serial = receipt.serial();
        if draft.to_be_signed_hash(serial) != *receipt.tbs_hash() {
            return Err(Error::Receipt);
        }
        let bytes = draft.to_be_signed(serial);
        lint::to_be_signed(&bytes, self.active())?;
        let to_sign = ToSign::Pass {
            serial,
            bytes: &bytes,
        };
        let bytes = signed(&self.active, to_sign).await?;
        Ok(lint::certificate(&bytes, self.active())?)
    }
}

/// The message, and behind it its signature by this key.
pub(super) async fn signed(key: &Key, to_sign: ToSign<'_>) -> Result<Vec<u8>, Error> {
    let signature = key.sign(to_sign).await?;
    let encoded = Vec::<u8>::try_from(signature).map_err(|_| Error::Signature)?;
    Ok([to_sign.message(), &wire::string(&encoded)].concat())
}
