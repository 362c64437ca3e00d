//! The server moves to another machine by the manual's chapter: nothing is lost, so laptops and
//! hosts go on without an administrator's statement.

use super::{
    fleet::{Fleet, SERVER, chapter_blocks},
    incident::number_after,
};

#[test]
fn after_a_move_laptops_and_hosts_go_on_by_themselves() {
    let fleet = Fleet::start();
    let laptop = &fleet.laptop;
    for name in ["alice", "bob", "carol"] {
        fleet.sign_in(name);
    }
    // What must hold on the new machine: a pass, a lock, a revocation, an open request.
    laptop.says(
        "alice",
        "daypass pass --role deploy --host web-1 --out kept",
    );
    let revoked = laptop.says(
        "alice",
        "daypass pass --role deploy --host web-1 --out gone 2>&1",
    );
    let serial = number_after(&revoked, "pass ");
    laptop.says("carol", &format!("daypass admin revoke {serial} --yes"));
    let ask = "daypass request prod --host web-1 --reason INC-4711";
    let open = number_after(&laptop.fails("bob", ask, 5), "request ");
    laptop.says(
        "carol",
        "daypass admin lock dave@example.com --reason left --yes",
    );
    fleet.sync();

    let blocks = chapter_blocks("server", "Move to another machine");
    let [leave, arrive] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    let old = &fleet.server;
    old.says("root", &format!("set -e\n{leave}"));
    let new = fleet.second_server();
    new.write("root", "move.b64", &old.says("root", "base64 move.tar.gz"));
    new.says("root", "base64 -d move.b64 >move.tar.gz");
    let said = new.says("root", &format!("set -e\n{arrive}"));
    assert!(said.contains("Nothing is wrong."), "{said}");
    fleet.lead_to_second_server();

    // No one signs in again, and no one accepts anything.
    assert_eq!(
        laptop.says("alice", "daypass ssh web-1 -- id -un"),
        "deploy"
    );
    fleet.sync();
    let ssh = |pass: &str| {
        format!(
            "ssh -F none -o BatchMode=yes -o IdentitiesOnly=yes -i {pass} -l deploy web-1 id -un"
        )
    };
    assert_eq!(laptop.says("alice", &ssh("kept")), "deploy");
    laptop.fails("alice", &ssh("gone"), 255);
    laptop.says("carol", &format!("daypass approve {open}"));
    assert_eq!(
        laptop.says("bob", "daypass ssh web-1 --role prod -- id -un"),
        "deploy"
    );
    assert!(
        laptop
            .says("carol", "daypass admin locks")
            .contains("dave@example.com")
    );
    laptop.says("carol", "daypass ledger verify");
    for (host, ..) in fleet.hosts() {
        let doctor = host.says("root", "daypass host doctor");
        assert!(doctor.ends_with("Nothing is wrong."), "{doctor}");
    }
    // A client that has never met the old machine, by the same certificate.
    let login =
        format!("rm -rf .local/state/daypass\ndaypass login --server {SERVER} --ca-file tls.pem");
    laptop.says("alice", &login);
}
