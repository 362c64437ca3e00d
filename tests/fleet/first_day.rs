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
}
