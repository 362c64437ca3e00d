//! A host behind a bastion, which the laptop cannot reach nor name.

use super::fleet::Fleet;

#[test]
fn dave_reaches_the_database_host_through_the_bastion_and_only_so() {
    let fleet = Fleet::start();
    fleet.sign_in("dave");
    let laptop = &fleet.laptop;
    assert_eq!(
        laptop.says("dave", "daypass ssh db-1 -- 'id -un; hostname'"),
        "deploy\ndb-1"
    );
    laptop.says("dave", "daypass ssh-config install");
    let from = laptop.says("dave", "ssh -o BatchMode=yes db-1 'echo $SSH_CONNECTION'");
    assert!(
        from.starts_with("198.51.100.10 ") || from.starts_with("2001:db8:2::10 "),
        "{from}"
    );
    laptop.says(
        "dave",
        "echo one >file && scp -q file db-1:copy && rsync -a db-1:copy back && cmp file back",
    );
    laptop.says(
        "dave",
        "echo 'get copy again' | sftp -q -b - db-1 && cmp file again",
    );
    // The jump pass is no way into the bastion itself.
    let refused = laptop.run(
        "dave",
        "ssh -o BatchMode=yes -l jump bastion.example.com id",
    );
    assert!(
        refused.code != 0 && !refused.stdout.contains("uid="),
        "{refused:?}"
    );
}
