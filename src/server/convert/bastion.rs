//! Bastions and jump passes for the wire. Pure.

use crate::{operations::issuance::Jump, policy, proto::v1};

/// The bastion that a pass goes through, and the jump pass for it.
pub(super) fn jump(jump: &Jump) -> Result<v1::Jump, ssh_key::Error> {
    Ok(v1::Jump {
        bastion: jump.jump_host.bastion.clone(),
        host: jump.jump_host.host.clone(),
        port: jump.jump_host.port.into(),
        certificate: jump.certificate.to_openssh()?,
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
