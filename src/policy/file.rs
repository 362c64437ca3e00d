//! The policy file as written: TOML into raw values with their positions. Decides nothing.
//!
//! Unknown keys are refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

pub(super) use super::host_keys::Host;
use super::paging::timing::PageTiming;
pub(super) use super::test_keys::{Ask, Test, TestPerson};
use crate::reference::{Kind, Section, keys, word};

/// The sections of the policy file, for the manual.
pub(super) fn reference() -> Vec<Section> {
    vec![
        Section::of::<File>("Top level"),
        Section::of::<Limits>("[limits]"),
        Section {
            heading: "[hosts]",
            about: "Each key is a host group. Its value is a list of host names; `*` and `?` stand for what varies.",
            keys: &[],
        },
        Section::of::<Allow>("[audit]"),
        Section::of::<Admin>("[admin]"),
        Section::of::<Host>("[[host]]"),
        Section::of::<Role>("[[role]]"),
        Section::of::<Parameter>("params.NAME"),
        Section::of::<Hours>("hours"),
        Section::of::<Require>("require"),
        Section::of::<Approval>("approval"),
        Section::of::<Emergency>("emergency"),
        Section::of::<OnBehalf>("on_behalf"),
        Section::of::<EmergencyIdentity>("[[emergency_identity]]"),
        Section::of::<PresenceIdentity>("[[presence_identity]]"),
        Section::of::<Bastion>("[[bastion]]"),
        Section::of::<Test>("[[test]]"),
        Section::of::<TestPerson>("as"),
        Section::of::<Ask>("ask"),
    ]
}

word!(PageTiming);

impl Kind for Days {
    const KIND: &str = "text or list";
}

impl Kind for Source {
    const KIND: &str = "text or list";
}

keys! {
    /// The sections of the file.
    struct File {
        /// the ceiling over every role.
        #[serde(default)]
        limits: Limits,
        /// host groups.
        #[serde(default)]
        hosts: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
        /// who may read the ledger.
        audit: Option<Allow>,
        /// who may lock, revoke and look after webhooks.
        admin: Option<Admin>,
        /// machines that join as known hosts without a join code.
        #[serde(default)]
        machines as "host": Vec<Host>,
        /// the roles.
        #[serde(default)]
        roles as "role": Vec<Role>,
        /// people with registered keys.
        #[serde(default)]
        emergency_identities as "emergency_identity": Vec<EmergencyIdentity>,
        /// people with passkeys or security keys, for roles whose approval wants their presence.
        #[serde(default)]
        presence_identities as "presence_identity": Vec<PresenceIdentity>,
        /// what `daypass policy test` runs.
        #[serde(default)]
        tests as "test": Vec<Spanned<Test>>,
        /// hosts that lead to others.
        #[serde(default)]
        bastions as "bastion": Vec<Bastion>,
    }
}

keys! {
    /// The ceiling over every role.
    #[derive(Default)]
    struct Limits {
        /// the longest lifetime of a pass, from `"1s"` to `"7d"`. Default: `"1h"`.
        ttl: Option<Spanned<String>>,
        /// the logins that roles may name. A pattern has one `*`, such as `"u-*"`; it never covers
        /// `root`, which must be listed as it is. Default: any.
        principals: Option<Vec<Spanned<String>>>,
        /// the extensions that passes may have. Default: any.
        extensions: Option<Vec<Spanned<String>>>,
        /// the networks that passes may work from. Default: any.
        source: Option<Vec<Spanned<String>>>,
    }
}

keys! {
    /// Who may read the ledger.
    struct Allow {
        /// the condition. Without the section, no one may.
        allow: Spanned<String>,
    }
}

keys! {
    /// Who may lock, revoke and look after webhooks, and whose keys count after a restore.
    struct Admin {
        /// the condition. Without the section, no one may.
        allow: Spanned<String>,
        /// public keys of administrators, as lines of `.pub` files, at most 64. Clients and hosts
        /// remember them; after an older ledger is restored, they go on by a statement of such a
        /// key alone. See `daypass help server`.
        #[serde(default)]
        keys: Vec<Spanned<String>>,
    }
}

