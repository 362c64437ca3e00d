//! Access that other people decide about: approvals, emergencies, reviews, locks, revocations, and
//! the auditor who reads of them.

use super::fleet::Fleet;

#[test]
fn bob_asks_and_carol_approves_and_reads_of_it() {
    let fleet = Fleet::start_small();
    fleet.sign_in("bob");
    fleet.sign_in("carol");
    let laptop = &fleet.laptop;

    let asked = laptop.fails(
        "bob",
        "daypass request prod --host web-1 --reason INC-4711",
        5,
    );
    let listed = laptop.says("carol", "daypass requests");
    assert!(listed.contains("INC-4711"), "{listed}");
    let id = number_after(&asked, "request ");
    laptop.says("carol", &format!("daypass show {id}"));
    laptop.says("carol", &format!("daypass approve {id}"));
    let line = format!("daypass ssh web-1 --request {id} -- id -un");
    assert_eq!(laptop.says("bob", &line), "deploy");

    let own = laptop.fails(
        "carol",
        "daypass pass --role prod --host web-1 --reason INC-1",
        3,
    );
    assert!(own.contains("denied"), "{own}");
    let list = laptop.says("carol", "daypass ledger list");
    for event in ["requested", "approved", "issued"] {
        assert!(list.contains(event), "{list}");
    }
    laptop.says("carol", "daypass ledger verify");
    laptop.fails("bob", "daypass ledger list", 3);
}

#[test]
fn an_emergency_does_not_wait_and_is_reviewed_by_another_person() {
    let fleet = Fleet::start_small();
    fleet.sign_in("bob");
    fleet.sign_in("carol");
    let laptop = &fleet.laptop;
    let line = "daypass ssh web-1 --role prod --emergency --reason INC-4711 -- id -un";
    assert_eq!(laptop.says("bob", line), "deploy");
    let serial = number_after(&laptop.says("carol", "daypass requests"), "\n");
    laptop.fails("bob", &format!("daypass review {serial}"), 3);
    laptop.says("carol", &format!("daypass review {serial}"));

    fleet.add_emergency_key("bob");
    fleet.stop_provider();
    let line = "daypass ssh web-1 --role prod --reason INC-4712 --emergency-key ~/.ssh/emergency -- id -un";
    assert_eq!(laptop.says("bob", line), "deploy");
    let failed = laptop.run(
        "alice",
        "daypass login --server https://daypass.example.com:7443 --ca-file tls.pem",
    );
    assert_eq!(failed.code, 6, "{failed:?}");
    assert!(failed.stderr.contains("id.example.com"), "{failed:?}");
}

#[test]
fn what_carol_revokes_and_locks_opens_no_host() {
    let fleet = Fleet::start();
    for name in ["alice", "bob", "carol"] {
        fleet.sign_in(name);
    }
    let laptop = &fleet.laptop;
    // A pass in a file, as scripts have it: nothing replaces it.
    laptop.says("alice", "daypass pass --role deploy --host web-1 --out job");
    let job = "ssh -o BatchMode=yes -o IdentitiesOnly=yes -i job -l deploy web-1 id -un";
    assert_eq!(laptop.says("alice", job), "deploy");
    laptop.says(
        "carol",
        "daypass admin revoke --identity alice@example.com --reason 'laptop stolen' --yes",
    );
    fleet.sync();
    laptop.fails("alice", job, 255);
    let log = fleet.web.says("root", "cat /var/log/sshd.log");
    assert!(log.contains("revoked"), "{log}");

    laptop.says(
        "carol",
        "daypass admin lock alice@example.com --reason 'laptop stolen' --yes",
    );
    let denied = laptop.fails("alice", "daypass ssh web-1 --role deploy -- id", 3);
    assert!(denied.contains("lock"), "{denied}");
    laptop.says("carol", "daypass admin unlock alice@example.com");
    assert_eq!(
        laptop.says("alice", "daypass ssh web-1 -- id -un"),
        "deploy"
    );
    for (host, ..) in fleet.hosts() {
        host.says("root", "daypass host doctor");
    }
}

/// The number that follows a word.
pub(super) fn number_after(text: &str, word: &str) -> u64 {
    let found = text.match_indices(word).find_map(|(at, _)| {
        let digits: String = text[at + word.len()..]
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().ok()
    });
    found.unwrap_or_else(|| panic!("no number after {word:?}: {text}"))
}
