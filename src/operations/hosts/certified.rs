//! Which hosts show a certificate, so that their users' ssh need not ask about a key.

use super::{behind, report::Report};
use crate::{operations::authority::Authority, unix_seconds::UnixSeconds};

/// Until when the host of this name or alias shows a certificate, as far as is known; 0 if it does
/// not. One that has joined and never reported a certificate may have failed to set itself up.
///
/// The ledger's word counts if the report cannot be read: a pass that was made is not lost for it.
pub(crate) async fn certified_until(
    authority: &Authority,
    name: &str,
    now: UnixSeconds,
) -> UnixSeconds {
    let name = name.to_ascii_lowercase();
    let found = authority.store.state(|state| {
        let host = state.host_called(&name)?;
        let joined = host.joined.as_ref()?.index;
        Some((host.name.clone(), joined, behind::shows_until(host, now)?))
    });
    let Some((name, joined, until)) = found else {
        return UnixSeconds::default();
    };
    // Boxed as the steps of [`crate::operations::issuance`]: most hosts have not joined.
    match Box::pin(has_reported(authority, &name, joined)).await {
        true => until,
        false => UnixSeconds::default(),
    }
}

/// Whether the host that joined with this event has reported a certificate.
async fn has_reported(authority: &Authority, name: &str, joined: u64) -> bool {
    let reports = match authority.store.reports(name, name).await {
        Ok(reports) => reports,
        Err(error) => {
            tracing::warn!(%error, host = name, "the report of a host cannot be read");
            return true;
        }
    };
    reports.iter().any(|stored| {
        let report = serde_json::from_slice::<Report>(&stored.content);
        stored.joined == joined && report.is_ok_and(|it| !it.certificates.is_empty())
    })
}
