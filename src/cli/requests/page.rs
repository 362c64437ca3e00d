//! Prints requests. What was asked comes from the bytes of the ledger event.

use serde::Serialize;

use super::super::{
    Failure, Global,
    output::{clean, one_line, write_line},
    table::table,
    target::moment,
    waiting::life,
};
use crate::{
    client::requests::{RequestContent, RequestView, State},
    ledger::event::RequestedJumpHost,
    ssh::permissions::{Permissions, with_nulls},
};

#[derive(Serialize)]
struct Printed<'a> {
    id: u64,
    state: &'static str,
    who: PersonJson<'a>,
    role: &'a str,
    host: Option<&'a str>,
    params: &'a std::collections::BTreeMap<String, String>,
    reason: Option<&'a str>,
    #[serde(flatten, serialize_with = "with_nulls")]
    permissions: &'a Permissions,
    ttl_seconds: u64,
    key: &'a str,
    needed: u32,
    presence: bool,
    decisions: Vec<Decision<'a>>,
    expires_at: Option<u64>,
    serial: Option<u64>,
    may_decide: bool,
    emergency: bool,
    digest: String,
    through: Option<&'a RequestedJumpHost>,
}

#[derive(Serialize)]
struct PersonJson<'a> {
    issuer: &'a str,
    subject: &'a str,
    label: &'a str,
}

#[derive(Serialize)]
struct Decision<'a> {
    label: &'a str,
    verb: &'a str,
    at: u64,
    comment: &'a str,
}

#[derive(Serialize)]
struct Listed<'a> {
    requests: Vec<Printed<'a>>,
}

/// Prints one request in full.
pub(in crate::cli) fn print(global: &Global, view: &RequestView) -> Result<(), Failure> {
    global.print(&printed(view), |_| text(view))
}

/// Prints the state after a decision.
pub(super) fn print_outcome(global: &Global, view: &RequestView) -> Result<(), Failure> {
    global.print(&printed(view), |_| {
        format!("request {}: {}", view.id, word(view.state))
    })
}

/// Prints a change on one line.
pub(super) fn print_line(global: &Global, view: &RequestView) -> Result<(), Failure> {
    if global.is_json() {
        return write_line(&serde_json::to_string(&printed(view))?);
    }
    write_line(&row(view).map(|cell| clean(&cell).into_owned()).join("  "))
}

/// Prints a table of requests.
pub(super) fn print_all(global: &Global, view: &[RequestView]) -> Result<(), Failure> {
    let listed = Listed {
        requests: view.iter().map(printed).collect(),
    };
    global.print(&listed, |_| {
        if view.is_empty() {
            return "No requests.".to_owned();
        }
        let heads = [
            "ID", "STATE", "WHO", "ROLE", "HOST", "YES", "LEFT", "REASON",
        ];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        rows.extend(view.iter().map(|view| row(view).to_vec()));
        table(&rows)
    })
}

fn list<T: ToString>(values: &std::collections::BTreeSet<T>) -> String {
    let values: Vec<_> = values.iter().map(T::to_string).collect();
    values.join(", ")
}

