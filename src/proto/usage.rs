//! The command that a user types for a role. Pure.

use super::v1;

/// The command for a pass of a role.
pub(crate) fn command(role: &v1::Role, host: Option<&str>) -> String {
    let mut words = match (host, is_interactive(role) || !role.logins.is_empty()) {
        (Some(host), _) => format!("daypass ssh {host}"),
        (None, true) => "daypass ssh HOST".to_owned(),
        (None, false) => "daypass pass".to_owned(),
    };
    words.push_str(&format!(" --role {}", role.name));
    for parameter in &role.params {
        words.push_str(&format!(
            " --param {}={}",
            parameter.name,
            values(parameter)
        ));
    }
    if !role.reason_pattern.is_empty() {
        words.push_str(" --reason '...'");
    }
    words
}

/// A parameter's values, as a usage text shows them.
fn values(parameter: &v1::role::Parameter) -> String {
    if parameter.one_of.is_empty() {
        "...".to_owned()
    } else {
        parameter.one_of.join("|")
    }
}

/// Whether the role gives a shell: a terminal, and no force-command.
pub(crate) fn is_interactive(role: &v1::Role) -> bool {
    role.pty && role.command.is_empty()
}
