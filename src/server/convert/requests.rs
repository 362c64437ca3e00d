//! Requests, and the options of a list of them. Pure.

use super::bounds::{Malformed, malformed};
use crate::{
    ledger::state::State,
    operations::requests::{self, ListOptions, View},
    proto::v1,
    unix_seconds::UnixSeconds,
};

/// Converts the options of a list of requests.
pub(in crate::server) fn requests_page(
    wire: &v1::ListRequestsRequest,
) -> Result<ListOptions, Malformed> {
    let after = match wire.page_token.as_str() {
        "" => 0,
        token => token
            .parse()
            .map_err(|_| malformed("page_token", "is not from an answer before"))?,
    };
    Ok(ListOptions {
        all: wire.all,
        after,
        size: match wire.page_size {
            0 => requests::PAGE,
            size => usize::try_from(size).unwrap_or(usize::MAX),
        },
    })
}

/// Converts a request as one identity sees it.
pub(in crate::server) fn request(view: &View) -> v1::Request {
    let request = &view.request;
    let decisions = request.decisions.iter();
    v1::Request {
        id: request.id,
        state: state(view.state).into(),
        event: view.event.clone(),
        decisions: decisions
            .map(|decision| v1::request::Decision {
                label: decision.who.label.clone(),
                verb: decision.verb.as_str().to_owned(),
                at: UnixSeconds::from(decision.at).get(),
                comment: decision.comment.clone(),
            })
            .collect(),
        serial: request.serial,
        may_decide: view.may_decide,
        was_open: view.was_open,
        presence: view.presence.is_some(),
        presence_keys: view.presence.clone().unwrap_or_default(),
    }
}

fn state(state: State) -> v1::request::State {
    match state {
        State::Pending => v1::request::State::Pending,
        State::Approved => v1::request::State::Approved,
        State::Denied => v1::request::State::Denied,
        State::Cancelled => v1::request::State::Cancelled,
        State::Expired => v1::request::State::Expired,
        State::Redeemed => v1::request::State::Redeemed,
        State::ReviewOpen => v1::request::State::ReviewOpen,
        State::Reviewed => v1::request::State::Reviewed,
    }
}
