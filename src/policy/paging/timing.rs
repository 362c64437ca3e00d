//! When the page of an emergency goes out, as the file says it. Pure.

use serde::Deserialize;

/// When the page of an emergency goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageTiming {
    /// At once when the pass is recorded; nobody waits for it.
    #[default]
    After,
    /// Before the pass is recorded: without an acknowledgement there is none.
    Before,
}
