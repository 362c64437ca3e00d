//! The logins on a known host that the ledger does not explain: each is recorded once, and no host
//! fills the ledger with them. Pure.

use std::{cmp::Ordering, collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{ledger::event::ForeignLogin, unix_seconds::UnixSeconds};

/// Time in which [`MOST`] events of one host are recorded.
const WINDOW: Duration = Duration::from_secs(3600);

/// The most logins of one host that are recorded in full within [`WINDOW`]. One more event counts
/// the rest.
pub(crate) const MOST: u32 = 20;

/// The most logins of one host that are known when they are reported again: those of three windows.
const REMEMBERED: usize = 3 * (MOST as usize + 1);

/// The last such logins of one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForeignLogins {
    /// The start of the window.
    from: UnixSeconds,
    /// Events since then.
    count: u32,
    /// Digests ([`ForeignLogin::digest`]), oldest first.
    recent: VecDeque<String>,
}

/// How the ledger takes the next such login of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// In full.
    Full,
    /// One that counts the rest.
    Count,
    /// None for some time.
    None,
}

impl ForeignLogins {
    /// Whether this login was recorded.
    pub(crate) fn is_known(&self, login: &ForeignLogin) -> bool {
        self.recent.contains(&login.digest())
    }

    /// The room at `now`. A clock that was put back opens no new window.
    pub(crate) fn room(&self, now: UnixSeconds) -> Room {
        let count = match self.is_over(now) {
            true => 0,
            false => self.count,
        };
        match count.cmp(&MOST) {
            Ordering::Less => Room::Full,
            Ordering::Equal => Room::Count,
            Ordering::Greater => Room::None,
        }
    }

    fn is_over(&self, now: UnixSeconds) -> bool {
        self.from.saturating_add(WINDOW) <= now
    }

    pub(super) fn take(&mut self, now: UnixSeconds, login: &ForeignLogin) {
        if self.is_over(now) {
            self.from = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(login.digest());
    }
}
