//! A request as its own event tells it: the bytes that are shown are the bytes whose hash is signed. Pure.

use super::State;
use crate::{
    client::{Error, choose::PassRequest},
    ledger::{
        event::{Actor, Event, EventKind, RequestDetails, RequestedJumpHost},
        state::Verb,
        tree::{Hash, leaf_hash},
    },
    proto::v1,
    reason,
    unix_seconds::UnixSeconds,
};

/// A request, read.
#[derive(Clone, Debug)]
pub struct RequestView {
    /// The index of its event.
    pub id: u64,
    /// The leaf hash of its event's bytes: what deciders sign.
    pub digest: Hash,
    /// How it stands, as the server says.
    pub state: State,
    /// What its event says.
    pub page: RequestContent,
    /// Who decided what so far, as the server says.
    pub decisions: Vec<v1::request::Decision>,
    /// Unix seconds: when it ends by itself; 0 for a review.
    pub expires_at: u64,
    /// The pass it was redeemed for; 0 before.
    pub serial: u64,
    /// Whether the caller may decide it now, as the server says.
    pub may_decide: bool,
}

/// What somebody decides about: everything from the event's bytes.
#[derive(Clone, Debug)]
pub struct RequestContent {
    /// Who asked.
    pub who: Actor,
    /// For what, and why.
    pub ask: RequestDetails,
    /// Fingerprint of the key the pass is for.
    pub key: String,
    /// How many approvals it needs; 0 for a review.
    pub needed: u32,
    /// The pass's principals.
    pub principals: Vec<String>,
    /// The exact force-command.
    pub command: Option<String>,
    /// Where the pass works from; none: from anywhere.
    pub source_addresses: Option<Vec<String>>,
    /// The pass's extensions.
    pub extensions: Vec<String>,
    /// How long the pass lives.
    pub ttl_seconds: u64,
    /// Whether it is the review of an emergency.
    pub is_review: bool,
    /// The bastion that the pass goes through, and what its jump pass would be.
    pub through: Option<RequestedJumpHost>,
}

impl RequestView {
    /// Reads a request off the wire.
    ///
    /// # Errors
    /// [`Error::Untrusted`] where its event is not the event of a request with its id.
    pub(super) fn read(wire: v1::Request) -> Result<Self, Error> {
        let wrong =
            |why: &str| Error::Untrusted(format!("request {} cannot be shown: {why}", wire.id));
        let event = Event::parse(&wire.event)
            .map_err(|error| wrong(&format!("its event does not parse: {error}")))?;
        if event.index != wire.id {
            return Err(wrong("its event is another's"));
        }
        let (page, expires_at) = page(event).ok_or_else(|| wrong("its event is no request's"))?;
        Ok(Self {
            id: wire.id,
            digest: leaf_hash(&wire.event),
            state: wire.state(),
            page,
            expires_at,
            serial: wire.serial,
            may_decide: wire.may_decide,
            decisions: wire.decisions,
        })
    }

    /// This request, where it is that one.
    ///
    /// # Errors
    /// [`Error::Untrusted`] otherwise.
    pub(super) fn which_is(self, id: u64) -> Result<Self, Error> {
        if self.id == id {
            return Ok(self);
        }
        Err(Error::Untrusted(format!(
            "it is request {}, and {id} was asked for",
            self.id
        )))
    }

    /// Whether it may be redeemed; no: it waits.
    ///
    /// # Errors
    /// [`Error::Denied`] or [`Error::TimedOut`] where it never will be (again).
    pub fn is_approved(&self) -> Result<bool, Error> {
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
            State::Cancelled => ended(reason::REQUEST_CANCELLED, "was taken back"),
            State::Redeemed => ended(reason::REQUEST_REDEEMED, "has become a pass already"),
            State::Expired => Err(Error::TimedOut(format!(
                "request {} was not approved and redeemed in time; open another",
                self.id
            ))),
            State::ReviewOpen | State::Reviewed | State::Unspecified => {
                ended(reason::NO_SUCH_REQUEST, "waits for no approval")
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

    /// The ask that redeems it, which is its own ask.
    ///
    /// # Errors
    /// [`Error::Usage`] where `pass_request` says something else than what was approved.
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
                "request {} is for another {what} than you say",
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

/// What a request's event says, and when it ends.
fn page(event: Event) -> Option<(RequestContent, u64)> {
    // Passes are valid from a little before they are made; their life counts from then.
    let made = UnixSeconds::from(event.at).get();
    match event.what {
        EventKind::Requested(asked) => {
            let page = RequestContent {
                who: asked.who,
                ask: asked.ask,
                key: asked.key,
                needed: asked.needed,
                principals: asked.principals,
                command: asked.command,
                source_addresses: asked.source_addresses,
                extensions: asked.extensions,
                ttl_seconds: asked.ttl_seconds,
                is_review: false,
                through: asked.through,
            };
            Some((page, asked.expires_at))
        }
        EventKind::Issued(pass) if pass.ask.emergency && pass.jump.is_none() => {
            let page = RequestContent {
                who: pass.who,
                ask: pass.ask,
                key: pass.key,
                needed: 0,
                principals: pass.principals,
                command: pass.command,
                source_addresses: pass.source_addresses,
                extensions: pass.extensions,
                ttl_seconds: pass.valid_before.saturating_sub(made),
                is_review: true,
                through: None,
            };
            Some((page, 0))
        }
        _ => None,
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
    fn only_the_requests_own_event_is_shown_and_its_bytes_are_what_is_signed() {
        let view = RequestView::read(wire(REQUESTED)).unwrap();
        assert_eq!(view.digest, leaf_hash(REQUESTED.as_bytes()));
        assert_eq!(view.page.ask.reason.as_deref(), Some("INC-7"));
        let started = r#"{"index":7,"at":"2026-01-01T00:00:00Z","type":"started","version":"1","server":"s"}"#;
        for (case, event) in [
            ("nothing", String::new()),
            ("garbage", "x".to_owned()),
            ("another's", REQUESTED.replace("\"index\":7", "\"index\":8")),
            ("no request's", started.to_owned()),
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
