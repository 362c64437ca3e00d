//! Known hosts: a newcomer whose files know no host, at a terminal, where ssh would ask.

use super::fleet::Fleet;

/// A line at a terminal.
fn at_terminal(line: &str) -> String {
    format!("script --quiet --return --command \"{line}\" /dev/null </dev/null")
}

#[test]
fn a_newcomers_ssh_asks_nothing_also_behind_a_bastion_and_a_replaced_host_key_is_refused() {
    let fleet = Fleet::start();
    let laptop = &fleet.laptop;
    fleet.know_hosts();
    fleet.sign_in("carol");
    fleet.join_hosts();
    fleet.sync();

    fleet.sign_in("alice");
    laptop.says("alice", "daypass ssh-config install");
    let said = laptop.says("alice", &at_terminal("ssh web-1 hostname"));
    assert_eq!(said, "web-1");
    let said = laptop.says("alice", &at_terminal("daypass ssh web-6 -- hostname"));
    assert_eq!(said, "web-6");
    fleet.sign_in("dave");
    let said = laptop.says("dave", &at_terminal("daypass ssh db-1 -- hostname"));
    assert_eq!(said, "db-1", "before the lines for plain ssh");
    laptop.says("dave", "daypass ssh-config install");
    assert_eq!(
        laptop.says("dave", &at_terminal("ssh db-1 hostname")),
        "db-1"
    );
    for name in ["alice", "dave"] {
        laptop.says(name, "test ! -e .ssh/known_hosts");
    }

    // Installed anew. No file of the user's knows the old key.
    let again = "rm /etc/ssh/ssh_host_* && ssh-keygen -A && systemctl reload ssh";
    fleet.web.says("root", again);
    let refused = laptop.run("alice", &at_terminal("ssh web-1 hostname"));
    assert_eq!(refused.code, 255, "{refused:?}");
    let words = "you have requested strict checking";
    assert!(refused.stdout.contains(words), "{refused:?}");
    assert!(!refused.stdout.contains("(yes/no"), "{refused:?}");
    let refused = laptop.fails("alice", "daypass ssh web-1 -- hostname", 255);
    assert!(
        refused.contains("daypass admin hosts add web-1 --rekey"),
        "{refused}"
    );
    let found = fleet.web.run("root", "daypass host sync");
    assert_eq!(found.code, 1, "{found:?}");
    assert!(found.stdout.contains("--rekey"), "{found:?}");

    fleet.join(&fleet.web, "daypass admin hosts add web-1 --rekey");
    let said = laptop.says("alice", &at_terminal("ssh web-1 hostname"));
    assert_eq!(said, "web-1");
    let said = fleet
        .web
        .says("root", "daypass host sync && daypass host doctor");
    assert!(said.ends_with("Nothing is wrong."), "{said}");
    let said = laptop.says("carol", "daypass hosts --format json");
    assert_eq!(said.matches("\"joined\"").count(), 4, "{said}");
}
