//! Bastions and jump passes for the wire. Pure.

use super::{networks, words};
use crate::{operations::issuance::Jump, policy, proto::v1};

/// A jump pass as the caller gets it.
pub(super) fn jump(jump: &Jump) -> Result<v1::Jump, ssh_key::Error> {
    let (jump_host, certificate, grant) = (&jump.jump_host, &jump.certificate, &jump.grant);
    Ok(v1::Jump {
        bastion: jump_host.bastion.clone(),
        host: jump_host.host.clone(),
        port: jump_host.port.into(),
        login: jump_host.login.clone(),
        certificate: certificate.to_openssh()?,
        serial: certificate.serial(),
        key_id: certificate.key_id().to_owned(),
        valid_after: certificate.valid_after(),
        valid_before: certificate.valid_before(),
        principals: grant.principals().iter().cloned().collect(),
        force_command: grant.command().unwrap_or_default().to_owned(),
        source_addresses: networks(grant),
        extensions: words(grant),
    })
}

/// A bastion as anyone may know it.
pub(super) fn bastion(bastion: &policy::bastion::Bastion) -> v1::Bastion {
    v1::Bastion {
        name: bastion.name.clone(),
        host: bastion.host.clone(),
        port: bastion.port.into(),
        login: bastion.login.clone(),
        hosts: bastion.hosts().map(str::to_owned).collect(),
    }
}
