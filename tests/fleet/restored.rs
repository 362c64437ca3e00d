//! The server's ledger is lost and an older copy is put back, by the manual's chapters: laptop and
//! host refuse, the administrator accepts, and all of it works again.

use super::fleet::{Fleet, chapter, chapter_blocks};

#[test]
fn an_older_copy_is_put_back_and_the_administrators_key_makes_all_go_on() {
    let fleet = Fleet::start();
    let (laptop, server) = (&fleet.laptop, &fleet.server);
    // Carol's key for this day, registered as the manual says.
    let line = "mkdir -pm 700 .ssh && ssh-keygen -q -t ed25519 -N '' -C carol -f .ssh/recovery && cat .ssh/recovery.pub";
    let key = laptop.says("carol", line);
    let edit = format!("sed -i '/^\\[admin\\]/a keys = [\"{key}\"]' /etc/daypass/policy.toml");
    server.says("root", &edit);
    server.says("root", "daypass policy check /etc/daypass/policy.toml");
    server.says("root", "systemctl reload daypass");
    for name in ["alice", "bob", "carol"] {
        fleet.sign_in(name);
    }
    laptop.says(
        "alice",
        "daypass pass --role deploy --host web-1 --out early",
    );
    laptop.says("bob", "daypass roles");
    fleet.sync();

    let chapter_of_copies = chapter_blocks("server", "Back up, restore, move");
    let [back_up, restore] = chapter_of_copies.as_slice() else {
        panic!("{chapter_of_copies:?}");
    };
    server.write("root", "backup.sh", back_up);
    server.says("root", "bash -e backup.sh");

    // Later: a pass, a revocation and a lock that the copy lacks.
    laptop.says(
        "alice",
        "daypass pass --role deploy --host web-1 --out late",
    );
    let ssh = |pass: &str| {
        format!("ssh -o BatchMode=yes -o IdentitiesOnly=yes -i {pass} -l deploy web-1 id -un")
    };
    assert_eq!(laptop.says("alice", &ssh("late")), "deploy");
    laptop.says(
        "carol",
        "daypass admin revoke --identity alice@example.com --yes",
    );
    laptop.says(
        "carol",
        "daypass admin lock bob@example.com --reason 'laptop stolen' --yes",
    );
    fleet.sync();
    laptop.says("alice", "daypass roles");
    laptop.fails("alice", &ssh("early"), 255);

    server.write("root", "restore.sh", restore);
    let said = server.says("root", "bash -e restore.sh");
    assert!(said.contains("daypass admin accept-restore"), "{said}");

    // Laptop, host and server refuse, with the words for what to do; nothing of the lost ledger is
    // undone.
    let accept = "daypass admin accept-restore";
    for command in ["daypass roles", "daypass ssh web-1 -- id"] {
        let refused = laptop.fails("alice", command, 1);
        assert!(refused.contains(accept), "{refused}");
    }
    let refused = fleet.web.fails("root", "daypass host sync", 1);
    assert!(refused.contains(accept), "{refused}");
    let doctor = fleet.web.run("root", "daypass host doctor");
    assert!(
        doctor.code != 0 && doctor.stdout.contains("WRONG"),
        "{doctor:?}"
    );
    laptop.fails("alice", &ssh("early"), 255);

    // The chapter, as carol.
    let commands = chapter("server", "After a restore");
    let commands = commands.replace(
        "admin lock bob@example.com ",
        "admin lock bob@example.com --yes ",
    );
    let commands = commands.replace("died\"", "died\" --yes");
    laptop.write("carol", "accept.sh", &commands);
    laptop.says("carol", "bash -e accept.sh");

    let went_on = laptop.run("alice", "daypass ssh web-1 -- id -un");
    assert_eq!(went_on.stdout.trim(), "deploy", "{went_on:?}");
    assert!(went_on.stderr.contains("the disk died"), "{went_on:?}");
    // The hosts were set up before the key was registered, a short time ago: by name.
    let refused = fleet.web.fails("root", "daypass host sync", 1);
    assert!(refused.contains("a short time ago"), "{refused}");
    let line = "ssh-keygen -lf .ssh/recovery.pub | cut -d' ' -f2";
    let fingerprint = laptop.says("carol", line);
    let line = format!("daypass host sync --accept-key {fingerprint}");
    for (host, ..) in fleet.hosts() {
        host.says("root", &line);
    }
    fleet.sync();
    assert_eq!(
        laptop.says("alice", "daypass ssh web-1 -- id -un"),
        "deploy"
    );
    for pass in ["early", "late"] {
        laptop.fails("alice", &ssh(pass), 255);
    }
    let locked = laptop.fails(
        "bob",
        "daypass ssh web-1 --role web-logs --param unit=a -- id",
        3,
    );
    assert!(locked.contains("lock"), "{locked}");
    for (host, ..) in fleet.hosts() {
        host.says("root", "daypass host doctor");
    }
    laptop.says("carol", "daypass ledger verify");
}
