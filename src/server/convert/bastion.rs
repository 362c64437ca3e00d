//! Conversion of bastions and jump passes for the wire. Pure.

use crate::{operations::issuance::Jump, policy, proto::v1, ssh::certificate::line};

/// Converts a jump pass and the bastion that it is for.
pub(super) fn jump(jump: &Jump) -> Result<v1::Jump, ssh_key::Error> {
    Ok(v1::Jump {
        bastion: jump.jump_host.bastion.clone(),
        host: jump.jump_host.host.clone(),
        port: jump.jump_host.port.into(),
        certificate: line(&jump.certificate)?,
    })
}

/// Converts a bastion. All of these fields are public.
pub(super) fn bastion(bastion: &policy::bastion::Bastion) -> v1::Bastion {
    v1::Bastion {
        name: bastion.name.clone(),
        host: bastion.host.clone(),
        port: bastion.port.into(),
        login: bastion.login.clone(),
        hosts: bastion.hosts().map(str::to_owned).collect(),
    }
}
