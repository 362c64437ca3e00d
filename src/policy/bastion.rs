//! Bastions: `[[bastion]]` tables, and the jump host of a pass. Pure.
//!
//! A role with `source = "bastion"` gives passes that work from the bastion's addresses only. Such
//! a pass comes with a *jump pass*, which allows forwarding through the bastion and nothing else.
//! The jump pass has no constructor of its own: [`Grant::jump`] takes it from its grant.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use ipnet::IpNet;

pub(crate) use super::grant::{JumpHost, JumpHostLimit};
use super::{
    Denial, Error, Grant, Reason, Restriction, file,
    hosts::{self, HostPattern, Hosts},
    limits::{self, Limits},
    source::{self, MAX_NETWORKS, Source},
    text::Text,
};
use crate::ssh::{options::Extension, principal};

/// The force-command of every jump pass. sshd runs it if a client asks for a session, which
/// forwarding never does.
const ONLY_FORWARDS: &str = "echo 'this pass only forwards' >&2; exit 1";

/// The default port of sshd.
const SSH_PORT: u16 = 22;

/// A named bastion of the policy.
#[derive(Clone, Debug)]
pub(crate) struct Bastion {
    /// Its name.
    pub name: String,
    /// The address that clients connect to.
    pub host: String,
    /// The port of its sshd.
    pub port: u16,
    /// The login name on the bastion.
    pub login: String,
    pub(super) line: usize,
    group: Option<String>,
    addresses: BTreeSet<IpNet>,
    hosts: Vec<HostPattern>,
    source: Source,
}

/// All bastions of a policy, in file order.
#[derive(Clone, Debug, Default)]
pub(super) struct Bastions(Vec<Bastion>);

impl Bastions {
    pub(super) fn load(
        text: Text<'_>,
        file: &file::File,
        limits: &Limits,
        hosts: &Hosts,
    ) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        let bastions = file.bastions.iter().map(|raw| {
            let bastion = Bastion::load(text, raw, limits, hosts)?;
            match names.insert(bastion.name.clone(), bastion.line) {
                None => Ok(bastion),
                Some(first) => Err(text.error(
                    raw.name.span(),
                    format!(
                        "a second bastion is called {:?} (the first one is on line {first}); rename one of them",
                        bastion.name
                    ),
                )),
            }
        });
        bastions.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn all(&self) -> &[Bastion] {
        &self.0
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|bastion| bastion.name == name)
    }

    /// The first bastion that leads to `host`.
    ///
    /// # Errors
    /// Returns [`Reason::Source`] if no host is named or no bastion leads to it.
    pub(super) fn to(&self, role: &str, host: Option<&str>) -> Result<&Bastion, Denial> {
        let refuse = |detail: String| Denial::new(Reason::Source, detail);
        let host = host.ok_or_else(|| {
            refuse(format!(
                "passes of role {role:?} go through a host's bastion; name the host (--host)"
            ))
        })?;
        let lower = host.to_ascii_lowercase();
        let mut leading = self.0.iter().filter(|bastion| bastion.leads_to(&lower));
        leading.next().ok_or_else(|| {
            let known: Vec<_> = self.0.iter().flat_map(Bastion::hosts).collect();
            refuse(format!(
                "no bastion leads to {host}; they lead to {}: name one of those, or ask an administrator to change the policy",
                known.join(", ")
            ))
        })
    }
}

impl Bastion {
    fn load(
        text: Text<'_>,
        raw: &file::Bastion,
        limits: &Limits,
        hosts: &Hosts,
    ) -> Result<Self, Error> {
        Ok(Self {
            name: text.parse(&raw.name, |name| bastion_name(name))?,
            host: text.parse(&raw.host, |host| dialled(host))?,
            port: match &raw.port {
                None => SSH_PORT,
                Some(port) => text.parse(port, port_number)?,
            },
            login: text.parse(&raw.login, |login| allowed_login(login, limits))?,
            line: text.line(&raw.name.span()),
            group: match &raw.group {
                None => None,
                Some(group) => Some(text.parse(group, |group| hosts.known(group))?),
            },
            addresses: addresses(text, raw)?,
            hosts: patterns(text, raw)?,
            source: source::load(text, raw.source.as_ref(), || {
                Err(
                    "a bastion cannot be behind a bastion; use \"caller\" or a list of networks"
                        .to_owned(),
                )
            })?,
        })
    }

