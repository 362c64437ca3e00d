//! The policy's answer, and its only change: [`Grant::narrow`].

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;

use super::{Denial, Reason, source};
use crate::ssh::{options::Extension, permissions::Permissions};

/// The content of a pass. It can only be narrowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    role: String,
    permissions: Permissions,
    ttl: Duration,
    jump_host: Option<Box<JumpHost>>,
}

/// Upper bounds of a grant. A part that is `None` restricts nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restriction {
    /// Only these principals.
    pub principals: Option<BTreeSet<String>>,
    /// Exactly this force-command.
    pub command: Option<String>,
    /// Only from these networks.
    pub source: Option<BTreeSet<IpNet>>,
    /// Only these extensions.
    pub extensions: Option<BTreeSet<Extension>>,
    /// Only with a security key that verifies its user.
    pub verify_required: bool,
    /// At most this long.
    pub ttl: Option<Duration>,
    /// Only this jump host.
    pub jump_host: JumpHostLimit,
}

impl Restriction {
    /// At most `permissions`, for at most `ttl`, through any jump host.
    pub(crate) fn to(permissions: &Permissions, ttl: Duration) -> Self {
        let permissions = permissions.clone();
        Self {
            principals: Some(permissions.principals),
            command: permissions.force_command,
            source: permissions.source_addresses,
            extensions: Some(permissions.extensions),
            verify_required: permissions.verify_required,
            ttl: Some(ttl),
            jump_host: JumpHostLimit::Any,
        }
    }
}

impl Grant {
    /// Everything that `role` gives, before it is narrowed. Only a role creates one.
    pub(super) fn full(
        role: &str,
        principals: BTreeSet<String>,
        extensions: BTreeSet<Extension>,
        ttl: Duration,
    ) -> Self {
        Self {
            role: role.to_owned(),
            permissions: Permissions {
                principals,
                extensions,
                ..Permissions::default()
            },
            ttl,
            jump_host: None,
        }
    }

    /// Adds the jump host of the pass.
    pub(super) fn through(self, jump_host: Option<JumpHost>) -> Self {
        Self {
            jump_host: jump_host.map(Box::new),
            ..self
        }
    }

    /// The meet of this grant and `restriction`: what both allow, and nothing else.
    ///
    /// The order of restrictions does not matter, and applying one twice changes nothing. A
    /// force-command can be added, never replaced or removed (vault#10210). Nothing that one
    /// restriction demands is lost to the next (Teleport PR 14711).
    ///
    /// # Errors
    /// Returns a denial if nothing is left (no principal, address, time or jump host), or if two
    /// force-commands differ.
    pub(crate) fn narrow(self, restriction: &Restriction) -> Result<Self, Denial> {
        Ok(Self {
            permissions: narrow_permissions(self.permissions, restriction)?,
            ttl: narrow_ttl(self.ttl, restriction.ttl)?,
            jump_host: match self.jump_host {
                None => None,
                Some(jump_host) => Some(Box::new(jump_host.narrow(&restriction.jump_host)?)),
            },
            role: self.role,
        })
    }

    /// This grant as a restriction. A grant that it narrows allows no more than this one.
    pub(crate) fn as_restriction(&self) -> Restriction {
        let jump_host = match self.jump_host() {
            None => JumpHostLimit::Direct,
            Some(jump_host) => JumpHostLimit::Through {
                bastion: jump_host.bastion.clone(),
                principals: jump_host.principals().clone(),
                source: jump_host.source().cloned(),
            },
        };
        Restriction {
            jump_host,
            ..Restriction::to(&self.permissions, self.ttl)
        }
    }

    /// The jump pass of a pass through a bastion. It ends with that pass.
    pub(crate) fn jump(&self) -> Option<(&JumpHost, Self)> {
        let jump_host = self.jump_host.as_deref()?;
        let ttl = jump_host.jump.ttl.min(self.ttl);
        let jump = Self {
            ttl,
            ..jump_host.jump.clone()
        };
        Some((jump_host, jump))
    }

    /// The bastion that the pass goes through, if there is one.
    pub(crate) fn jump_host(&self) -> Option<&JumpHost> {
        self.jump_host.as_deref()
    }

    /// The role that gives it.
    pub(crate) fn role(&self) -> &str {
        &self.role
    }

    /// Permissions of the certificate. The principals are never empty.
    pub(crate) fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// The principals. Never empty; each within the grammar of [`crate::ssh::principal`].
    pub fn principals(&self) -> &BTreeSet<String> {
        &self.permissions.principals
    }

    /// The exact shell-quoted force-command.
    pub(crate) fn command(&self) -> Option<&str> {
        self.permissions.force_command.as_deref()
    }

    /// The source networks: canonical CIDRs, never empty; `None` for any address.
    pub(crate) fn source(&self) -> Option<&BTreeSet<IpNet>> {
        self.permissions.source_addresses.as_ref()
    }

    /// The extensions: what a session may do besides running a command.
    pub(crate) fn extensions(&self) -> &BTreeSet<Extension> {
        &self.permissions.extensions
    }

    /// The lifetime in whole seconds, at least one.
    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }
}

