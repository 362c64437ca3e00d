//! The public facts of a server: keys, issuers, bastions. Pure.

use ssh_key::PublicKey;

use super::{bastion, who_am_i};
use crate::{
    ca::KeyState,
    identity,
    ledger::handover::Handover,
    operations::trust::Trust,
    proto::v1::{self, get_trust_response},
};

/// Converts the public facts: keys, issuers, bastions, version.
pub(in crate::server) fn trust(
    trust: Trust,
    issuers: &[identity::Settings],
    page_url: &str,
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
        page_url: page_url.to_owned(),
        host_ca_keys: trust
            .hosts
            .keys
            .iter()
            .map(PublicKey::to_openssh)
            .collect::<Result<_, _>>()?,
        known_host_names: trust.hosts.names,
        host_revocations_version: trust.host_revocations_version,
        ledger_handovers: trust.handovers.into_iter().map(handover).collect(),
    })
}

fn handover(handover: Handover) -> v1::LedgerHandover {
    v1::LedgerHandover {
        size: handover.size,
        old_key: handover.old.to_string(),
        new_key: handover.new.to_string(),
        old_signature: handover.old_signature,
        new_signature: handover.new_signature,
    }
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
