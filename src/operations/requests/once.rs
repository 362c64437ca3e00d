//! Recording a request once, also if the same ask comes on two connections at the same instant.

use std::sync::{Arc, OnceLock};

use time::OffsetDateTime;

use crate::{
    identity::Identity,
    ledger::{
        EventKind,
        event::Requested,
        state::{Rejection, Rule},
    },
    operations::{authority::Authority, error::Error},
};

/// What became of a request that was to be opened.
pub(in crate::operations) enum Opened {
    /// It has this id.
    New(u64),
    /// The same one is open already, with this id. Nothing was recorded.
    Already(u64),
    /// The identity has opened too many lately. Nothing was recorded.
    TooMany,
}

impl Authority {
    /// Records a request, unless the same one is open already. The writer decides, from the state
    /// just before the event: of two that come at once, the second sees the first.
    ///
    /// # Errors
    /// Returns [`Error::Rejection`] if the ledger's state does not admit it, which is recorded, and
    /// [`Error::Store`] if the ledger cannot be written.
    pub(in crate::operations) async fn open_once(
        &self,
        requested: Requested,
        identity: &Identity,
        now: OffsetDateTime,
    ) -> Result<Opened, Error> {
        let instead = Arc::new(OnceLock::new());
        let (found, opened) = (Arc::clone(&instead), self.opened());
        let name = (identity.issuer().to_owned(), identity.subject().to_owned());
        let recorded = self.store.compose(
            move |state| {
                if let Some(request) = state.open_already(&requested, now) {
                    found.get_or_init(|| Opened::Already(request.id));
                    return Err(Rejection::new(
                        Rule::OtherAsk,
                        "the same one is open already",
                    ));
                }
                if !opened.lock().take(&name.0, &name.1, now) {
                    found.get_or_init(|| Opened::TooMany);
                    return Err(Rejection::new(Rule::TooMany, "opened too many lately"));
                }
                Ok(EventKind::Requested(Box::new(requested)))
            },
            now,
        );
        let recorded = recorded.await;
        match instead.get() {
            None => Ok(Opened::New(recorded?.index)),
            Some(Opened::Already(id)) => {
                // It may be in the same commit, which is not done yet.
                let store = &self.store;
                store
                    .until(|| store.size() > *id || !store.is_ready())
                    .await;
                Ok(Opened::Already(*id))
            }
            Some(Opened::New(_) | Opened::TooMany) => Ok(Opened::TooMany),
        }
    }
}
