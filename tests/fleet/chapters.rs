//! Each command that the manual and the README print is typed by the person that it is for, and
//! does what its chapter says. A command that no walk types fails the test with its name.

mod hosts;
mod jobs;
mod operators;
mod printed;
mod users;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::{fleet::Fleet, machine::Machine, support::command::Done};
use printed::Printed;

/// Commands that other tests run, or that no walk can type: (page, section, start of the command,
/// file that runs it or that says why, text of that file).
#[rustfmt::skip]
const ELSEWHERE: &[(&str, &str, &str, &str, &str)] = &[
    // These blocks run as they stand.
    ("server", "Set up", "", "tests/fleet/fleet.rs", r#"chapter("server", "Set up")"#),
    ("host", "Set up", "", "tests/fleet/fleet.rs", r#"chapter("host", "Set up")"#),
    ("bastion", "On the bastion", "useradd", "tests/fleet/fleet.rs", r#"section("bastion", "On the bastion")"#),
    ("README", "Set up a server", "", "tests/readme.rs", r#"block(&readme, "Set up a server")"#),
    ("README", "Set up a host", "", "tests/readme.rs", r#"block(&readme, "Set up a host")"#),
    ("server", "Back up, restore, move", "", "tests/fleet/restored.rs", r#"chapter_blocks("server", "Back up, restore, move")"#),
    ("server", "Move to another machine", "", "tests/fleet/moved.rs", r#"chapter_blocks("server", "Move to another machine")"#),
    ("server", "Back up, restore, move", "daypass systemd install server", "tests/fleet/fleet.rs", r#"chapter("server", "Set up")"#),
    ("server", "After a restore", "daypass admin", "tests/fleet/restored.rs", r#"chapter("server", "After a restore")"#),
    ("server", "After a restore", "daypass host sync --accept-key", "tests/fleet/restored.rs", "daypass host sync --accept-key {fingerprint}"),
    // These need a state of the ledger that only a lost server has.
    ("server", "After a restore", "daypass admin accept-restore --past", "tests/host/restored.rs", "--past"),
    ("server", "After a restore", "daypass ledger accept", "tests/host/restored.rs", r#""ledger", "accept""#),
    ("server", "After a restore", "daypass restore --by-hand", "tests/host/restored.rs", "--by-hand"),
    ("ledger", "Witness", "daypass status", "tests/commands/witness.rs", r#"json(&["status"])"#),
    ("ledger", "Witness", "daypass admin accept-restore", "tests/host/restored.rs", "\"accept-restore\""),
    // It follows for ever, on a machine of its own.
    ("ledger", "Witness", "daypass ledger witness https://", "tests/commands/witness.rs", r#"["ledger", "witness", &url, "--key", &key, "--interval""#),
    // These need a ledger that changes its key.
    ("ledger-key", "How", "", "tests/commands/ledger_key.rs", r#""admin", "ledger-key""#),
    ("ledger-key", "Who follows how", "", "tests/commands/ledger_key.rs", r#""ledger", "witness""#),
    // These need a log of sshd.
    ("security", "What it does not protect", "daypass ledger reconcile", "tests/commands/reconcile.rs", r#""reconcile","#),
    ("ledger", "", "daypass ledger reconcile", "tests/commands/reconcile.rs", r#""reconcile","#),
    ("ledger", "Logins that the ledger lacks", "daypass ledger reconcile", "tests/commands/reconcile.rs", r#""reconcile","#),
    ("ledger", "Logins that the ledger lacks", "journalctl", "tests/commands/reconcile.rs", r#""reconcile","#),
    // These need a server that knows hosts.
    ("hosts", "Let a host join", "daypass", "tests/commands/hosts.rs", r#"daypass admin hosts add web-1 --group web --alias 10.0.0.7"#),
    ("hosts", "Let a server know hosts", "daypass init --hosts", "tests/daemon/init.rs", "\"--hosts\""),
    ("hosts", "Let a server know hosts", "daypass serve", "tests/daemon/init.rs", "\"--check\""),
    ("hosts", "Revoked certificates", "daypass ssh", "tests/host/users.rs", "revoked by file"),
    ("hosts", "Change the host CA key", "daypass serve --check", "tests/daemon/init.rs", "\"--check\""),
    ("hosts", "Change the host CA key", "daypass host", "tests/host/host_ca.rs", "hosts --format json"),
    // These need a machine with a token of its own.
    ("hosts", "Machines that join by themselves", "daypass host setup", "tests/host/machines.rs", "\"--join-token-file\""),
    ("hosts", "Machines that join by themselves", "daypass host sync", "tests/host/machines.rs", "[\"sync\"]"),
    // These need the accounts of server and signer.
    ("server", "Set up", "daypass signer", "tests/daemon/init.rs", "\"--signer\""),
    ("signer", "A new server", "daypass", "tests/daemon/init.rs", "\"--signer\""),
    // These need a log of sshd.
    ("hosts", "Logins that the CA never issued", "daypass host setup --logins", "tests/host/logins.rs", r#""setup", "--logins""#),
    ("hosts", "Logins that the CA never issued", "daypass host setup --no-logins", "tests/host/logins.rs", r#""setup", "--no-logins""#),
    ("hosts", "Logins that the CA never issued", "daypass host sync --logins", "tests/host/logins.rs", r#""sync", "--logins""#),
    ("hosts", "Logins that the CA never issued", "daypass ledger list", "tests/host/logins.rs", "ledger list --event foreign_login"),
    ("hosts", "Logins that the CA never issued", "daypass ledger reconcile", "tests/commands/reconcile.rs", r#""reconcile","#),
    ("hosts", "Logins that the CA never issued", "daypass hosts", "tests/host/logins.rs", "hosts --format json"),
    ("hosts", "Logins that the CA never issued", "systemctl edit", "systemd/daypass-sync.service", "ExecStart=/usr/local/bin/daypass host sync"),
    // These need an agent or a token that has the CA key.
    ("server", "The CA key in an agent or a token", "systemctl edit", "tests/service/ca_keys.rs", "SOFTHSM2_CONF"),
    ("server", "The CA key in an agent or a token", "daypass ledger reconcile", "tests/commands/reconcile.rs", r#""reconcile","#),
    ("server", "The CA key in an agent or a token", "daypass serve --check", "tests/service/ca_keys.rs", "\"--check\""),
    // These need three hosts that report, and a second key.
    ("server", "Rotate the CA key", "daypass admin keys", "tests/host/rotation.rs", r#"admin keys activate {new}"#),
    ("server", "After a restore", "daypass host sync", "tests/host/restored.rs", r#"json(&["sync"])"#),
    ("server", "The active key is lost", "daypass admin keys", "tests/host/rotation.rs", "activate {fourth} --anyway --reason lost"),
    ("server", "Rotate the CA key", "daypass admin hosts remove", "tests/wire/hosts.rs", r#"remove_host("web-2")"#),
    ("server", "Rotate the CA key", "daypass hosts", "tests/host/rotation.rs", "hosts --behind"),
    ("server", "Rotate the CA key", "daypass host sync", "tests/host/rotation.rs", r#"json(&["sync"])"#),
    ("server", "Rotate the CA key", "ssh-keygen", "tests/fleet/fleet.rs", "ssh-keygen -q -t ed25519 -N '' -f /etc/daypass/host_ca_key"),
    ("server", "Rotate the CA key", "chown", "tests/fleet/fleet.rs", "chown daypass /etc/daypass/host_ca_key"),
    ("server", "Rotate the CA key", "daypass signer", "tests/machine/signer.rs", r#"blocks("Set up", "sh")"#),
    // These need a real systemd, and a signer that raised an alarm.
    ("signer", "Set up", "", "tests/machine/signer.rs", r#"blocks("Set up", "sh")"#),
    ("signer", "The host CA's key", "", "tests/machine/signer.rs", r#"blocks(section, "sh")"#),
    ("signer", "", "daypass signer", "tests/machine/signer.rs", r#"blocks("Set up", "sh")"#),
    ("signer", "On another machine", "systemctl edit", "tests/service/signer/certified.rs", "tls://localhost"),
    ("signer", "Alarms", "systemctl st", "tests/machine/signer.rs", "systemctl start daypass-signer"),
    ("signer", "Alarms", "curl", "tests/service/signer.rs", "/checkpoint"),
    ("signer", "Alarms", "runuser -u daypass-signer -- daypass signer accept", "tests/service/signer.rs", r#"&["accept""#),
    ("signer", "Alarms", "daypass signer accept --keep", "tests/service/signer/lies.rs", r#"["accept", "--keep"]"#),
    ("signer", "Alarms", "daypass signer --check", "tests/service/signer/lies.rs", r#"["--check"]"#),
    ("signer", "Alarms", "daypass ledger witness", "tests/commands/witness.rs", r#"["ledger", "witness", &url"#),
    ("signer", "Alarms", "daypass admin accept-restore", "tests/host/restored.rs", "\"accept-restore\""),
    ("security", "What it does not protect", "daypass signer", "tests/machine/signer.rs", r#"blocks("Set up", "sh")"#),
    // These need a PostgreSQL, and a second server.
    ("server", "Several servers", "createdb", "tests/postgres/cluster.rs", "CREATE DATABASE"),
    ("server", "Several servers", "install -m 600", "tests/postgres/daemons.rs", "write_secret(&folder.join(\"postgres\")"),
    ("server", "Several servers", "daypass login --server", "tests/postgres/clients.rs", r#"&["login", "--as", name, "--server", server]"#),
    ("server", "Several servers", "daypass host setup", "tests/host/sync.rs", "a_host_goes_on_at_another_address_of_its_server"),
    ("server", "Several servers", "daypass admin webhooks", "tests/postgres/webhooks.rs", "list_webhooks"),
    ("server", "Several servers", "daypass init", "tests/postgres/operator.rs", r#""--postgres", postgres]"#),
    ("server", "Several servers", "daypass restore --by-hand", "tests/postgres/operator.rs", "--by-hand"),
    ("server", "Several servers", "runuser", "tests/postgres/migrating.rs", r#"daypass(&["migrate"]"#),
    ("server", "Several servers", "systemctl st", "tests/fleet/restored.rs", r#"chapter_blocks("server", "Back up, restore, move")"#),
    ("server", "Several servers", "daypass dev", "tests/dev.rs", r#"["--postgres", "--replicas", "2"]"#),
    // Said again beside what another section prints as a block.
    ("server", "Starts that are refused", "daypass restore", "tests/fleet/restored.rs", r#"chapter_blocks("server", "Back up, restore, move")"#),
    ("README", "When something happens", "daypass restore DIR", "tests/fleet/restored.rs", r#"chapter_blocks("server", "Back up, restore, move")"#),
    ("README", "", "ssh host", "tests/fleet/first_day.rs", "ssh -o BatchMode=yes web-1 id -un"),
    ("configuration", "", "daypass init", "tests/fleet/fleet.rs", r#"chapter("server", "Set up")"#),
    ("host", "Host groups", "daypass init", "tests/fleet/fleet.rs", r#"chapter("server", "Set up")"#),
    // A world on one machine, and the repository itself.
    ("README", "Try it", "", "tests/dev.rs", "dev"),
    ("files", "Variables that Daypass sets", "daypass dev", "tests/dev.rs", "dev"),
    ("README", "Limits, honestly", "cargo bench", "benches/load/main.rs", "fn main"),
    ("README", "Work on it", "cargo doc", ".ci/run", "doc"),
    ("README", "Work on it", "cargo test --test chaos", "tests/chaos/main.rs", "--database"),
    ("server", "How fast", "cargo bench --bench load", "benches/load/main.rs", "fn main"),
    ("server", "How fast", "cargo bench --bench growth", "benches/growth/main.rs", "fn main"),
    // These need a security key, here in software.
    ("web", "Passkeys: a stronger yes", "daypass approve", "tests/commands/decisions.rs", "--security-key"),
    ("web", "Passkeys: a stronger yes", "daypass admin lock", "tests/wire/presence.rs", "lock_target::Target::Key"),
    // These need a real systemd and dpkg.
    ("server", "Run", "journalctl", "tests/machine/service.rs", "journalctl --output=cat --unit=daypass --priority=err"),
    ("server", "Set up", "apt purge", "tests/machine/upgrade.rs", "dpkg --purge daypass"),
    ("server", "Networks in between", "systemctl edit", "tests/commands/proxies.rs", "HTTPS_PROXY"),
    // These are for a server with a page, and for a person who is then locked.
    ("requests", "", "daypass requests open", "tests/web/links.rs", "requests open {id}"),
    ("web", "", "daypass requests open", "tests/web/links.rs", "requests open {id}"),
    ("web", "Audit", "daypass status", "tests/commands/witness.rs", r#"json(&["status"])"#),
    ("web", "My access", "daypass lock-me", "tests/web/access.rs", "lock-me --yes"),
    ("locks", "", "daypass lock-me", "tests/web/access.rs", "lock-me --yes"),
    // It needs a machine with an identity of its own.
    ("bastion", "On behalf of a user", "daypass on-behalf", "tests/commands/on_behalf.rs", "on-behalf prepare"),
    // These need a terminal, or a user whose name is a login.
    ("providers", "Without a browser on this machine", "daypass login --paste", "tests/commands/sign_in.rs", r#"["login", "--paste"]"#),
    ("providers", "Without a browser on this machine", "ssh -L", "tests/commands/sign_in.rs", "ssh -L {port}"),
    ("plain-ssh", "One pass for each login", "ssh ada@web-1", "tests/laptop/plain.rs", "the_local_users_own_name_counts_if_it_was_typed"),
];

/// A fleet, and what was typed in it.
struct Walk {
    fleet: Fleet,
    typed: RefCell<Vec<String>>,
}

impl Walk {
    fn run(&self, machine: &Machine, user: &str, line: &str) -> Done {
        let done = machine.run(user, line);
        self.typed.borrow_mut().extend(line.lines().map(one_spaced));
        done
    }

    /// What a line prints; it must succeed.
    fn says(&self, machine: &Machine, user: &str, line: &str) -> String {
        self.ends(machine, user, line, 0)
            .stdout
            .trim_end()
            .to_owned()
    }

    /// A line that must end with this exit code.
    fn ends(&self, machine: &Machine, user: &str, line: &str, code: i32) -> Done {
        let done = self.run(machine, user, line);
        let at = machine.name();
        assert_eq!(done.code, code, "{user}@{at}$ {line}\n{done:?}");
        done
    }

    /// What a user of the laptop gets to read on stdout.
    fn user(&self, name: &str, line: &str) -> String {
        self.says(&self.fleet.laptop, name, line)
    }

    /// What a user of the laptop gets to read on stderr.
    fn refuses(&self, name: &str, line: &str, code: i32) -> String {
        self.ends(&self.fleet.laptop, name, line, code).stderr
    }

    /// What root of the server gets to read.
    fn operator(&self, line: &str) -> String {
        self.says(&self.fleet.server, "root", line)
    }

    /// The printed commands that no line has typed.
    fn left(&self) -> Vec<Printed> {
        let typed = self.typed.borrow();
        let is_left = |it: &Printed| !is_elsewhere(it) && !typed.iter().any(|line| it.is_in(line));
        printed::all().into_iter().filter(is_left).collect()
    }
}

/// The walk of a chapter.
type Chapter = fn(&Walk);

fn one_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_elsewhere(printed: &Printed) -> bool {
    ELSEWHERE.iter().any(|(page, section, start, _, _)| {
        printed.page == *page && printed.section == *section && printed.line.starts_with(start)
    })
}

#[test]
fn each_command_of_every_chapter_is_typed_by_the_person_that_it_is_for() {
    let walk = Walk {
        fleet: Fleet::start(),
        typed: RefCell::default(),
    };
    let chapters: [(&str, Chapter); 17] = [
        ("the server's configuration", operators::configure),
        ("Use it", users::first_day),
        ("topics", users::topics),
        ("plain-ssh", users::plain_ssh),
        ("bastion", users::bastion),
        ("requests", users::requests),
        ("emergency", users::emergency),
        ("scripts", jobs::scripts),
        ("exit-codes", jobs::exit_codes),
        ("webhooks", operators::webhooks),
        ("policy", operators::policy),
        ("server", operators::server),
        ("ledger", operators::ledger),
        ("host", hosts::host),
        ("locks", operators::locks),
        ("files", jobs::files),
        ("providers", users::providers),
    ];
    // Each chapter is walked, also after one that failed: one run names them all.
    let failed = chapters.iter().filter(|(_, chapter)| {
        let walked = catch_unwind(AssertUnwindSafe(|| chapter(&walk)));
        walked.is_err()
    });
    let failed: Vec<&str> = failed.map(|(name, _)| *name).collect();
    assert_eq!(
        failed, [""; 0],
        "these chapters do not work; the cause is above"
    );
    let left = walk.left();
    assert!(left.is_empty(), "no walk types these: {left:#?}");
}

#[test]
fn each_exception_is_printed_and_another_test_has_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let printed = printed::all();
    for (page, section, start, file, text) in ELSEWHERE {
        let is_printed = printed
            .iter()
            .any(|it| it.page == *page && it.section == *section && it.line.starts_with(start));
        assert!(is_printed, "{page}, {section}: {start:?} is not printed");
        let content = fs::read_to_string(root.join(file)).unwrap();
        assert!(content.contains(text), "{file} has no {text:?}");
    }
    let pages: BTreeSet<&str> = printed.iter().map(|it| &*it.page).collect();
    assert!(pages.len() > 15, "{pages:?}");
}
