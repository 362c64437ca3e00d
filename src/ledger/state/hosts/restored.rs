//! The table of known hosts after a restored copy of the ledger was accepted. Pure.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use super::{Hosts, Lost};
use crate::{
    ledger::{Event, state::passes::MARGIN},
    unix_seconds::UnixSeconds,
};

/// The longest lifetime of a host certificate, by which a lost one has certainly ended.
pub(super) const LONGEST_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);

impl Hosts {
    /// The serials of certificates that a lost ledger may have made, by any host CA key.
    pub(in crate::ledger::state) fn lost(&self) -> impl Iterator<Item = u64> {
        self.lost.iter().flat_map(|lost| lost.from..lost.through)
    }

    /// Takes in that a restored copy was accepted. The lost ledger may have removed any of these
    /// hosts, or let one join with other keys: no certificate from before counts, and each host
    /// that is one still gets new ones with its next report. Join codes may have been used.
    pub(in crate::ledger::state) fn accept_restored(
        &mut self,
        event: &Event,
        lost: Range<u64>,
        agreed: UnixSeconds,
    ) {
        let at = UnixSeconds::from(event.at);
        let mut out = BTreeMap::new();
        for host in self.by_name.values_mut() {
            out.append(&mut host.out);
            if let Some(joined) = &mut host.joined {
                joined.certificates.clear();
                // They are behind until then, which is no news.
                host.marked_at = at;
            }
            if let Some(open) = &mut host.invitation {
                open.expires_at = open.expires_at.min(at);
            }
        }
        self.revoke(event, out, agreed);
        self.lost.retain(|it| !it.is_over(agreed));
        if !lost.is_empty() {
            self.lost.push(Lost {
                from: lost.start,
                through: lost.end,
                until: at.saturating_add(LONGEST_LIFETIME).saturating_add(MARGIN),
            });
        }
    }
}
