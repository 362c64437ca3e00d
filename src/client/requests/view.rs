//! A request, read from the bytes of its own event: the same bytes whose hash a decision signs.
//! Pure.

use std::collections::BTreeMap;

use crate::{
    client::{Error, choose::PassRequest},
    ledger::{
        content::RequestContent,
        event::Event,
        state::Verb,
        tree::{Hash, leaf_hash},
    },
    proto::v1::{self, request::State},
    reason,
    unix_seconds::UnixSeconds,
};

/// A request: its content from its event, and the server's word on its state.
#[derive(Clone, Debug)]
pub(crate) struct RequestView {
    /// The index of its event.
    pub id: u64,
    /// The leaf hash of its event's bytes, which a decision signs.
    pub digest: Hash,
    /// Its state, as the server says.
    pub state: State,
    /// Its content, from its event.
    pub page: RequestContent,
    /// The decisions so far, as the server says.
    pub decisions: Vec<v1::request::Decision>,
    /// When it expires, Unix seconds; 0 for a review.
    pub expires_at: UnixSeconds,
    /// The serial of the pass it was redeemed for; 0 before.
    pub serial: u64,
    /// Whether the caller may decide it now, as the server says.
    pub may_decide: bool,
    /// If an approval needs presence, as the server says: the lines of the caller's keys for it.
    pub presence: Option<Vec<String>>,
    /// Whether the request that was to be opened was open already, as the server says.
    pub was_open: bool,
}

impl RequestView {
    /// Reads a request that the server sent.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if its event is not that of a request with its id.
    pub(in crate::client) fn read(wire: v1::Request) -> Result<Self, Error> {
        let wrong =
            |why: &str| Error::Untrusted(format!("request {} cannot be shown: {why}", wire.id));
        let event = Event::parse(&wire.event)
            .map_err(|error| wrong(&format!("its event does not parse: {error}")))?;
        if event.index != wire.id {
            return Err(wrong("its event is of another request"));
        }
        let (page, expires_at) =
            RequestContent::of(event).ok_or_else(|| wrong("its event does not open a request"))?;
        Ok(Self {
            id: wire.id,
            digest: leaf_hash(&wire.event),
            state: wire.state(),
            page,
            expires_at,
            serial: wire.serial,
            may_decide: wire.may_decide,
            was_open: wire.was_open,
            presence: wire.presence.then_some(wire.presence_keys),
            decisions: wire.decisions,
        })
    }

    /// Checks that this is request `id`, and returns it.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if it is not.
    pub(super) fn which_is(self, id: u64) -> Result<Self, Error> {
        if self.id == id {
            return Ok(self);
        }
        Err(Error::Untrusted(format!(
            "it is request {}, and {id} was asked for",
            self.id
        )))
    }

    /// Checks that this is a request for `ask`, and returns it.
    ///
    /// # Errors
    /// Returns [`Error::Untrusted`] if it is not.
    pub(in crate::client) fn which_is_for(self, ask: &v1::Ask) -> Result<Self, Error> {
        let own = &self.page.ask;
        let is_same = !self.page.is_review
            && own.role == ask.role
            && own.host.as_deref().unwrap_or_default() == ask.host
            && own.reason.as_deref().unwrap_or_default() == ask.reason
            && own
                .params
                .iter()
                .eq(ask.params.iter().collect::<BTreeMap<_, _>>());
        if is_same {
            return Ok(self);
        }
        Err(Error::Untrusted(format!(
            "it opened request {}, which is for something else than was asked for",
            self.id
        )))
    }

    /// Whether the request may be redeemed; false: it still waits.
    ///
    /// # Errors
    /// Returns [`Error::Denied`] or [`Error::TimedOut`] if it can no longer be redeemed.
    pub(crate) fn is_approved(&self) -> Result<bool, Error> {
        let ended = |reason: &str, how: &str| {
            Err(Error::Denied {
                reason: reason.to_owned(),
                message: format!("request {} {how}", self.id),
            })
        };
        match self.state {
            State::Pending => Ok(false),
            State::Approved => Ok(true),
            State::Denied => ended(reason::REQUEST_DENIED, &self.denied()),
            State::Cancelled => ended(reason::REQUEST_CANCELLED, "was withdrawn"),
            State::Redeemed => ended(
                reason::REQUEST_REDEEMED,
                "was redeemed already: it is good for one pass",
            ),
            State::Expired => Err(Error::TimedOut(format!(
                "request {} was not approved and redeemed in time; open another",
                self.id
            ))),
            State::ReviewOpen | State::Reviewed | State::Unspecified => {
                ended(reason::NO_SUCH_REQUEST, "is a review and needs no approval")
            }
        }
    }

