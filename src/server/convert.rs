//! Conversion between the wire's types and the domain's, with bounds on every field that a caller
//! sends. Pure.

pub(super) mod admin;
mod ask;
mod bastion;
mod bounds;
pub(super) mod ca_keys;
pub(super) mod hosts;
mod requests;
mod search;
mod trust;
pub(super) mod webhooks;
mod who_am_i;

pub(super) use ask::{ask, readable};
pub(super) use bounds::{Malformed, comment, expect_few, host, missing};
pub(super) use requests::{request, requests_page};
pub(super) use search::{filter, found};
pub(super) use trust::trust;
pub(super) use who_am_i::who_am_i;

use crate::{
    identity::Identity,
    operations::{access::ValidPass, audit, issuance::IssuedPass, roles::Standing},
    policy::{explain::Explanation, open_roles::OpenRole},
    proto::v1::{self, role_explanation},
    ssh::certificate::line,
    unix_seconds::UnixSeconds,
};

/// Converts a pass. The certificate carries all other facts.
pub(super) fn pass(pass: &IssuedPass) -> Result<v1::Pass, ssh_key::Error> {
    Ok(v1::Pass {
        certificate: line(&pass.certificate)?,
        jump: pass.jump.as_deref().map(bastion::jump).transpose()?,
        host_certificate_until: pass.host_certificate_until.get(),
    })
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
        approvals: role.approvals(),
    }
}

/// Converts the caller's valid passes. `more` are left out.
pub(super) fn valid_passes(passes: Vec<ValidPass>, more: usize) -> v1::ListPassesResponse {
    let pass = |pass: ValidPass| {
        let (issued, permissions) = (pass.issued.ask, pass.issued.permissions);
        v1::ValidPass {
            serial: pass.serial,
            role: issued.role,
            host: issued.host.unwrap_or_default(),
            principals: permissions
                .principals
                .iter()
                .map(ToString::to_string)
                .collect(),
            command: permissions.force_command.unwrap_or_default(),
            reason: issued.reason.unwrap_or_default(),
            issued_at: UnixSeconds::from(pass.at).get(),
            valid_before: pass.issued.valid_before.get(),
            key: pass.issued.key,
            emergency: issued.emergency,
        }
    };
    v1::ListPassesResponse {
        passes: passes.into_iter().map(pass).collect(),
        more: more as u64,
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

/// Converts a range of ledger leaves, with approvals and whether these are all.
pub(super) fn page(
    page: audit::LeafRange,
    (approvals, is_whole): (Vec<Vec<u8>>, bool),
) -> v1::ListResponse {
    let entries = page.entries.into_iter();
    v1::ListResponse {
        events: entries.map(|(_, event)| event).collect(),
        size: page.size,
        approvals,
        approvals_missing: !is_whole,
        ..v1::ListResponse::default()
    }
}
