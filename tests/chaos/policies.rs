//! The policies of a run.

use sha2::{Digest, Sha256};

use ssh_key::{PrivateKey, private::Ed25519Keypair};

use super::plan::Reload;

/// The lifetime of role `shell` in seconds, in the first policy and in the narrower one.
const WIDE: u64 = 3600;
const NARROW: u64 = 1800;

/// The people with registered keys.
pub(crate) const REGISTERED: [&str; 3] = ["keeper-0", "keeper-1", "keeper-2"];

/// Their issuer, which is always down.
const AWAY: &str = "http://127.0.0.1:9/away";

/// It in `daypass.toml`.
pub(crate) const AWAY_ISSUER: &str = r#"
[[issuer]]
name = "away"
url = "http://127.0.0.1:9/away"
client_id = "daypass"
algorithms = ["ES256"]
binding = "nonce"
"#;

/// The registered key of one of them.
pub(crate) fn registered_key(number: usize) -> PrivateKey {
    Ed25519Keypair::from_seed(&[number as u8 + 1; 32]).into()
}

fn registered() -> String {
    let people = REGISTERED.iter().enumerate().map(|(number, name)| {
        let key = registered_key(number).public_key().to_openssh().unwrap();
        format!(
            "[[emergency_identity]]\nissuer = \"{AWAY}\"\nsubject = \"{name}\"\nlabel = \"{name}\"\n\
             claims = {{ groups = [\"oncall\"] }}\nkeys = [\"{key}\"]\n"
        )
    });
    people.collect()
}

/// The policy in which `shell` has this lifetime. `generation` makes another file of it.
fn text(shell: u64, generation: u64) -> String {
    let registered = registered();
    format!(
        r#"# {generation}
[limits]
ttl = "8h"
principals = ["debug", "deploy", "weblogs"]
[audit]
allow = '"security" in claims.groups'
[admin]
allow = '"security" in claims.groups'
[[role]]
name = "shell"
allow = '"sre" in claims.groups'
principals = ["debug"]
ttl = "{shell}s"
[[role]]
name = "own"
allow = '"sre" in claims.groups'
principals = ["debug", "{{claims.login}}"]
ttl = "30m"
[[role]]
name = "logs"
allow = '"sre" in claims.groups'
principals = ["weblogs"]
command = ["/usr/bin/journalctl", "--unit", "{{unit}}"]
params.unit = {{ pattern = "[a-z][a-z0-9@._-]{{0,63}}" }}
ttl = "30m"
[[role]]
name = "prod"
allow = '"sre" in claims.groups'
principals = ["deploy"]
ttl = "45m"
approval = {{ count = 1, by = '"sre-lead" in claims.groups', within = "30m" }}
emergency = {{ allow = '"sre" in claims.groups', ttl = "15m", review = '"security" in claims.groups' }}
[[role]]
name = "via"
allow = '"sre" in claims.groups'
principals = ["debug"]
ttl = "20m"
on_behalf = {{ by = '"bastions" in claims.groups' }}
[[role]]
name = "down"
allow = '"oncall" in claims.groups'
principals = ["deploy"]
emergency = {{ allow = '"oncall" in claims.groups', ttl = "15m", review = '"security" in claims.groups', keys = 2 }}
{registered}"#
    )
}

/// The first policy.
pub(crate) fn first() -> String {
    text(WIDE, 0)
}

/// The policy of a reload; valid ones with the lifetime of `shell`.
pub(crate) fn of(reload: Reload, generation: u64) -> (String, Option<u64>) {
    match reload {
        Reload::Invalid => (
            text(WIDE * 2, generation).replace("[limits]", "[limits"),
            None,
        ),
        Reload::Narrow => (text(NARROW, generation), Some(NARROW)),
        Reload::Good => (text(WIDE, generation), Some(WIDE)),
    }
}

/// Its hash in events, with the lifetime of `shell`.
pub(crate) fn known(text: &str, shell: u64) -> (String, u64) {
    (base16ct::lower::encode_string(&Sha256::digest(text)), shell)
}

pub(crate) fn first_known() -> (String, u64) {
    known(&first(), WIDE)
}
