//! From an empty home to what a person came for, in at most four commands: a shell without IPv4, an
//! approval, an audit, an emergency.

use super::{
    fleet::{Fleet, SERVER},
    incident::number_after,
};

/// Runs the commands of a person whose home is empty; returns what the last one printed.
fn from_an_empty_home(fleet: &Fleet, name: &str, commands: &[&str]) -> String {
    assert!(commands.len() <= 4, "{commands:?}");
    let state = "test ! -e .local/state/daypass -a ! -e .ssh";
    fleet.laptop.says(name, state);
    let (last, before) = commands.split_last().unwrap();
    for command in before {
        fleet.laptop.says(name, command);
    }
    fleet.laptop.says(name, last)
}

fn login() -> String {
    format!("daypass login --server {SERVER} --ca-file tls.pem")
}

#[test]
fn an_approver_approves() {
    let fleet = Fleet::start_small();
    fleet.sign_in("bob");
    let ask = "daypass request prod --host web-1 --reason INC-4711";
    let id = number_after(&fleet.laptop.fails("bob", ask, 5), "request ");
    let approve = format!("daypass approve {id}");
    from_an_empty_home(&fleet, "carol", &[&login(), "daypass requests", &approve]);
    let said = fleet.laptop.says(
        "bob",
        &format!("daypass ssh web-1 --request {id} -- id -un"),
    );
    assert_eq!(said, "deploy");
}

#[test]
fn an_auditor_reads_and_verifies() {
    let fleet = Fleet::start_small();
    fleet.sign_in("alice");
    fleet.laptop.says("alice", "daypass ssh web-1 -- true");
    let commands = [
        &*login(),
        "daypass ledger verify >&2",
        "daypass ledger list",
    ];
    let said = from_an_empty_home(&fleet, "carol", &commands);
    assert!(said.contains("alice@example.com"), "{said}");
}

#[test]
fn an_emergency_needs_no_provider() {
    let fleet = Fleet::start_small();
    // As a company hands them out: the key is on a stick.
    fleet.add_emergency_key("bob");
    fleet
        .laptop
        .says("bob", "mv .ssh/emergency stick && rm -r .ssh");
    fleet.stop_provider();
    let ssh = format!(
        "DAYPASS_SERVER={SERVER} DAYPASS_CA_FILE=$HOME/tls.pem daypass ssh web-1 --role prod --reason INC-4711 --emergency-key ~/stick -- id -un"
    );
    assert_eq!(from_an_empty_home(&fleet, "bob", &[&ssh]), "deploy");
}

#[test]
fn a_laptop_without_ipv4_gets_a_shell() {
    let fleet = Fleet::start_small();
    fleet.laptop.says("root", "ip -4 address flush dev front");
    let commands = [
        &*login(),
        "daypass ssh web-1 -- 'id -un; echo $SSH_CONNECTION'",
    ];
    let said = from_an_empty_home(&fleet, "alice", &commands);
    assert!(said.starts_with("deploy\n2001:db8:1::2 "), "{said}");
    // A pass for the caller's address is for the one that is left.
    fleet.sign_in("bob");
    let logs = "daypass ssh web-1 --role web-logs --param unit=nginx.service -- id";
    assert_eq!(fleet.laptop.says("bob", logs), "logs of nginx.service");
}
