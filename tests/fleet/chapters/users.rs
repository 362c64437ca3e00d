//! What users type, each as the person that the chapter names.

use super::Walk;
use crate::{
    fleet::{SERVER, chapter_blocks},
    incident::number_after,
};

/// The README's "Use it", from an empty home.
pub(super) fn first_day(walk: &Walk) {
    let exports = format!(
        "export DAYPASS_SERVER={SERVER}\nexport DAYPASS_CA_FILE=$HOME/tls.pem\n\
         echo letter >letter\n"
    );
    let lines = [
        "daypass login",
        "daypass ssh web-1",
        "rsync -e 'daypass ssh' letter web-1:",
        "daypass ssh-config install",
        "daypass status",
    ];
    for line in lines {
        walk.user("alice", &format!("{exports}{line}"));
    }
    // From now on without the variables: the login is remembered.
    walk.user("alice", "ssh web-1 cat letter");
    for name in ["bob", "carol", "dave"] {
        walk.fleet.sign_in(name);
    }
    let logs = "daypass ssh web-1 --role web-logs --param unit=nginx.service";
    assert_eq!(walk.user("bob", logs), "logs of nginx.service");
    walk.user(
        "bob",
        "daypass pass --role web-logs --param unit=nginx.service --host web-1",
    );
    walk.user("bob", "daypass roles");
}

/// Each page of the manual is there, as the pages and the README name it.
pub(super) fn topics(walk: &Walk) {
    let listed = walk.user("alice", "daypass help");
    for printed in super::printed::all() {
        let topic = &printed.page;
        if topic != "README" {
            assert!(listed.contains(&format!("  {topic} ")), "{topic}: {listed}");
            let page = walk.user("alice", &format!("daypass help {topic}"));
            assert!(page.len() > 500, "{page}");
        }
    }
    for topic in ["how-it-works", "configuration", "security", "exit-codes"] {
        walk.user("alice", &format!("daypass help {topic}"));
    }
    walk.user(
        "alice",
        "daypass man --out pages && test -s pages/daypass.1",
    );
}

pub(super) fn plain_ssh(walk: &Walk) {
    let alice = |line: &str| walk.user("alice", line);
    // A second name of a host, as the chapter's jump host.
    let laptop = &walk.fleet.laptop;
    for file in ["/etc/hosts", "/etc/ssh/ssh_known_hosts"] {
        let line = format!("sed 's/web-6/web-0/p;d' {file} >more && cat more >>{file}");
        laptop.says("root", &line);
    }
    for block in chapter_blocks("plain-ssh", "daypass ssh in the place of ssh") {
        // A new shell has the folder in its PATH.
        alice(&format!("set -e\nPATH=$PATH:$HOME/.local/bin\n{block}"));
    }
    let git = "export GIT_SSH_COMMAND='daypass ssh'\nssh web-1 git init -q --bare with.git && git clone -q web-1:with.git with";
    alice(git);
    alice("rsync -e 'daypass ssh --role deploy' letter web-1:other");
    assert_eq!(alice("ssh web-1 id -un"), "deploy");
    assert_eq!(alice("ssh deploy@web-1 cat other"), "letter");
    assert_eq!(alice("daypass ssh --fresh web-1 id -un"), "deploy");
    assert_eq!(alice("daypass ssh -J web-0 web-1 hostname"), "web-1");
    assert_eq!(alice("daypass ssh web-1 --role deploy id -un"), "deploy");
    alice("daypass ensure --host web-1");
    alice("ssh -G web-1 | grep -q 'identityfile.*daypass'");
    // No role of hers has this login: each says so.
    for line in ["daypass ssh root@web-1", "daypass ssh -l root web-1"] {
        let denied = walk.refuses("alice", line, 2);
        assert!(denied.contains("no role for web-1"), "{denied}");
    }
    let denied = walk.refuses("alice", "ssh root@web-1 id", 255);
    assert!(denied.contains("daypass: "), "{denied}");
    // A connection that the user shares is theirs to end.
    let shared = "-o ControlMaster=auto -o ControlPersist=60s -o ControlPath=$HOME/%C";
    alice(&format!(
        "ssh {shared} web-1 true && ssh -O exit {shared} web-1"
    ));
    alice("ssh -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=$HOME/%C web-1 true");
    alice("ssh -O exit -o ControlPath=$HOME/%C web-1 2>&1");
    alice("daypass ssh-config install --sign-in");
    alice("daypass ssh-config remove && ! grep -q daypass .ssh/config");
    alice("daypass ssh-config install");
    let key = "ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519";
    alice(&format!("{key} && daypass login --key ~/.ssh/id_ed25519"));
    assert_eq!(alice("ssh web-1 id -un"), "deploy");
    alice("daypass login");
}

pub(super) fn bastion(walk: &Walk) {
    let dave = |line: &str| walk.user("dave", line);
    assert_eq!(dave("daypass ssh db-1 hostname"), "db-1");
    dave("daypass ssh-config install");
    assert_eq!(dave("ssh db-1 hostname"), "db-1");
    assert_eq!(
        dave("ssh -J jump@bastion.example.com db-1 hostname"),
        "db-1"
    );
    let own = "export DAYPASS_SSH_CONFIG=$HOME/own\ncp .ssh/config own && ssh -F own db-1 hostname";
    assert_eq!(dave(own), "db-1");
    let printed = dave("daypass pass --role db --host db-1 --out job 2>&1");
    let by_hand = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("by hand"));
    let by_hand = by_hand.unwrap_or_else(|| panic!("no ssh command: {printed}"));
    let command = by_hand.replace("@HOST", "@db-1");
    assert_eq!(dave(&format!("{command} hostname")), "db-1");
}

