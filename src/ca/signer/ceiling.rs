//! A signer's own ceiling: what a pass may allow at most, under any policy of the daemon.
//! Pure.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    policy::limits::Logins,
    ssh::{
        certificate::{BACKDATE, HOST_BACKDATE},
        options::Extension,
        pattern,
        permissions::Permissions,
        principal,
    },
};

/// What a pass may allow.
#[derive(Clone, Debug)]
pub(crate) struct Ceiling {
    /// The logins that it may name, as `[limits] principals` of the policy.
    pub(crate) logins: Logins,
    /// The longest lifetime.
    pub(crate) ttl: Duration,
    /// The extensions that it may have.
    pub(crate) extensions: BTreeSet<Extension>,
    /// Whether it must have a force-command.
    pub(crate) force_command: bool,
    /// Whether it must have source addresses.
    pub(crate) source: bool,
}

/// What a host certificate may say.
#[derive(Clone, Debug)]
pub(crate) struct HostCeiling {
    /// Patterns of the names that it may have.
    pub(crate) names: Vec<String>,
    /// The longest lifetime.
    pub(crate) lifetime: Duration,
}

impl HostCeiling {
    /// Checks a host certificate that is valid for `seconds`, with the time by which it is
    /// backdated.
    ///
    /// # Errors
    /// The first [`Excess`].
    pub(crate) fn check(&self, names: &[String], seconds: u64) -> Result<(), Excess> {
        let is_beyond = |name: &&String| !self.names.iter().any(|it| pattern::matches(it, name));
        if let Some(name) = names.iter().find(is_beyond) {
            return Err(Excess::Name(name.clone()));
        }
        let (lifetime, longest) = (
            seconds.saturating_sub(HOST_BACKDATE.as_secs()),
            self.lifetime.as_secs(),
        );
        match lifetime > longest {
            true => Err(Excess::Lifetime(lifetime, longest)),
            false => Ok(()),
        }
    }
}

/// What a pass or host certificate has that its ceiling does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Excess {
    /// A principal.
    #[error("principal {0}")]
    Principal(String),
    /// A host's name.
    #[error("host name {0}")]
    Name(String),
    /// A lifetime, in seconds, and the longest.
    #[error("a lifetime of {0} s, and {1} s is the longest")]
    Lifetime(u64, u64),
    /// An extension.
    #[error("extension {0}")]
    Extension(String),
    /// No force-command.
    #[error("no force-command")]
    ForceCommand,
    /// No source addresses.
    #[error("no source addresses")]
    Source,
}

impl Ceiling {
    /// Checks a pass that is valid for `seconds`, with the time by which it is backdated.
    ///
    /// # Errors
    /// The first [`Excess`].
    pub(crate) fn check(&self, permissions: &Permissions, seconds: u64) -> Result<(), Excess> {
        let is_beyond = |name: &&String| !self.logins.allows(principal::login(name));
        if let Some(name) = permissions.principals.iter().find(is_beyond) {
            return Err(Excess::Principal(name.clone()));
        }
        let (lifetime, longest) = (
            seconds.saturating_sub(BACKDATE.as_secs()),
            self.ttl.as_secs(),
        );
        if lifetime > longest {
            return Err(Excess::Lifetime(lifetime, longest));
        }
        let is_beyond = |one: &&Extension| !self.extensions.contains(one);
        if let Some(extension) = permissions.extensions.iter().find(is_beyond) {
            return Err(Excess::Extension(extension.as_str().to_owned()));
        }
        if self.force_command && permissions.force_command.is_none() {
            return Err(Excess::ForceCommand);
        }
        if self.source && permissions.source_addresses.is_none() {
            return Err(Excess::Source);
        }
        Ok(())
    }
}

/// Checks that one of the ceilings allows what `check` looks at.
///
/// # Errors
/// What it has too much of, for each ceiling.
pub(super) fn within_one<T>(
    ceilings: &[T],
    check: impl Fn(&T) -> Result<(), Excess>,
) -> Result<(), Vec<Excess>> {
    let mut excesses = Vec::new();
    for ceiling in ceilings {
        match check(ceiling) {
            Ok(()) => return Ok(()),
            Err(excess) => excesses.push(excess),
        }
    }
    Err(excesses)
}
