//! A user's first day: from an empty home to a shell, and then with the tools that use ssh.

use super::fleet::{Fleet, SERVER};

#[test]
fn from_an_empty_home_to_a_shell_in_four_commands() {
    let fleet = Fleet::start();
    let commands = [
        &*format!("export DAYPASS_SERVER={SERVER}"),
        "export DAYPASS_CA_FILE=$HOME/tls.pem",
        "daypass login >&2",
        "daypass ssh web-1 -- 'id -un; hostname'",
    ];
    let said = fleet.laptop.says("alice", &commands.join("\n"));
    assert_eq!(said, "deploy\nweb-1");

    // The login is remembered: a new shell knows server and roots.
    let said = fleet.laptop.says("alice", "daypass ssh web-6 -- hostname");
    assert_eq!(said, "web-6", "a host without IPv4");
    tools(&fleet);
    // Bob has no role that fits, and reads which commands would.
    fleet.sign_in("bob");
    let usage = fleet.laptop.fails("bob", "daypass ssh web-1 -- id", 2);
    assert!(
        usage.contains("daypass ssh web-1 --role web-logs --param unit=..."),
        "{usage}"
    );
}

/// Plain ssh, and what runs it, after `daypass ssh-config install`.
fn tools(fleet: &Fleet) {
    let alice = |line: &str| fleet.laptop.says("alice", line);
    alice("daypass ssh-config install");
    assert_eq!(alice("ssh -o BatchMode=yes web-1 id -un"), "deploy");
    alice("echo one >file && scp -q file web-1:copy");
    assert_eq!(alice("ssh web-1 cat copy"), "one");
    alice("echo 'get copy back' | sftp -q -b - web-1 && cmp file back");
    alice(
        "mkdir tree && echo two >tree/leaf && rsync -a tree web-1: && rsync -a -e 'ssh -o BatchMode=yes' web-6:.profile profile",
    );
    assert_eq!(alice("ssh web-1 cat tree/leaf"), "two");
    alice("ssh web-1 git init -q --bare work.git && git clone -q web-1:work.git work");
    let commit =
        "git -c user.name=alice -c user.email=alice@example.com commit -q --allow-empty -m first";
    alice(&format!(
        "cd work && {commit} && git push -q origin HEAD:main"
    ));
    assert_eq!(
        alice("git ls-remote --heads web-1:work.git | cut -f2"),
        "refs/heads/main"
    );
    // As ansible connects: one connection for several commands.
    let ansible =
        "ssh -C -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=$HOME/%C web-1";
    assert_eq!(
        alice(&format!("{ansible} id -un && {ansible} hostname")),
        "deploy\nweb-1"
    );
}

#[test]
fn a_pass_for_the_callers_address_works_over_both_families() {
    let fleet = Fleet::start();
    fleet.sign_in("bob");
    for host in ["web-1", "web-6"] {
        let line = format!("daypass ssh {host} --role web-logs --param unit=nginx.service -- id");
        assert_eq!(fleet.laptop.says("bob", &line), "logs of nginx.service");
    }
}
