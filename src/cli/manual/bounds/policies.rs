//! The bounds of a policy.

use super::table::{
    Bounds, LIFETIME,
    Place::{After, Of},
    Values::{List, Padded, Text, These},
    name, network,
};

const ROLE: &str =
    "[limits]\nttl = \"7d\"\n[[role]]\nname = \"r\"\nallow = 'true'\nprincipals = [\"deploy\"]\n";
const BASTION: &str = "[hosts]\nedge = [\"b\"]\n[[bastion]]\nname = \"b1\"\nhost = \"b.example.com\"\n\
                       login = \"jump\"\naddresses = [\"192.0.2.1\"]\nhosts = [\"db-*\"]\n";
const PERSON: &str = "[[emergency_identity]]\nissuer = \"https://id.example.com\"\nsubject = \"alice\"\n\
                      label = \"a\"\nkeys = [\"ssh-ed25519 \
                      AAAAC3NzaC1lZDI1NTE5AAAAIDtAHNHBojgnVQ/1rftAHY8PUg+NA1nMvmk2xvpjEHKn a\"]\n";
const PRESENCE: &str = "[[presence_identity]]\nissuer = \"https://id.example.com\"\nsubject = \"alice\"\n\
                        keys = [\"sk-ssh-ed25519@openssh.com \
                        AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIDtAHNHBojgnVQ/1rftAHY8PUg+NA1nMvmk2xvpjEHKnAAAABHNzaDo= a\"]\n";
const COUNT: (&[&str], &[&str]) = (&["1", "16"], &["0", "-1", "17"]);
const DAYS: &str = "from `\"1s\"` to `\"7d\"`";

#[rustfmt::skip]
pub(super) const ALL: &[Bounds] = &[
    Bounds::of(("[limits]", "ttl", DAYS), "", After("[limits]\nttl = @"), LIFETIME),
    Bounds::of(("[[role]]", "ttl", DAYS), ROLE, After("ttl = @"), LIFETIME),
    Bounds::of(("[[role]]", "name", "at most 64 letters"), ROLE, Of("\"r\""), Text(64)),
    Bounds::of(("[[role]]", "allow", "at most 2048 bytes"), ROLE, Of("'true'"), Padded("true", 2048)),
    Bounds::of(("[[role]]", "source", "1 to 64 networks"), ROLE, After("source = @"), List(1, 64, network)),
    Bounds::of(("params.NAME", "pattern", "at most 512 bytes"), ROLE, After("command = [\"/bin/echo\", \"{x}\"]\nparams.x = { pattern = @ }"), Padded("a", 512)),
    Bounds::of(("require", "auth_age", DAYS), ROLE, After("require = { auth_age = @ }"), LIFETIME),
    Bounds::of(("require", "amr", "1 to 16 methods"), ROLE, After("require = { amr = @ }"), List(1, 16, name)),
    Bounds::of(("require", "acr", "1 to 16 levels"), ROLE, After("require = { acr = @ }"), List(1, 16, name)),
    Bounds::of(("approval", "count", "1 to 16"), ROLE, After("approval = { count = @, by = \"true\", within = \"1h\" }"), These(COUNT.0, COUNT.1)),
    Bounds::of(("approval", "within", DAYS), ROLE, After("approval = { count = 1, by = \"true\", within = @ }"), LIFETIME),
    Bounds::of(("emergency", "ttl", DAYS), ROLE, After("reason = \".+\"\nemergency = { allow = \"true\", ttl = @, review = \"true\" }"), LIFETIME),
    Bounds::of(("emergency", "keys", "1 to 16"), ROLE, After("reason = \".+\"\nemergency = { allow = \"true\", ttl = \"1h\", review = \"true\", keys = @ }"), These(COUNT.0, COUNT.1)),
    Bounds::of(("[[emergency_identity]]", "subject", "1 to 256 bytes"), PERSON, Of("\"alice\""), Text(256)),
    Bounds::of(("[[emergency_identity]]", "label", "1 to 256 bytes"), PERSON, Of("\"a\""), Text(256)),
    Bounds::of(("[[presence_identity]]", "subject", "1 to 256 bytes"), PRESENCE, Of("\"alice\""), Text(256)),
    Bounds::of(("[[bastion]]", "name", "at most 64 letters"), BASTION, Of("\"b1\""), Text(64)),
    Bounds::of(("[[bastion]]", "port", "1 to 65535"), BASTION, After("port = @"), These(&["1", "65535"], &["0", "-1", "65536"])),
    Bounds::of(("[[bastion]]", "addresses", "1 to 64 networks"), BASTION, Of("[\"192.0.2.1\"]"), List(1, 64, network)),
];