keys! {
    /// One section for each role.
    struct Role {
        /// at most 64 letters, digits, `.`, `_` and `-`.
        name: Spanned<String>,
        /// a line for `daypass roles`.
        #[serde(default)]
        about: Option<Spanned<String>>,
        /// the condition for having the role; as every condition, at most 2048 bytes.
        allow: Spanned<String>,
        /// host groups. The pass then names `login@group` instead of `login`, and only hosts of
        /// that group accept it.
        #[serde(default)]
        hosts: Vec<Spanned<String>>,
        /// the logins. `{claims.NAME}` takes a claim: a string, or a list of strings for several
        /// logins. At most one claim in each. See "Personal accounts".
        principals: Spanned<Vec<Spanned<String>>>,
        /// the only command that the pass can run, as a list of words. `{name}` is a parameter,
        /// `{claims.NAME}` a claim. The program is an absolute path, or `internal-sftp`. Each word
        /// is quoted for the shell: no value can add a word, and no value can become an option.
        command: Option<Spanned<Vec<Spanned<String>>>>,
        /// one entry for each parameter of the command.
        #[serde(default)]
        params: BTreeMap<Spanned<String>, Spanned<Parameter>>,
        /// where the pass works from. `"caller"` is the address that asks, `"bastion"` the
        /// addresses of the bastion before the host, and a list names 1 to 64 networks. Default:
        /// anywhere.
        source: Option<Spanned<Source>>,
        /// any of `"agent-forwarding"`, `"port-forwarding"`, `"pty"`, `"user-rc"` and
        /// `"x11-forwarding"`. Default: none.
        #[serde(default)]
        extensions: Vec<Spanned<String>>,
        /// `true` gives passes to security keys only (`sk-` keys, made by `ssh-keygen -t ed25519-sk
        /// -O verify-required`), and each login then needs the key's PIN or biometric. Other keys
        /// are refused. Default: `false`.
        #[serde(default)]
        verify_required: bool,
        /// `true` is short for the extension `"pty"`.
        #[serde(default)]
        pty: bool,
        /// the lifetime, from `"1s"` to `"7d"`. Default: the one of `[limits]`.
        ttl: Option<Spanned<String>>,
        /// a pattern that the reason must match as a whole.
        reason: Option<Spanned<String>>,
        /// other people must approve. See `daypass help requests`.
        approval: Option<Approval>,
        /// access without waiting. See `daypass help emergency`.
        emergency: Option<Emergency>,
        /// who may ask for a pass on behalf of a user who is present. Without it, no one may. See
        /// `daypass help bastion`.
        on_behalf: Option<OnBehalf>,
        /// when the role is open.
        hours: Option<Spanned<Hours>>,
        /// how the person must have signed in.
        require: Option<Spanned<Require>>,
    }
}

keys! {
    /// When a role is open. A pass ends at closing time.
    struct Hours {
        /// such as `"mon-fri"`, `"sat,sun"`, or a list. Default: every day.
        days: Option<Days>,
        /// such as `"08:00"`. Default: the start of the day.
        from: Option<String>,
        /// such as `"18:00"`. If it is before `from`, the range goes over midnight. Default: the
        /// end of the day.
        to: Option<String>,
        /// a time zone such as `"Europe/Berlin"`.
        zone: String,
    }
}

/// `days = "mon-fri"` or a list.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected days such as \"mon-fri\", or a list of them"
)]
pub(super) enum Days {
    /// One text with commas.
    Text(String),
    /// A list.
    List(Vec<String>),
}

keys! {
    /// If a sign-in does not meet this, the client signs in again as the role wants it.
    struct Require {
        /// the longest time since the person signed in, from `"1s"` to `"7d"`, such as `"15m"`.
        auth_age: Option<String>,
        /// all of these 1 to 16 methods (the `amr` claim), such as `["hwk"]`.
        amr: Option<Vec<String>>,
        /// one of these 1 to 16 levels (the `acr` claim).
        acr: Option<Vec<String>>,
        /// `true` demands a token that is bound to the caller's key.
        bound: Option<bool>,
    }
}