    fn denied(&self) -> String {
        let denial = self
            .decisions
            .iter()
            .find(|decision| decision.verb == Verb::Deny.as_str());
        match denial {
            Some(denial) if denial.comment.is_empty() => format!("was denied by {}", denial.label),
            Some(denial) => format!("was denied by {}: {}", denial.label, denial.comment),
            None => "was denied".to_owned(),
        }
    }

    /// The ask that redeems the request: its own ask.
    ///
    /// # Errors
    /// Returns [`Error::Usage`] if `pass_request` contradicts what was approved.
    pub(in crate::client) fn redemption(
        &self,
        pass_request: &PassRequest,
    ) -> Result<v1::Ask, Error> {
        let asked = &self.page.ask;
        let differs = |said: &Option<String>, was: Option<&String>| {
            said.as_ref().is_some_and(|said| Some(said) != was)
        };
        let differences = [
            ("role", differs(&pass_request.role, Some(&asked.role))),
            ("host", differs(&pass_request.host, asked.host.as_ref())),
            (
                "reason",
                differs(&pass_request.reason, asked.reason.as_ref()),
            ),
            (
                "parameters",
                !pass_request.params.is_empty() && pass_request.params != asked.params,
            ),
            (
                "lifetime",
                pass_request.ttl_seconds.is_some() && pass_request.ttl_seconds != asked.ttl_seconds,
            ),
            (
                "source addresses",
                !pass_request.source_addresses.is_empty()
                    && pass_request.source_addresses != asked.source_addresses,
            ),
        ];
        if let Some((what, _)) = differences.iter().find(|(_, differs)| *differs) {
            return Err(Error::Usage(format!(
                "request {} is for another {what} than this command: leave the option out",
                self.id
            )));
        }
        Ok(v1::Ask {
            role: asked.role.clone(),
            host: asked.host.clone().unwrap_or_default(),
            params: asked.params.clone().into_iter().collect(),
            reason: asked.reason.clone().unwrap_or_default(),
            ttl_seconds: asked.ttl_seconds.unwrap_or_default(),
            source_addresses: asked.source_addresses.clone(),
            extensions: asked.extensions.clone(),
            request: self.id,
            emergency: false,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const REQUESTED: &str = r#"{"index":7,"at":"2026-01-01T00:00:00Z","type":"requested","who":{"issuer":"i","subject":"bob","label":"bob","claims":{}},"ask":{"role":"prod","reason":"INC-7"},"key":"SHA256:x","needed":1,"expires_at":9,"principals":["root"],"extensions":[],"ttl_seconds":60,"policy":"p"}"#;

    fn wire(event: &str) -> v1::Request {
        v1::Request {
            id: 7,
            event: event.into(),
            ..v1::Request::default()
        }
    }

    #[test]
    fn only_the_requests_own_event_is_shown_and_its_bytes_are_signed() {
        let view = RequestView::read(wire(REQUESTED)).unwrap();
        assert_eq!(view.digest, leaf_hash(REQUESTED.as_bytes()));
        assert_eq!(view.page.ask.reason.as_deref(), Some("INC-7"));
        let started = r#"{"index":7,"at":"2026-01-01T00:00:00Z","type":"started","version":"1","server":"s"}"#;
        for (case, event) in [
            ("nothing", String::new()),
            ("garbage", "x".to_owned()),
            (
                "another request's",
                REQUESTED.replace("\"index\":7", "\"index\":8"),
            ),
            ("an event that opens no request", started.to_owned()),
        ] {
            assert!(
                matches!(RequestView::read(wire(&event)), Err(Error::Untrusted(_))),
                "{case}"
            );
        }
    }

    #[test]
    fn a_redemption_is_the_ask_that_was_approved() {
        let view = RequestView::read(wire(REQUESTED)).unwrap();
        let ask = view.redemption(&PassRequest::default()).unwrap();
        assert_eq!((ask.role.as_str(), ask.request), ("prod", 7));
        let other = PassRequest {
            reason: Some("INC-8".to_owned()),
            ..PassRequest::default()
        };
        assert_eq!(view.redemption(&other).unwrap_err().exit_code(), 2);
    }
}
