//! Loading: faults with file, line and remedy.

use super::*;

#[test]
fn the_example_loads_and_is_hashed_over_its_bytes() {
    let policy = example();
    assert_eq!(policy.roles().len(), 4);
    assert_eq!(policy.hash().len(), 64);
    assert_ne!(
        policy.hash(),
        parse(&format!("{EXAMPLE}\n")).unwrap().hash()
    );
    assert_eq!(policy.host_patterns(), ["db-?", "web-*", "www.example.com"]);
}

#[test]
fn a_role_tells_what_a_caller_may_know() {
    let policy = example();
    let [shell, logs, repair, _] = policy.roles() else {
        panic!("four roles");
    };
    assert_eq!((shell.pty, logs.pty), (true, false));
    assert_eq!(
        shell.ttl,
        Duration::from_secs(2 * 3600),
        "cut by the limits"
    );
    assert_eq!(logs.hosts, ["web", "db"]);
    assert_eq!(
        logs.command,
        ["/usr/bin/journalctl", "--follow", "--unit", "{unit}"]
    );
    let none: &[String] = &[];
    assert_eq!(
        logs.params(),
        [("unit", Some("[a-z][a-z0-9@._-]{0,63}"), none)]
    );
    assert_eq!(repair.reason_pattern(), Some("(INC|CHG)-[0-9]+"));
    assert_eq!(shell.logins(alice().as_object().unwrap()), ["alice"]);
    assert!(shell.logins(&Map::new()).is_empty());
}

#[test]
fn a_file_beyond_its_bound_does_not_load() {
    assert!(parse(&"#".repeat(1024 * 1024 + 1)).is_err());
    assert!(parse(&format!("x = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn an_empty_policy_loads_and_grants_nothing() {
    let policy = parse("").unwrap();
    let claims = alice();
    let denial = policy
        .judge(person(&claims), &ask("shell"), context())
        .unwrap_err();
    assert_eq!(denial.reason, Reason::UnknownRole);
}
