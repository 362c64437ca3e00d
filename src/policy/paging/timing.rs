//! The time of an emergency's page, as in the policy file. Pure.

use serde::Deserialize;

/// When the page of an emergency goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PageTiming {
    /// When the pass is recorded, without waiting for an acknowledgement.
    #[default]
    After,
    /// Before the pass is recorded. Without an acknowledgement there is no pass.
    Before,
}
