//! Sessions of browsers, in memory. A session has its ID token and ends with it, unless the
//! provider gave a refresh token: then it is renewed, and ends with the issuer's `session`. Pure.
//!
//! The table keeps hashes of the cookies: a copy of it opens no session.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::identity::Identity;

/// Most sessions of this server. At this number, a new one evicts the oldest of the identity that
/// has the most.
const MOST: usize = 4096;

/// Time before its end at which a token is renewed, so that it does not end on its way.
const MARGIN: Duration = Duration::from_secs(30);

/// Most sessions of one identity. A new one evicts its oldest.
const MOST_OF_ONE: usize = 8;

/// A browser in which a person is signed in.
pub(super) struct Session {
    /// The person, as the token proved it.
    pub(super) identity: Identity,
    /// The compact ID token.
    pub(super) token: Zeroizing<String>,
    /// The token of the sign-in, whose nonce binds the key, if `token` is a renewed one.
    pub(super) original: Option<Zeroizing<String>>,
    /// How it is renewed; `None`: it is not.
    pub(super) renewal: Option<Renewal>,
    /// The commitment to the browser's key, from the token.
    pub(super) commitment: String,
    /// Whether the policy in force at the last request lets this person read the ledger. Only for
    /// links: the handlers ask the policy again.
    pub(super) is_auditor: AtomicBool,
}

/// How a session is renewed.
#[derive(Clone)]
pub(super) struct Renewal {
    /// The configured name of the issuer.
    pub(super) issuer: String,
    pub(super) refresh: Zeroizing<String>,
    /// The end of the session.
    pub(super) ends: OffsetDateTime,
    /// Held during a renewal: refresh tokens may rotate, so each is used once. Has the time of the
    /// last one that failed.
    pub(super) turn: Arc<tokio::sync::Mutex<Option<OffsetDateTime>>>,
}

impl Session {
    /// When it ends.
    pub(super) fn ends(&self) -> OffsetDateTime {
        let expires = self.identity.expires();
        let renewal = self.renewal.as_ref();
        renewal.map_or(expires, |renewal| renewal.ends.max(expires))
    }

    /// Whether its token has expired, or expires before a call with it may have ended.
    pub(super) fn is_stale(&self, now: OffsetDateTime) -> bool {
        self.identity.expires() <= now + MARGIN
    }
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
        table.by_cookie.retain(|_, (_, old)| old.ends() > now);
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

    /// Puts a renewed session in the place of the one of this cookie, if that has not ended.
    pub(super) fn replace(&self, cookie: &str, session: Session) -> Option<Arc<Session>> {
        let mut table = self.0.lock();
        let (_, place) = table.by_cookie.get_mut(&hash(cookie))?;
        *place = Arc::new(session);
        Some(Arc::clone(place))
    }

    /// The session of a cookie, unless it has ended. Its token may have expired.
    pub(super) fn find(&self, cookie: &str, now: OffsetDateTime) -> Option<Arc<Session>> {
        let mut table = self.0.lock();
        let key = hash(cookie);
        let (_, session) = table.by_cookie.get(&key)?;
        if session.ends() > now {
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
