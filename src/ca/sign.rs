//! Signing: the only way from a draft and its receipt to a certificate.

use ssh_key::Certificate;

use super::{draft::Draft, error::Error, key, keys::Ca, lint};
use crate::{ledger::Receipt, ssh::wire};

impl Ca {
    /// Signs what the receipt recorded: rebuilds the bytes at its serial, compares their hash,
    /// signs them, lints the whole certificate and verifies the signature with the configured key.
    ///
    /// # Errors
    /// [`Error::Receipt`] if the ledger recorded other bytes; [`Error::Key`] and
    /// [`Error::Signature`] if the key fails or answers with another key's signature;
    /// [`Error::Lint`] if the result is not fit to leave.
    pub fn sign(&self, draft: Draft, receipt: Receipt) -> Result<Certificate, Error> {
        let serial = receipt.serial();
        if draft.to_be_signed_hash(serial) != *receipt.tbs_hash() {
            return Err(Error::Receipt);
        }
        let mut bytes = draft.to_be_signed(serial);
        lint::to_be_signed(&bytes, self.active())?;
        let signature = self.active.sign(&bytes).ok_or(Error::Key)?;
        if !key::is_signed_by(self.active(), &bytes, &signature) {
            return Err(Error::Signature);
        }
        let encoded = Vec::<u8>::try_from(signature).map_err(|_| Error::Signature)?;
        wire::put_string(&mut bytes, &encoded);
        Ok(lint::certificate(&bytes, self.active())?)
    }
}
