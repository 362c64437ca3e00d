//! Conversion between the wire's types and the domain's, with bounds on every field that a caller
//! sends. Pure.

pub(super) mod admin;
mod bastion;
pub(super) mod webhooks;
mod who_am_i;

pub(super) use who_am_i::who_am_i;

use std::{collections::BTreeSet, time::Duration};

use ssh_key::PublicKey;

use super::log::is_active;
use crate::{
    ca::KeyState,
    identity::{self, Identity},
    ledger::state::State,
    operations::{
        audit,
        issuance::IssuedPass,
        requests::{self, ListOptions, View},
        roles::Standing,
        trust::Trust,
    },
    policy::{Ask, explain::Explanation, open_roles::OpenRole, source},
    proto::{
        status::Field,
        v1::{self, get_trust_response, role_explanation},
    },
    ssh::options::Extension,
    unix_seconds::UnixSeconds,
};

/// Largest number of serials in one question.
const SERIALS: usize = 256;

const ROLE_BYTES: usize = 128;
const HOST_BYTES: usize = 253;
const REASON_BYTES: usize = 1024;
const PARAMS: usize = 32;
const PARAM_NAME_BYTES: usize = 64;
const PARAM_VALUE_BYTES: usize = 4096;
const SOURCES: usize = 64;

/// Longest requested lifetime, in seconds. Longer ones are cut to it. No role allows more, and a
/// requested lifetime can only shorten a pass.
const LONGEST_TTL_SECONDS: u64 = 366 * 24 * 60 * 60;

/// Reason why a request is malformed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub(super) struct Malformed {
    field: &'static str,
    problem: String,
}

impl Malformed {
    /// Returns the field, for the error's details.
    pub(super) fn to_field(&self) -> Field {
        Field {
            name: self.field.to_owned(),
            problem: self.problem.clone(),
        }
    }
}

/// Error for a required field that is absent.
pub(super) fn missing(field: &'static str) -> Malformed {
    malformed(field, "is missing")
}

fn malformed(field: &'static str, problem: impl Into<String>) -> Malformed {
    Malformed {
        field,
        problem: problem.into(),
    }
}

/// Converts an ask. Whether the caller may have it is for the policy to decide.
///
/// # Errors
/// A field that is absent or out of its bounds.
pub(super) fn ask(wire: &v1::Ask) -> Result<Ask, Malformed> {
    if wire.role.is_empty() {
        return Err(missing("role"));
    }
    if wire.request != 0 && wire.emergency {
        return Err(malformed("request", "is not for emergencies"));
    }
    check_params(wire)?;
    let mut extensions = BTreeSet::new();
    for text in &wire.extensions {
        let unknown = || malformed("extensions", "names one that OpenSSH does not have");
        extensions.insert(Extension::from_word(text).ok_or_else(unknown)?);
    }
    if wire.source_addresses.len() > SOURCES {
        return Err(malformed("source_addresses", "are too many"));
    }
    let source = wire.source_addresses.iter();
    Ok(Ask {
        role: text("role", &wire.role, ROLE_BYTES)?.unwrap_or_default(),
        host: text("host", &wire.host, HOST_BYTES)?,
        params: wire.params.clone().into_iter().collect(),
        reason: text("reason", &wire.reason, REASON_BYTES)?,
        ttl: (wire.ttl_seconds > 0)
            .then(|| Duration::from_secs(wire.ttl_seconds.min(LONGEST_TTL_SECONDS))),
        source: source
            .map(|text| source::parse(text))
            .collect::<Result<_, _>>()
            .map_err(|problem| malformed("source_addresses", problem))?,
        extensions,
        request: (wire.request != 0).then_some(wire.request),
        emergency: wire.emergency,
    })
}

/// Keeps the readable fields of a malformed ask, for the ledger.
pub(super) fn readable(wire: &v1::Ask) -> Ask {
    Ask {
        role: text("role", &wire.role, ROLE_BYTES)
            .ok()
            .flatten()
            .unwrap_or_default(),
        host: text("host", &wire.host, HOST_BYTES).ok().flatten(),
        reason: text("reason", &wire.reason, REASON_BYTES).ok().flatten(),
        ..Ask::default()
    }
}

/// Converts a host to filter by. Empty means none.
pub(super) fn host(wire: &str) -> Result<Option<String>, Malformed> {
    text("host", wire, HOST_BYTES)
}

