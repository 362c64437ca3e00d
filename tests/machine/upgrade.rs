//! The package's life after its first installation: upgrade, removal, purge.

use super::company::Company;

const POLICY: &str = "/etc/daypass/policy.toml";

#[test]
fn an_upgrade_goes_on_and_a_removal_keeps_what_cannot_be_made_again() {
    let company = Company::start();
    let root = |line: &str| company.says("root", line);
    let pass = |file: &str| {
        company.ada(&format!(
            "daypass pass --role deploy --host web-1 --out {file}"
        ))
    };
    let pid = || company.property("daypass.service", "MainPID");
    let enable = "systemctl enable --now --quiet daypass.socket daypass.service";
    company.install(1);
    company.init();
    root(enable);
    company.ada("daypass login --as alice");
    pass("one");
    let first = pid();

    // The new program serves, and clients go on.
    company.install(2);
    let second = pid();
    assert_ne!(first, second);
    pass("two");

    // A version that does not load these files does not end the one that did.
    root(&format!(
        "cp -a {POLICY} good.toml && echo '[[role' >>{POLICY}"
    ));
    let said = company.install(3);
    assert!(said.contains("the old one goes on"), "{said}");
    assert_eq!(pid(), second);
    pass("three");
    root(&format!("cat good.toml >{POLICY}"));

    // A removed server can be installed again: same keys, same ledger.
    root("dpkg --remove daypass");
    for unit in ["daypass.service", "daypass.socket"] {
        assert_eq!(company.property(unit, "ActiveState"), "inactive", "{unit}");
    }
    root("test -z \"$(find /etc/systemd -name 'daypass*')\"");
    root("test -e /etc/daypass/ca_key -a -e /var/lib/daypass -a ! -e /usr/bin/daypass");
    company.install(4);
    root(enable);
    pass("four");

    // A host goes on accepting passes, and its administrator is told.
    company.set_up_host();
    let said = root("dpkg --purge daypass 2>&1");
    assert!(said.contains("learns of no revocation"), "{said}");
    root("test -e /etc/ssh/daypass/ca.pub && sshd -t");

    // A purge keeps keys and ledger, and says the line that deletes them.
    assert!(said.contains("kept the keys"), "{said}");
    root("test -e /etc/daypass/ca_key -a -e /var/lib/daypass/ledger.db");
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("daypass:   "));
    assert_eq!(line, Some("rm -rf /etc/daypass /var/lib/daypass"), "{said}");
    root("rm -rf /etc/daypass /var/lib/daypass");
    company.install(5);
    let said = root("dpkg --purge daypass 2>&1");
    assert!(!said.contains("rm -rf"), "{said}");
}
