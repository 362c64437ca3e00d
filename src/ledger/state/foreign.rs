//! The logins on a known host that the ledger does not explain: each is recorded once, and no host
//! fills the ledger with them. Pure.

use std::{cmp::Ordering, collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{ledger::event::ForeignLogin, unix_seconds::UnixSeconds};

/// Time in which [`MOST`] events of one host and one window are recorded.
const WINDOW: Duration = Duration::from_secs(3600);

/// The most logins of one host that are recorded in full within [`WINDOW`]. One more event counts
/// the rest.
pub(crate) const MOST: u32 = 20;

/// The most logins of one host that are known when they are reported again: those of three hours.
const REMEMBERED: usize = 6 * (MOST as usize + 1);

/// The last such logins of one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForeignLogins {
    /// Those that speak of a stolen key: others use up none of their room.
    stolen: Window,
    others: Window,
    /// Digests ([`ForeignLogin::digest`]), oldest first.
    recent: VecDeque<String>,
}

/// Events of one host within [`WINDOW`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Window {
    /// Its start.
    from: UnixSeconds,
    /// Events since then.
    count: u32,
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

    /// The room for this login at `now`. A clock that was put back by less than an hour
    /// opens no new window.
    pub(crate) fn room(&self, now: UnixSeconds, login: &ForeignLogin) -> Room {
        let window = match login.finding.is_of_stolen_key() {
            true => &self.stolen,
            false => &self.others,
        };
        let count = match window.is_over(now) {
            true => 0,
            false => window.count,
        };
        match count.cmp(&MOST) {
            Ordering::Less => Room::Full,
            Ordering::Equal => Room::Count,
            Ordering::Greater => Room::None,
        }
    }

    pub(super) fn take(&mut self, now: UnixSeconds, login: &ForeignLogin) {
        let window = match login.finding.is_of_stolen_key() {
            true => &mut self.stolen,
            false => &mut self.others,
        };
        if window.is_over(now) {
            *window = Window {
                from: now,
                count: 0,
            };
        }
        window.count = window.count.saturating_add(1);
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(login.digest());
    }
}

impl Window {
    fn is_over(&self, now: UnixSeconds) -> bool {
        // One of the future is by a clock that was ahead, and was put back.
        self.from.saturating_add(WINDOW) <= now || self.from > now.saturating_add(WINDOW)
    }
}
