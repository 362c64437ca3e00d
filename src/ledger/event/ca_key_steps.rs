//! The states of a CA key, and the steps between them. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A key's place in its life, by the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaKeyState {
    /// Published, so that hosts learn it, but not used yet.
    Staged,
    /// Signs new passes. Exactly one key does.
    Active,
    /// Signs no new pass. It stays published, because its last passes are still out.
    Retiring,
    /// No longer published. It never comes back.
    Retired,
}

impl fmt::Display for CaKeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Staged => "staged",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        })
    }
}

/// The step that an order takes with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaKeyStep {
    /// It is published.
    Stage,
    /// It signs from now on, and the key that signed before retires.
    Activate,
    /// It is published no more.
    Retire,
}

impl CaKeyStep {
    /// The word on the command line, in messages and in the signed order.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Activate => "activate",
            Self::Retire => "retire",
        }
    }
}
