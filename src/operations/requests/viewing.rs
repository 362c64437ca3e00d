//! Lists the requests that one identity may see, in pages or change by change. The cost is bounded
//! for every caller.

use std::sync::Arc;

use time::OffsetDateTime;

use super::view::{Reader, View, event};
use crate::{
    identity::Identity,
    ledger::{
        event::Actor,
        state::{Request, State},
    },
    operations::{authority::Authority, error::Error, record},
    policy::{Policy, sight::Sight},
};

/// Requests of a page if the caller names no number.
pub(crate) const PAGE: usize = 100;

/// The most requests of one page.
const MOST: usize = 500;

/// The most bytes of events in one page. gRPC clients take 4 MiB.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// Requests of one page at most whose asks a condition reads: each costs an evaluation.
const MOST_JUDGED: usize = 500;

/// The page that a caller asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOptions {
    /// Also those that have ended.
    pub all: bool,
    /// Those with larger ids than this one.
    pub after: u64,
    /// At most this many, up to 500.
    pub size: usize,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self {
            all: false,
            after: 0,
            size: PAGE,
        }
    }
}

/// An identity, with what it may see under one policy.
pub(crate) struct Viewer {
    identity: Identity,
    who: Actor,
    policy: Arc<Policy>,
    sight: Sight,
}

/// Whether the identity may see a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visibility {
    Yes,
    No,
    /// A condition decides that reads the ask.
    Perhaps,
}

impl Viewer {
    /// Takes the policy in force, and finds the roles whose requests `identity` may see.
    pub(crate) fn new(authority: &Authority, identity: &Identity) -> Self {
        let policy = authority.policy();
        Self {
            who: record::who(identity),
            sight: policy.sight(identity.into()),
            identity: identity.clone(),
            policy,
        }
    }

    /// The requests that it may see besides its own.
    pub(crate) fn sight(&self) -> &Sight {
        &self.sight
    }

    /// A change as this identity sees it. `None` if it may not see it.
    pub(crate) fn view(&self, change: &Change) -> Option<View> {
        let (request, event) = (&change.request, &change.event);
        self.may_see(request).then(|| {
            self.reader()
                .view(request.clone(), event.clone(), change.at)
        })
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            policy: &self.policy,
            identity: &self.identity,
        }
    }

    fn may_see(&self, request: &Request) -> bool {
        match self.glance(request) {
            Visibility::Yes => true,
            Visibility::No => false,
            Visibility::Perhaps => self.reader().may_see(request),
        }
    }

    fn glance(&self, request: &Request) -> Visibility {
        let role = &request.ask.role;
        if self.sight.all || self.sight.roles.contains(role) || request.is_by(&self.who) {
            Visibility::Yes
        } else if self.sight.perhaps.contains(role) {
            Visibility::Perhaps
        } else {
            Visibility::No
        }
    }
}

/// One page of the requests that this identity opened, may decide or may audit, by id. Also returns
/// the id after which the next page begins, if there is one. A page may be short although another
/// follows.
///
/// # Errors
/// Returns [`Error::Store`] if the ledger cannot be read.
pub(crate) async fn list(
    authority: &Authority,
    viewer: &Viewer,
    page: ListOptions,
    now: OffsetDateTime,
) -> Result<(Vec<View>, Option<u64>), Error> {
    authority.store.follow().await?;
    let (candidates, mut next) = candidates(authority, viewer, page, now);
    let (mut views, mut bytes) = (Vec::new(), 0_usize);
    for request in candidates {
        if !viewer.may_see(&request) {
            continue;
        }
        let (id, event) = (request.id, event(authority, request.id).await?);
        bytes = bytes.saturating_add(event.len());
        if bytes > MOST_BYTES && !views.is_empty() {
            next = Some(id.saturating_sub(1));
            break;
        }
        views.push(viewer.reader().view(request, event, now));
    }
    Ok((views, next))
}

/// The requests of a page that the identity may see or perhaps see, and the id after which there
/// are more.
fn candidates(
    authority: &Authority,
    viewer: &Viewer,
    page: ListOptions,
    now: OffsetDateTime,
) -> (Vec<Request>, Option<u64>) {
    let size = page.size.clamp(1, MOST);
    authority.store.state(|state| {
        let (mut found, mut judged) = (Vec::new(), 0);
        let mut last = page.after;
        for request in state.requests_after(page.after) {
            if found.len() - judged >= size || judged >= MOST_JUDGED {
                return (found, Some(last));
            }
            last = request.id;
            if !page.all && !waits(request, now) {
                continue;
            }
            match viewer.glance(request) {
                Visibility::Yes => found.push(request.clone()),
                Visibility::Perhaps => {
                    judged += 1;
                    found.push(request.clone());
                }
                Visibility::No => (),
            }
        }
        (found, None)
    })
}

fn waits(request: &Request, now: OffsetDateTime) -> bool {
    matches!(
        request.state(now),
        State::Pending | State::Approved | State::ReviewOpen
    )
}

/// A request just after it changed, or after its time ended.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    request: Request,
    event: Vec<u8>,
    at: OffsetDateTime,
}

impl Change {
    /// Reads the request's event.
    ///
    /// # Errors
    /// Returns [`Error::Store`] if the ledger cannot be read.
    pub(crate) async fn read(
        authority: &Authority,
        request: Request,
        at: OffsetDateTime,
    ) -> Result<Self, Error> {
        let event = event(authority, request.id).await?;
        Ok(Self { request, event, at })
    }
}

/// The requests that changed after `revision`, and those whose time ended between two moments. Also
/// returns the revision up to which these are all changes.
pub(crate) fn changes(
    authority: &Authority,
    revision: u64,
    (from, to): (OffsetDateTime, OffsetDateTime),
) -> (u64, Vec<Request>) {
    authority.store.state(|state| {
        let changed = state.changed_after(revision);
        let requests = changed.chain(state.ended_between(from, to));
        (state.revision(), requests.cloned().collect())
    })
}
