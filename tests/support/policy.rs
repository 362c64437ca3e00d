//! Pieces of policies that many tests share. `security` audits and administers, `sre-lead`
//! approves.

/// The auditors and administrators.
pub const AUDIT_AND_ADMIN: &str = r#"
[audit]
allow = '"security" in claims.groups'
[admin]
allow = '"security" in claims.groups'
"#;

/// One role, `shell`, for `sre`.
pub const SHELL: &str = r#"
[limits]
ttl = "8h"
principals = ["root"]
[audit]
allow = '"security" in claims.groups'
[admin]
allow = '"security" in claims.groups'
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["root"]
ttl = "1h"
"#;

/// A role's line: one lead's approval within half an hour.
pub const APPROVAL: &str =
    r#"approval = { count = 1, by = '"sre-lead" in claims.groups', within = "30m" }"#;

/// A role's line: a quarter of an hour at once for who is on call, reviewed by `security`.
pub const EMERGENCY: &str = r#"emergency = { allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups' }"#;

/// The ceiling of all roles.
pub fn limits(principals: &[&str]) -> String {
    format!("[limits]\nttl = \"8h\"\nprincipals = {principals:?}\n")
}

/// A role that logs in as `principal`, for a group, with more lines.
pub fn role(name: &str, group: &str, principal: &str, more: &[&str]) -> String {
    let more = more.join("\n");
    format!(
        "[[role]]\nname = \"{name}\"\nallow = '\"{group}\" in claims.groups'\n\
         principals = [\"{principal}\"]\n{more}\n"
    )
}

/// A role's line: so many leads' approvals within this time.
pub fn approval(count: u32, within: &str) -> String {
    APPROVAL
        .replace("count = 1", &format!("count = {count}"))
        .replace("30m", within)
}