keys! {
    /// Other people must approve: `approval = { count = 1, by = "...", within = "1h" }`.
    struct Approval {
        /// how many people must approve, 1 to 16.
        count: Spanned<i64>,
        /// the condition for approving.
        by: Spanned<String>,
        /// how long the request lives, from `"1s"` to `"7d"`.
        within: Spanned<String>,
        /// `true` counts an approval only with a signature by a passkey or security key of the
        /// approver, made under the approver's hand, that `[[presence_identity]]` lists. Default:
        /// `false`.
        presence: Option<Spanned<bool>>,
    }
}

keys! {
    /// Access without waiting.
    struct Emergency {
        /// the condition for having an emergency.
        allow: Spanned<String>,
        /// the lifetime of an emergency pass, from `"1s"` to `"7d"`.
        ttl: Spanned<String>,
        /// the condition for closing the review.
        review: Spanned<String>,
        /// how many people must sign with registered keys, 1 to 16. Default: 1.
        keys: Option<Spanned<i64>>,
        /// `"after"` sends the page with the pass. `"before"` gives no pass until a receiver has
        /// acknowledged the page. Default: `"after"`.
        #[serde(default)]
        page: PageTiming,
    }
}

keys! {
    /// A bastion or web terminal asks on behalf of a user.
    struct OnBehalf {
        /// the condition over the claims of the identity that asks. The user needs the role as
        /// always.
        by: Spanned<String>,
    }
}

keys! {
    /// A person who may sign with registered keys while the identity provider is down.
    struct EmergencyIdentity {
        /// the URL of a configured issuer, exactly.
        issuer: Spanned<String>,
        /// the `sub` of the person's tokens, 1 to 256 bytes.
        subject: Spanned<String>,
        /// the verified e-mail address of their tokens, 1 to 256 bytes. Locks by name go by it.
        label: Spanned<String>,
        /// what the conditions of roles see.
        #[serde(default)]
        claims: serde_json::Map<String, serde_json::Value>,
        /// lines of `.pub` files. Security keys are best.
        keys: Spanned<Vec<Spanned<String>>>,
    }
}

keys! {
    /// A person whose approvals show their presence. See `daypass help web`.
    struct PresenceIdentity {
        /// the URL of a configured issuer, exactly.
        issuer: Spanned<String>,
        /// the `sub` of the person's tokens, 1 to 256 bytes.
        subject: Spanned<String>,
        /// 1 to 8 public keys: lines of `.pub` files of security keys (`ssh-keygen -t ed25519-sk`
        /// or `ecdsa-sk`), and lines that the page prints at `/web/passkey`.
        keys: Spanned<Vec<Spanned<String>>>,
    }
}

/// `source = "caller"`, `"bastion"` or a list of networks.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"caller\", \"bastion\" or a list of networks"
)]
pub(super) enum Source {
    /// `"caller"` or `"bastion"`.
    Word(String),
    /// A list of networks.
    Networks(Vec<String>),
}

keys! {
    /// One for each parameter of the command of a role. A value has at most 1024 bytes.
    struct Parameter {
        /// a regular expression that the value must match as a whole, at most 512 bytes.
        pattern: Option<String>,
        /// the values that are allowed. Exactly one of `pattern` and `one_of`.
        one_of: Option<Vec<String>>,
        /// `true` lets the value begin with `-`.
        #[serde(default)]
        option: bool,
    }
}

keys! {
    /// See `daypass help bastion`.
    struct Bastion {
        /// what people call it, at most 64 letters, digits, `.`, `_` and `-`.
        name: Spanned<String>,
        /// the host that clients dial.
        host: Spanned<String>,
        /// the port of its sshd, 1 to 65535. Default: 22.
        port: Option<Spanned<i64>>,
        /// the login there; `[limits]` must allow it.
        login: Spanned<String>,
        /// the bastion's own host group.
        group: Option<Spanned<String>>,
        /// the 1 to 64 networks that it connects to hosts from.
        addresses: Spanned<Vec<Spanned<String>>>,
        /// names of the hosts behind it; `*` and `?` stand for what varies.
        hosts: Spanned<Vec<Spanned<String>>>,
        /// where the jump pass works from: `"caller"` or networks. Default: anywhere.
        source: Option<Spanned<Source>>,
    }
}