/// Checks one line of printable text of at most `most` bytes. Empty means none.
fn text(field: &'static str, value: &str, most: usize) -> Result<Option<String>, Malformed> {
    if value.len() > most {
        return Err(malformed(field, format!("is longer than {most} bytes")));
    }
    if value.chars().any(is_active) {
        return Err(malformed(field, "holds control characters"));
    }
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// Checks the sizes of parameters. Their contents are for the role's patterns to check.
fn check_params(wire: &v1::Ask) -> Result<(), Malformed> {
    if wire.params.len() > PARAMS {
        return Err(malformed("params", "are too many"));
    }
    for (name, value) in &wire.params {
        text("the name of a parameter", name, PARAM_NAME_BYTES)?;
        if value.len() > PARAM_VALUE_BYTES {
            let problem = format!("is longer than {PARAM_VALUE_BYTES} bytes");
            return Err(malformed("the value of a parameter", problem));
        }
    }
    Ok(())
}

/// Converts a pass. The certificate carries all other facts.
pub(super) fn pass(pass: &IssuedPass) -> Result<v1::Pass, ssh_key::Error> {
    Ok(v1::Pass {
        certificate: pass.certificate.to_openssh()?,
        jump: pass.jump.as_ref().map(bastion::jump).transpose()?,
    })
}

/// Converts the options of a list of requests.
pub(super) fn requests_page(wire: &v1::ListRequestsRequest) -> Result<ListOptions, Malformed> {
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
pub(super) fn request(view: &View) -> v1::Request {
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

/// Converts a decider's comment. Empty means none.
pub(super) fn comment(wire: &str) -> Result<Option<String>, Malformed> {
    text("comment", wire, REASON_BYTES)
}

/// Checks the number of serials in one question.
pub(super) fn expect_few(serials: &[u64]) -> Result<(), Malformed> {
    if serials.len() > SERIALS {
        return Err(malformed(
            "serials",
            format!("holds more than {SERIALS} numbers"),
        ));
    }
    Ok(())
}

/// Converts a role for an identity that may use it.
pub(super) fn role(open: &OpenRole<'_>, identity: &Identity, standing: &Standing) -> v1::Role {
    let role = open.role;
    v1::Role {
        name: role.name.clone(),
        about: role.about.clone(),
        hosts: role.hosts.clone(),
        logins: role.logins(identity.claims()),
        command: role.command.clone(),
        params: role
            .params()
            .into_iter()
            .map(|(name, pattern, one_of)| v1::role::Parameter {
                name: name.to_owned(),
                pattern: pattern.unwrap_or_default().to_owned(),
                one_of: one_of.to_vec(),
            })
            .collect(),
        ttl_seconds: role.ttl.as_secs(),
        reason_pattern: role.reason_pattern().unwrap_or_default().to_owned(),
        pty: role.pty,
        verify_required: role.verify_required,
        extensions: open.extensions.iter().map(ToString::to_string).collect(),
        source_addresses: open
            .source
            .iter()
            .flatten()
            .map(ToString::to_string)
            .collect(),
        emergency_ttl_seconds: open.emergency_ttl.map_or(0, |ttl| ttl.as_secs()),
        locked: standing.locked_roles.contains(&role.name),
    }
}

/// Converts the explanation why a role is granted or not.
pub(super) fn explanation(explanation: Explanation) -> v1::RoleExplanation {
    let checks = explanation.checks.into_iter();
    v1::RoleExplanation {
        role: explanation.role,
        granted: explanation.granted,
        summary: explanation.summary,
        checks: checks
            .map(|check| role_explanation::Check {
                name: check.name,
                passed: check.passed,
                detail: check.detail,
            })
            .collect(),
    }
}

/// Converts a range of ledger leaves.
pub(super) fn page(page: audit::LeafRange) -> v1::ListResponse {
    let entries = page.entries.into_iter();
    v1::ListResponse {
        events: entries.map(|(_, event)| event).collect(),
        size: page.size,
    }
}

/// Converts the public facts: keys, issuers, bastions, version.
pub(super) fn trust(
    trust: Trust,
    issuers: &[identity::Settings],
) -> Result<v1::GetTrustResponse, ssh_key::Error> {
    let keys = trust.keys.iter();
    Ok(v1::GetTrustResponse {
        server_name: trust.server_name,
        issuers: issuers.iter().map(issuer).collect(),
        ca_keys: keys.map(ca_key).collect::<Result<_, _>>()?,
        ledger_verifier_key: trust.verifier.to_string(),
        host_patterns: trust.host_patterns,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        bastions: trust.bastions.iter().map(bastion::bastion).collect(),
    })
}

fn ca_key(
    (key, state): &(PublicKey, KeyState),
) -> Result<get_trust_response::CaKey, ssh_key::Error> {
    use get_trust_response::ca_key::State;
    let state = match state {
        KeyState::Staged => State::Staged,
        KeyState::Active => State::Active,
        KeyState::Retired => State::Retired,
    };
    Ok(get_trust_response::CaKey {
        public_key: key.to_openssh()?,
        state: state.into(),
    })
}

fn issuer(settings: &identity::Settings) -> get_trust_response::Issuer {
    let sign_in = &settings.sign_in;
    get_trust_response::Issuer {
        url: settings.url.clone(),
        client_id: settings.client_id.clone(),
        scopes: settings.scopes.clone(),
        binding: who_am_i::binding(settings.binding).into(),
        device_flow: settings.device_flow,
        interactive: settings.interactive,
        name: settings.name.clone(),
        audience: settings.audiences.first().cloned().unwrap_or_default(),
        client_secret: sign_in.client_secret.clone().unwrap_or_default(),
        redirect_ports: sign_in
            .redirect_ports
            .iter()
            .copied()
            .map(u32::from)
            .collect(),
        redirect_host: sign_in.redirect_host.as_str().to_owned(),
        authorization_parameters: sign_in.parameters.clone().into_iter().collect(),
        refresh: sign_in.refresh,
        session_seconds: sign_in.session.as_secs(),
        ca_certificates: settings.ca_certificates.clone().unwrap_or_default(),
        algorithms: settings
            .algorithms
            .iter()
            .map(|it| it.name().to_owned())
            .collect(),
        label_claim: settings.label.clone().unwrap_or_default(),
        audiences: settings.audiences.clone(),
        string_booleans: settings.string_booleans,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn base() -> v1::Ask {
        v1::Ask {
            role: "logs".into(),
            host: "web-1".into(),
            params: [("unit".into(), "odd\nvalue\0".into())].into(),
            reason: "INC-1, naïve café".into(),
            ttl_seconds: u64::MAX,
            source_addresses: vec!["10.0.0.0/8".into(), "192.0.2.7".into()],
            extensions: vec!["pty".into(), "permit-pty".into()],
            ..v1::Ask::default()
        }
    }

    #[test]
    fn an_ask_within_its_bounds_is_read() {
        let ask = ask(&base()).unwrap();
        assert_eq!(ask.role, "logs");
        assert_eq!(ask.host.as_deref(), Some("web-1"));
        assert_eq!(ask.params["unit"], "odd\nvalue\0");
        assert_eq!(ask.ttl, Some(Duration::from_secs(LONGEST_TTL_SECONDS)));
        assert_eq!(ask.source.len(), 2);
        assert_eq!(ask.extensions, BTreeSet::from([Extension::Pty]));
        let bare = super::ask(&v1::Ask {
            role: "logs".into(),
            ..v1::Ask::default()
        })
        .unwrap();
        assert_eq!((bare.host, bare.reason, bare.ttl), (None, None, None));
    }

    type Change = fn(&mut v1::Ask);

    #[test]
    fn an_ask_out_of_its_bounds_is_refused() {
        let cases: [(&str, &str, Change); 15] = [
            ("no role", "role", |ask| ask.role.clear()),
            ("a long role", "role", |ask| ask.role = "r".repeat(129)),
            ("a role with a newline", "role", |ask| ask.role.push('\n')),
            ("a host with an escape", "host", |ask| ask.host.push('\x1b')),
            ("a long host", "host", |ask| ask.host = "h".repeat(254)),
            ("a reason of two lines", "reason", |ask| {
                ask.reason.push_str("\nroot logged in")
            }),
            ("a reason with a line separator", "reason", |ask| {
                ask.reason.push('\u{2028}')
            }),
            ("a reason written backwards", "reason", |ask| {
                ask.reason.push('\u{202e}')
            }),
            ("a long reason", "reason", |ask| {
                ask.reason = "r".repeat(1025)
            }),
            ("33 parameters", "params", |ask| {
                ask.params = (0..33).map(|n| (n.to_string(), String::new())).collect();
            }),
            ("a huge value", "the value of a parameter", |ask| {
                ask.params.insert("unit".into(), "v".repeat(4097));
            }),
            ("a name with NUL", "the name of a parameter", |ask| {
                ask.params.insert("a\0".into(), String::new());
            }),
            ("65 sources", "source_addresses", |ask| {
                ask.source_addresses = vec!["10.0.0.0/8".into(); 65];
            }),
            ("a source with host bits", "source_addresses", |ask| {
                ask.source_addresses = vec!["10.0.0.1/8".into()];
            }),
            ("an unknown extension", "extensions", |ask| {
                ask.extensions.push("root".into())
            }),
        ];
        for (case, field, change) in cases {
            let mut wire = base();
            change(&mut wire);
            assert_eq!(ask(&wire).unwrap_err().field, field, "{case}");
            let kept = readable(&wire);
            let texts = [Some(kept.role), kept.host, kept.reason];
            assert!(
                !texts
                    .iter()
                    .flatten()
                    .any(|text| text.chars().any(is_active)),
                "{case}"
            );
        }
    }
}