pub(super) fn requests(walk: &Walk) {
    let ask = "daypass request prod --host web-1 --reason INC-4711";
    let id = |said: &str| number_after(said, "request ");
    for (who, verb) in [("carol", "deny"), ("bob", "cancel")] {
        let opened = id(&walk.refuses("bob", ask, 5));
        walk.user(who, &format!("daypass {verb} {opened}"));
    }
    // Bob waits in one window, and carol watches in another.
    let laptop = &walk.fleet.laptop;
    laptop.says("bob", "(daypass request prod --reason INC-4711 --wait 30m --host web-1 >waited 2>&1; echo ended >>waited) &");
    walk.typed
        .borrow_mut()
        .push("daypass request prod --reason INC-4711 --wait 30m".to_owned());
    let watch = "timeout 200 daypass requests watch | grep --line-buffered --max-count=1 INC-4711";
    let seen = walk.run(laptop, "carol", &format!("set -o pipefail\n{watch}"));
    let opened = number_after(&format!(" {}", seen.stdout), " ");
    assert!(walk.user("carol", "daypass requests").contains("INC-4711"));
    let shown = walk.user("carol", &format!("daypass show {opened}"));
    assert!(shown.contains("bob@example.com"), "{shown}");
    walk.user("carol", &format!("daypass approve {opened}"));
    let waited = "timeout 200 tail -n +1 -f waited | grep --max-count=1 ended; cat waited";
    let waited = laptop.says("bob", waited);
    assert!(waited.contains("pass "), "{waited}");
    assert_eq!(
        walk.user("bob", "daypass ssh web-1 --role prod -- id -un"),
        "deploy"
    );
}

pub(super) fn emergency(walk: &Walk) {
    let (bob, carol) = (
        |line: &str| walk.user("bob", line),
        |line: &str| walk.user("carol", line),
    );
    bob("daypass ssh web-1 --role prod --emergency --reason INC-4711");
    assert!(bob("daypass status").contains("review"));
    let serial = number_after(&carol("daypass requests"), "\n");
    carol(&format!("daypass review {serial}"));

    for name in ["bob", "dave"] {
        walk.fleet.add_emergency_key(name);
    }
    let [.., script] = &*chapter_blocks("emergency", "In a script") else {
        panic!("the chapter has a script");
    };
    walk.fleet.laptop.write("bob", "emergency.sh", script);
    bob("mv .ssh/emergency .ssh/id_ed25519_sk");
    let stays_off = "ip link set front down";
    walk.says(&walk.fleet.provider, "root", stays_off);
    bob("daypass ssh web-1 --role prod --reason INC-4711 --emergency-key ~/.ssh/id_ed25519_sk");
    let key = "export DAYPASS_EMERGENCY_KEY=~/.ssh/id_ed25519_sk";
    assert_eq!(
        bob(&format!(
            "{key}\nsh emergency.sh web-1 prod INC-4711 id -un"
        )),
        "deploy"
    );
    // Two people, on machines of their own.
    let prepare = "daypass emergency prepare prod-root --reason INC-4711 --host web-1 --file sheet";
    bob(&format!("{key}\n{prepare}"));
    let laptop = &walk.fleet.laptop;
    let carry = |from: &str, to: &str| {
        let line = format!("install -o {to} -m 600 /home/{from}/sheet /home/{to}/sheet");
        laptop.says("root", &line);
    };
    carry("bob", "dave");
    let sign = "export DAYPASS_EMERGENCY_KEY=~/.ssh/emergency\ndaypass emergency sign sheet";
    walk.user("dave", sign);
    carry("dave", "bob");
    let redeemed = bob("daypass emergency redeem sheet 2>&1");
    assert!(redeemed.contains("pass "), "{redeemed}");
    walk.says(&walk.fleet.provider, "root", "ip link set front up");
    for address in ["192.0.2.3/24", "2001:db8:1::3/64"] {
        let line = format!("ip address replace {address} dev front");
        walk.says(&walk.fleet.provider, "root", &line);
    }
    carol("daypass ledger verify");
}

/// The ways to sign in. The last chapter, for it signs people out.
pub(super) fn providers(walk: &Walk) {
    let alice = |line: &str| walk.user("alice", line);
    alice("daypass login --issuer corp");
    assert!(alice("daypass whoami").contains("alice@example.com"));
    let off = walk.refuses("alice", "daypass login --device", 2);
    assert!(off.contains("device_flow"), "{off}");
    alice("unset BROWSER\ndaypass login --browser /usr/local/bin/browser");
    alice("daypass logout");
    let out = walk.refuses("alice", "daypass whoami", 4);
    assert!(out.contains("daypass login"), "{out}");
    let check = "runuser -u daypass -- daypass serve --config /etc/daypass/daypass.toml --check";
    let said = walk.operator(check);
    let (_, fingerprint) = said.split_once("--server-fingerprint ").unwrap();
    let fingerprint = fingerprint.split_whitespace().next().unwrap();
    alice(&format!(
        "rm -r .local/state/daypass\ndaypass login --server-fingerprint {fingerprint} --server {SERVER}"
    ));
    assert_eq!(alice("daypass ssh web-1 id -un"), "deploy");
}
