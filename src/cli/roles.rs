//! `daypass roles`.

use std::time::Duration;

use serde::Serialize;

use super::{
    Failure, Global,
    output::{bold, clean},
    target::Target,
};
use crate::{
    client::standing::OnDisk,
    proto::{usage, v1},
};

/// List the roles that you may have, with the command for each.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Only roles for this host.
    #[arg(long)]
    host: Option<String>,
}

#[derive(Serialize)]
struct Roles {
    roles: Vec<Role>,
    /// Why the user gets no pass; none if no lock covers them.
    locked: Option<String>,
}

#[derive(Serialize)]
struct Role {
    name: String,
    about: String,
    hosts: Vec<String>,
    logins: Vec<String>,
    command: Vec<String>,
    params: Vec<Parameter>,
    ttl_seconds: u64,
    reason_pattern: Option<String>,
    pty: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    verify_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    locked: bool,
    /// How many other people must approve a request; none if the role needs no approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    approvals: Option<u32>,
    usage: String,
}

#[derive(Serialize)]
struct Parameter {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pattern: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    one_of: Vec<String>,
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 4 if you are not signed in.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = self.target.client_for(self.host.as_deref())?;
        let signed = client.signed_in().await?;
        let host = self.host.as_deref();
        let access = client.access(&signed, host).await?;
        say_removed(global, &access.removed);
        let roles = access.roles.into_iter();
        let roles = Roles {
            roles: roles.map(|role| Role::of(role, host)).collect(),
            locked: access.locked,
        };
        global.print(&roles, |roles| {
            let locked = roles
                .locked
                .iter()
                .map(|why| format!("No pass for you: {}", clean(why)));
            let texts: Vec<String> = match roles.roles.as_slice() {
                [] => locked
                    .chain(["The policy gives you no role.".to_owned()])
                    .collect(),
                open => locked.chain(open.iter().map(text)).collect(),
            };
            texts.join("\n\n")
        })
    }
}

/// Tells the user which passes are gone from disk.
pub(super) fn say_removed(global: &Global, removed: &[OnDisk]) {
    for pass in removed {
        global.say(&format!(
            "daypass: pass {} ({}) was revoked, and is removed; the next command gets a new one",
            pass.serial,
            clean(&pass.role)
        ));
    }
}

impl Role {
    fn of(role: v1::Role, host: Option<&str>) -> Self {
        Self {
            usage: usage::command(&role, host),
            name: role.name,
            about: role.about,
            hosts: role.hosts,
            logins: role.logins,
            command: role.command,
            params: role.params.into_iter().map(Parameter::of).collect(),
            ttl_seconds: role.ttl_seconds,
            reason_pattern: Some(role.reason_pattern).filter(|pattern| !pattern.is_empty()),
            pty: role.pty,
            verify_required: role.verify_required,
            locked: role.locked,
            approvals: Some(role.approvals).filter(|count| *count > 0),
        }
    }
}

impl Parameter {
    fn of(parameter: v1::role::Parameter) -> Self {
        Self {
            name: parameter.name,
            pattern: parameter.pattern,
            one_of: parameter.one_of,
        }
    }
}

fn text(role: &Role) -> String {
    let ttl = humantime::format_duration(Duration::from_secs(role.ttl_seconds));
    let mut lines = vec![format!(
        "{}  {}",
        bold(&clean(&role.name)),
        clean(&role.about)
    )];
    lines.push(format!(
        "  logs in as {} for {ttl}",
        clean(&role.logins.join(", "))
    ));
    if !role.hosts.is_empty() {
        lines.push(format!("  on hosts   {}", clean(&role.hosts.join(", "))));
    }
    if !role.command.is_empty() {
        lines.push(format!("  runs       {}", clean(&role.command.join(" "))));
    }
    for parameter in &role.params {
        let takes = if parameter.one_of.is_empty() {
            format!("matches {}", parameter.pattern)
        } else {
            format!("is one of {}", parameter.one_of.join(", "))
        };
        lines.push(format!("  {} {}", clean(&parameter.name), clean(&takes)));
    }
    if let Some(pattern) = &role.reason_pattern {
        lines.push(format!("  reason     matches {}", clean(pattern)));
    }
    if role.verify_required {
        lines.push(
            "  key        a security key with user verification (PIN or biometric)".to_owned(),
        );
    }
    match role.approvals {
        None => (),
        Some(1) => lines.push("  approval   by another person".to_owned()),
        Some(many) => lines.push(format!("  approval   by {many} other people")),
    }
    if role.locked {
        lines.push("  locked     by an administrator: it gives no pass now".to_owned());
    }
    lines.push(format!("  $ {}", clean(&role.usage)));
    lines.join("\n")
}
