//! Logins of a real sshd in the real journal, which the timer's sync reports from its sandbox.

use super::company::Company;

#[test]
fn a_thiefs_login_is_found_in_the_journal_by_the_timers_sync_and_a_good_one_is_not() {
    let company = Company::start();
    let root = |line: &str| company.says("root", line);
    company.install(1);
    company.init_with("--hosts");
    root("systemctl enable --now --quiet daypass.socket");
    company.ada("daypass login --as alice");
    company.set_up_host();
    let code = company.add_host();
    root(&format!(
        "daypass host setup --join {code} --logins && systemctl reload ssh"
    ));
    assert_eq!(company.ada("daypass ssh web-1 -- id -un"), "deploy");
    // The sync of the good login is over before there is a thief.
    company.sync_every_second();
    company.wait_for_sync("1 login by a certificate");
    assert_eq!(foreign(&company), Vec::<String>::new());

    root("ssh-keygen -q -t ed25519 -N '' -f thief");
    root("ssh-keygen -q -s /etc/daypass/ca_key -I mallory -n deploy@web -z 4711 -V +1h thief.pub");
    let login = "ssh -o BatchMode=yes -o IdentitiesOnly=yes -i thief -l deploy web-1 id -un";
    assert_eq!(root(login), "deploy");
    company.wait_for_sync("NOT AS THE LEDGER HAS IT");
    let found = foreign(&company);
    assert_eq!(found.len(), 1, "{found:?}");
    let expected = "deploy from 127.0.0.1 (serial 4711): not issued";
    assert!(found[0].contains(expected), "{found:?}");

    // Before there is another login, and after it.
    root("systemctl stop daypass-sync.timer");
    assert_eq!(company.ada("daypass ssh --fresh web-1 -- id -un"), "deploy");
    root("systemctl start daypass-sync.service");
    assert_eq!(foreign(&company), found);
    let said = root("daypass host doctor");
    assert!(said.ends_with("Nothing is wrong."), "{said}");
    root("systemd-analyze security --no-pager --threshold=15 daypass-sync.service");
    assert_eq!(root("systemctl --failed --quiet --plain"), "");
}

/// The findings in the ledger.
fn foreign(company: &Company) -> Vec<String> {
    let list = "daypass ledger list --event foreign_login --format text";
    let said = company.carol(list);
    let lines = said.lines().filter(|line| line.contains("foreign_login"));
    lines.map(str::to_owned).collect()
}
