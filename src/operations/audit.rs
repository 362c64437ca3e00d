//! Reading the ledger, for those whom policy lets.