    /// The patterns of the hosts behind it.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|pattern| pattern.source.as_str())
    }

    /// The addresses from which the bastion connects to hosts.
    pub(crate) fn addresses(&self) -> &BTreeSet<IpNet> {
        &self.addresses
    }

    fn leads_to(&self, lower: &str) -> bool {
        self.hosts
            .iter()
            .any(|pattern| pattern.compiled.matches(lower))
    }

    fn principal(&self) -> String {
        match &self.group {
            None => self.login.clone(),
            Some(group) => format!("{}@{group}", self.login),
        }
    }

    /// The jump host for a pass of `role`, within the limits.
    ///
    /// # Errors
    /// Returns a denial if the limits forbid port forwarding or leave no address.
    pub(super) fn jump_host(
        &self,
        role: &str,
        ttl: Duration,
        caller: Option<IpAddr>,
        limits: &Limits,
    ) -> Result<JumpHost, Denial> {
        let own = Restriction {
            command: Some(ONLY_FORWARDS.to_owned()),
            source: self
                .source
                .networks(caller)
                .map_err(|error| self.refuse(Reason::Source, error))?,
            ..Restriction::default()
        };
        let forwarding = BTreeSet::from([Extension::PortForwarding]);
        let principals = BTreeSet::from([self.principal()]);
        let jump = Grant::full(role, principals, forwarding, ttl)
            .narrow(&own)
            .and_then(|jump| jump.narrow(limits.restriction()))
            .map_err(|denial| self.refuse(denial.reason, denial.detail))?;
        if jump.extensions().is_empty() {
            let never = "[limits] does not allow port-forwarding, which a jump pass needs";
            return Err(self.refuse(Reason::Extension, never));
        }
        Ok(JumpHost {
            bastion: self.name.clone(),
            host: self.host.clone(),
            port: self.port,
            login: self.login.clone(),
            jump,
        })
    }

    fn refuse(&self, reason: Reason, detail: impl std::fmt::Display) -> Denial {
        Denial::new(reason, format!("bastion {:?}: {detail}", self.name))
    }
}

fn bastion_name(name: &str) -> Result<String, String> {
    if principal::is_name(name) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{name:?} is not a bastion name; use at most 64 letters, digits, `.`, `_` and `-`"
    ))
}

fn dialled(host: &str) -> Result<String, String> {
    hosts::check_host(host)
        .map(|()| host.to_owned())
        .map_err(|_| {
            format!(
                "{host:?} is not a host name; write what clients dial, such as \"bastion.example.com\""
            )
        })
}

fn port_number(port: &i64) -> Result<u16, String> {
    match u16::try_from(*port) {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("{port} is not a port; write 1 to 65535")),
    }
}

fn allowed_login(login: &str, limits: &Limits) -> Result<String, String> {
    if !principal::is_login(login) {
        return Err(format!(
            "{login:?} is not a login name; {}",
            limits::LOGIN_HELP
        ));
    }
    if !limits.allows_login(login) {
        return Err(format!(
            "login {login:?} is not in `principals` of [limits]; add it there, or name another here"
        ));
    }
    Ok(login.to_owned())
}

fn addresses(text: Text<'_>, raw: &file::Bastion) -> Result<BTreeSet<IpNet>, Error> {
    let networks = raw.addresses.get_ref();
    if networks.is_empty() || networks.len() > MAX_NETWORKS {
        return Err(text.error(
            raw.addresses.span(),
            format!(
                "`addresses` names {} networks; name the 1 to {MAX_NETWORKS} from which the bastion connects to hosts",
                networks.len()
            ),
        ));
    }
    let networks: Vec<_> = text.parse_all(networks, |network| source::parse(network))?;
    Ok(source::aggregate(networks))
}

fn patterns(text: Text<'_>, raw: &file::Bastion) -> Result<Vec<HostPattern>, Error> {
    if raw.hosts.get_ref().is_empty() {
        return Err(text.error(
            raw.hosts.span(),
            "`hosts` is empty, so the bastion leads nowhere; write a pattern such as \"db-*\"",
        ));
    }
    text.parse_all(raw.hosts.get_ref(), |pattern| hosts::pattern(pattern))
}
