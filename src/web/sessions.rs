//! Sessions of browsers, in memory. A session has its ID token and ends with it. Pure.
//!
//! The table keeps hashes of the cookies: a copy of it opens no session.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::identity::Identity;

/// Most sessions of this server. At this number, a new one evicts the oldest of the identity that
/// has the most.
const MOST: usize = 4096;

/// Most sessions of one identity. A new one evicts its oldest.
const MOST_OF_ONE: usize = 8;

/// A browser in which a person is signed in.
pub(super) struct Session {
    /// The person, as the token proved it.
    pub(super) identity: Identity,
    /// The compact ID token.
    pub(super) token: Zeroizing<String>,
    /// The commitment to the browser's key, from the token.
    pub(super) commitment: String,
}

/// The sessions, by the hash of the cookie.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    by_cookie: HashMap<CookieHash, (u64, Arc<Session>)>,
}

type CookieHash = [u8; 32];

impl Sessions {
    /// Starts a session with a cookie that was never used before.
    pub(super) fn start(&self, cookie: &str, session: Session, now: OffsetDateTime) {
        let mut table = self.0.lock();
        table
            .by_cookie
            .retain(|_, (_, old)| old.identity.expires() > now);
        let own = table.oldest_of(&session.identity);
        if own.0 >= MOST_OF_ONE {
            table.remove(own.1);
        }
        if table.by_cookie.len() >= MOST {
            let crowd = table.oldest_of_the_most();
            table.remove(crowd);
        }
        table.last += 1;
        let entry = (table.last, Arc::new(session));
        let _ = table.by_cookie.insert(hash(cookie), entry);
    }

    /// The session of a cookie, unless its token has expired.
    pub(super) fn find(&self, cookie: &str, now: OffsetDateTime) -> Option<Arc<Session>> {
        let mut table = self.0.lock();
        let key = hash(cookie);
        let (_, session) = table.by_cookie.get(&key)?;
        if session.identity.expires() > now {
            return Some(Arc::clone(session));
        }
        table.remove(Some(key));
        None
    }

    /// Ends the session of a cookie.
    pub(super) fn end(&self, cookie: &str) {
        self.0.lock().remove(Some(hash(cookie)));
    }
}

impl Table {
    fn remove(&mut self, key: Option<CookieHash>) {
        if let Some(key) = key {
            let _ = self.by_cookie.remove(&key);
        }
    }

    /// The number of sessions of an identity, and the oldest of them.
    fn oldest_of(&self, identity: &Identity) -> (usize, Option<CookieHash>) {
        let own = |session: &Session| person(&session.identity) == person(identity);
        let own = self.by_cookie.iter().filter(|(_, (_, it))| own(it));
        let oldest = own.clone().min_by_key(|(_, (number, _))| *number);
        (own.count(), oldest.map(|(key, _)| *key))
    }

    fn oldest_of_the_most(&self) -> Option<CookieHash> {
        let mut counts: HashMap<(&str, &str), (usize, u64, CookieHash)> = HashMap::new();
        for (key, (number, session)) in &self.by_cookie {
            let count = counts
                .entry(person(&session.identity))
                .or_insert((0, *number, *key));
            count.0 += 1;
            if *number < count.1 {
                (count.1, count.2) = (*number, *key);
            }
        }
        // Of identities with equally many, the one with the oldest session.
        let most = counts
            .into_values()
            .max_by_key(|(count, number, _)| (*count, u64::MAX - *number));
        most.map(|(_, _, key)| key)
    }
}

fn person(identity: &Identity) -> (&str, &str) {
    (identity.issuer(), identity.subject())
}

fn hash(cookie: &str) -> CookieHash {
    Sha256::digest(cookie).into()
}