/// The bastion that a grant goes through, with its jump pass.
#[derive(Clone, Debug, PartialEq)]
pub struct JumpHost {
    /// The bastion's name.
    pub bastion: String,
    /// The address to connect to.
    pub host: String,
    /// The port of its sshd.
    pub port: u16,
    /// The login name on the bastion.
    pub login: String,
    pub(super) jump: Grant,
}

impl JumpHost {
    /// The principals of the jump pass.
    pub(crate) fn principals(&self) -> &BTreeSet<String> {
        self.jump.principals()
    }

    /// The source networks of the jump pass; `None` for any address.
    pub(crate) fn source(&self) -> Option<&BTreeSet<IpNet>> {
        self.jump.source()
    }

    /// Narrows the jump host.
    ///
    /// # Errors
    /// Returns a denial if the limit names another bastion or leaves nothing of the jump pass.
    pub(super) fn narrow(self, jump_host: &JumpHostLimit) -> Result<Self, Denial> {
        let refuse = |detail: String| Err(Denial::new(Reason::Source, detail));
        match jump_host {
            JumpHostLimit::Any => Ok(self),
            JumpHostLimit::Direct => refuse(format!(
                "the pass now goes through bastion {:?}, and the approved one goes through none; ask again",
                self.bastion
            )),
            JumpHostLimit::Through { bastion, .. } if *bastion != self.bastion => refuse(format!(
                "the pass now goes through bastion {:?}, and the approved one through {bastion:?}; ask again",
                self.bastion
            )),
            JumpHostLimit::Through {
                principals, source, ..
            } => {
                let allowed = Restriction {
                    principals: Some(principals.clone()),
                    source: source.clone(),
                    ..Restriction::default()
                };
                let jump = self.jump.narrow(&allowed)?;
                Ok(Self { jump, ..self })
            }
        }
    }
}

/// The jump hosts that a [`Restriction`] allows.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum JumpHostLimit {
    /// Any bastion, or none.
    #[default]
    Any,
    /// No bastion, so no jump pass.
    Direct,
    /// Only this bastion, with a jump pass within these bounds.
    Through {
        /// The bastion's name.
        bastion: String,
        /// Principals that the jump pass may have.
        principals: BTreeSet<String>,
        /// Its source networks; `None` for any address.
        source: Option<BTreeSet<IpNet>>,
    },
}

fn narrow_permissions(held: Permissions, restriction: &Restriction) -> Result<Permissions, Denial> {
    Ok(Permissions {
        principals: narrow_principals(held.principals, restriction.principals.as_ref())?,
        force_command: narrow_command(held.force_command, restriction.command.as_ref())?,
        source_addresses: narrow_source(held.source_addresses, restriction.source.as_ref())?,
        extensions: narrow_extensions(held.extensions, restriction.extensions.as_ref()),
        verify_required: held.verify_required || restriction.verify_required,
    })
}

fn narrow_principals(
    held: BTreeSet<String>,
    allowed: Option<&BTreeSet<String>>,
) -> Result<BTreeSet<String>, Denial> {
    let left = match allowed {
        None => held,
        Some(allowed) => held.intersection(allowed).cloned().collect(),
    };
    if left.is_empty() {
        return Err(Denial::new(
            Reason::Principal,
            "no principal is left, and a pass without principals would work for every user",
        ));
    }
    Ok(left)
}

fn narrow_command(
    held: Option<String>,
    demanded: Option<&String>,
) -> Result<Option<String>, Denial> {
    match (held, demanded) {
        (held, None) => Ok(held),
        (None, Some(demanded)) => Ok(Some(demanded.clone())),
        (Some(held), Some(demanded)) if held == *demanded => Ok(Some(held)),
        (Some(_), Some(_)) => Err(Denial::new(
            Reason::Command,
            "two restrictions demand different force-commands, and one never replaces the other",
        )),
    }
}

pub(super) fn narrow_source(
    held: Option<BTreeSet<IpNet>>,
    allowed: Option<&BTreeSet<IpNet>>,
) -> Result<Option<BTreeSet<IpNet>>, Denial> {
    let left = match (held, allowed) {
        (held, None) => held,
        (None, Some(allowed)) => Some(source::aggregate(allowed.iter().copied())),
        (Some(held), Some(allowed)) => Some(source::meet(&held, allowed)),
    };
    if left.as_ref().is_some_and(BTreeSet::is_empty) {
        return Err(Denial::new(
            Reason::Source,
            "no address is left: the addresses asked for lie outside those the role allows",
        ));
    }
    Ok(left)
}

pub(super) fn narrow_extensions(
    held: BTreeSet<Extension>,
    allowed: Option<&BTreeSet<Extension>>,
) -> BTreeSet<Extension> {
    match allowed {
        None => held,
        Some(allowed) => held.intersection(allowed).cloned().collect(),
    }
}

/// Certificates count whole seconds, so a lifetime is rounded down.
fn narrow_ttl(held: Duration, allowed: Option<Duration>) -> Result<Duration, Denial> {
    let left = allowed.map_or(held, |allowed| held.min(allowed));
    let seconds = left.as_secs();
    if seconds == 0 {
        return Err(Denial::new(
            Reason::Ttl,
            "the lifetime is under a second; ask for a longer one",
        ));
    }
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