/// Formats one request as text, one fact per line.
pub(super) fn text(view: &RequestView) -> String {
    let mut rows = permission_rows(&view.page);
    rows.extend(state_rows(view));
    let lines = rows
        .iter()
        .map(|(name, value)| format!("  {:<12}{}", clean(name), clean(value)));
    let head = format!("request {}  {}", view.id, word(view.state));
    std::iter::once(head)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The requester, and what the pass would allow.
fn permission_rows(page: &RequestContent) -> Vec<(&str, String)> {
    let some = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let permissions = &page.permissions;
    let runs = permissions.force_command.clone();
    let from = permissions.source_addresses.as_ref();
    let ttl = humantime::format_duration(std::time::Duration::from_secs(page.ttl_seconds));
    let who = format!(
        "{} ({} of {})",
        page.who.label, page.who.subject, page.who.issuer
    );
    let mut rows = vec![
        ("who", who),
        ("role", page.ask.role.clone()),
        ("host", some(&page.ask.host)),
        ("reason", one_line(&some(&page.ask.reason)).into_owned()),
        ("logs in as", list(&permissions.principals)),
        ("runs", runs.unwrap_or_else(|| "anything".to_owned())),
        (
            "only from",
            from.map_or_else(|| "anywhere".to_owned(), list),
        ),
        ("may", list(&permissions.extensions)),
        ("lifetime", ttl.to_string()),
        ("key", page.key.clone()),
    ];
    if permissions.verify_required {
        let demand = "a security key verifies its user (PIN or biometric)";
        rows.push(("only if", demand.to_owned()));
    }
    let params = page.ask.params.iter();
    let params: Vec<String> = params
        .map(|(name, value)| one_line(&format!("{name}={value}")).into_owned())
        .collect();
    if !params.is_empty() {
        rows.push(("parameters", params.join(", ")));
    }
    if let Some(through) = &page.through {
        let logins = list(&through.principals);
        let jump = format!("bastion {} as {logins}", through.bastion);
        rows.push(("through", jump));
    }
    rows
}

/// The approvals, and what became of the request.
fn state_rows(view: &RequestView) -> Vec<(&str, String)> {
    let mut rows = Vec::new();
    if !view.page.is_review {
        let ends = format!("{} ({})", life(view), moment(view.expires_at.get()));
        let under_hand = match &view.presence {
            Some(_) => ", each with a passkey or security key",
            None => "",
        };
        rows.push((
            "approvals",
            format!("{} needed{under_hand}", view.page.needed),
        ));
        rows.push(("ends", ends));
    }
    for decision in &view.decisions {
        let words = format!(
            "{} at {} {}",
            decision.label,
            moment(decision.at),
            one_line(&decision.comment)
        );
        rows.push((&decision.verb, words.trim_end().to_owned()));
    }
    if view.serial != 0 {
        rows.push(("pass", view.serial.to_string()));
    }
    rows
}

fn row(view: &RequestView) -> [String; 8] {
    let ask = &view.page.ask;
    let some = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let yes = view.decisions.iter().filter(|one| one.verb == "approve");
    [
        view.id.to_string(),
        word(view.state).to_owned(),
        view.page.who.label.clone(),
        ask.role.clone(),
        some(&ask.host),
        match view.page.is_review {
            true => "-".to_owned(),
            false => format!("{}/{}", yes.count(), view.page.needed),
        },
        life(view),
        some(&ask.reason),
    ]
}

fn printed(view: &RequestView) -> Printed<'_> {
    let page = &view.page;
    let decisions = view.decisions.iter().map(|one| Decision {
        label: &one.label,
        verb: &one.verb,
        at: one.at,
        comment: &one.comment,
    });
    Printed {
        id: view.id,
        state: word(view.state),
        who: PersonJson {
            issuer: &page.who.issuer,
            subject: &page.who.subject,
            label: &page.who.label,
        },
        role: &page.ask.role,
        host: page.ask.host.as_deref(),
        params: &page.ask.params,
        reason: page.ask.reason.as_deref(),
        permissions: &page.permissions,
        ttl_seconds: page.ttl_seconds,
        key: &page.key,
        needed: page.needed,
        presence: view.presence.is_some(),
        decisions: decisions.collect(),
        expires_at: Some(view.expires_at.get()).filter(|end| *end != 0),
        serial: (view.serial != 0).then_some(view.serial),
        may_decide: view.may_decide,
        emergency: page.is_review,
        digest: base16ct::lower::encode_string(&view.digest),
        through: page.through.as_ref(),
    }
}

pub(in crate::cli) fn word(state: State) -> &'static str {
    match state {
        State::Pending => "pending",
        State::Approved => "approved",
        State::Denied => "denied",
        State::Cancelled => "cancelled",
        State::Expired => "expired",
        State::Redeemed => "redeemed",
        State::ReviewOpen => "review-open",
        State::Reviewed => "reviewed",
        State::Unspecified => "unknown",
    }
}
