//! Reading the ledger table.
