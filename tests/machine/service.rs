//! Server and host as services: from the package to a login, and what an operator does then.

use std::process::Stdio;

use super::company::{Company, adas};

/// A pass of alice's in a file, which nothing replaces.
const PASS: &str = "daypass pass --role deploy --host web-1 --out";

#[test]
fn from_the_package_to_a_login() {
    let company = Company::start();
    let root = |line: &str| company.says("root", line);
    company.install(1);
    // Nothing runs before it is configured.
    for unit in ["daypass.service", "daypass.socket", "daypass-sync.timer"] {
        assert_eq!(company.property(unit, "ActiveState"), "inactive", "{unit}");
        assert_eq!(
            company.property(unit, "UnitFileState"),
            "disabled",
            "{unit}"
        );
    }
    assert_eq!(
        root("getent passwd daypass | cut -d: -f6,7"),
        "/var/lib/daypass:/usr/sbin/nologin"
    );
    root("source /usr/share/bash-completion/completions/daypass && complete -p daypass");

    company.init();
    root("systemctl enable --now --quiet daypass.socket");
    assert_eq!(
        company.property("daypass.service", "ActiveState"),
        "inactive"
    );
    // The first connection starts the service.
    company.ada("daypass login --as alice");
    assert_eq!(company.property("daypass.service", "ActiveState"), "active");
    let folder = root("stat --format='%U %a' /var/lib/daypass");
    assert_eq!(folder, "daypass 700");

    company.set_up_host();
    root("daypass host sync");
    let said = root("daypass host doctor");
    assert!(said.ends_with("Nothing is wrong."), "{said}");
    assert_eq!(company.ada("daypass ssh web-1 -- id -un"), "deploy");

    a_reload_takes_good_files_only(&company);
    a_host_whose_sshd_waits_for_its_first_connection_is_well(&company);
    revocations_come_by_the_timer(&company);
    for unit in ["daypass.service", "daypass-sync.service"] {
        root(&format!(
            "systemd-analyze security --no-pager --threshold=15 {unit}"
        ));
    }
    assert_eq!(root("systemctl --failed --quiet --plain"), "");
}

fn revocations_come_by_the_timer(company: &Company) {
    company.ada(&format!("{PASS} job"));
    let job = "ssh -o BatchMode=yes -o IdentitiesOnly=yes -i job -l deploy web-1 id -un";
    assert_eq!(company.ada(job), "deploy");
    company.sync_every_second();
    company.wait_for_sync(" 0 revoked");
    company.ada(
        "export DAYPASS_STATE_DIR=/home/ada/carol && daypass login --as carol && \
         daypass admin revoke --identity alice@example.com --reason 'laptop stolen' --yes",
    );
    company.wait_for_sync(" [1-9][0-9]* revoked");
    company.ada_fails(job, 255);
    company.says("root", "systemctl stop daypass-sync.timer");
}

fn a_reload_takes_good_files_only(company: &Company) {
    let pid = company.property("daypass.service", "MainPID");
    let policy = "/etc/daypass/policy.toml";
    company.says(
        "root",
        &format!("cp -a {policy} good.toml && echo '[[role' >>{policy}"),
    );
    company.fails("root", "systemctl reload daypass", 1);
    let journal = company.journal("daypass");
    assert!(journal.contains(&format!("{policy}:")), "{journal}");
    // The journal has each line's priority, and no line has it in its text.
    let errors = "journalctl --output=cat --unit=daypass --priority=err";
    let errors = company.says("root", errors);
    assert!(errors.contains(&format!("{policy}:")), "{errors}");
    assert!(
        !errors.contains("ready") && !journal.contains("<6>"),
        "{journal}"
    );
    assert_eq!(company.property("daypass.service", "ActiveState"), "active");
    company.ada(&format!("{PASS} during"));

    let about = "s/A shell on the web hosts/A shell, told anew/";
    company.says(
        "root",
        &format!("sed '{about}' good.toml >{policy} && systemctl reload daypass"),
    );
    // Before a reload, `--check` runs in the unit's sandbox, and sees what the server serves with.
    let record = company.says("root", "cat /var/lib/daypass/certificate");
    assert!(record.starts_with("SHA256:"), "{record}");
    let roles = company.ada("daypass roles");
    assert!(roles.contains("A shell, told anew"), "{roles}");
    assert_eq!(company.property("daypass.service", "MainPID"), pid);
}

/// Without `/run/sshd`, which Debian's sshd has only while it runs, `sshd -T` says nothing.
fn a_host_whose_sshd_waits_for_its_first_connection_is_well(company: &Company) {
    let waits = "systemctl stop ssh && systemctl start ssh.socket && test ! -e /run/sshd";
    company.says("root", waits);
    let said = company.says("root", "daypass host doctor");
    assert!(said.contains("/run/sshd was missing"), "{said}");
    assert!(said.ends_with("Nothing is wrong."), "{said}");
    assert_eq!(company.ada("daypass ssh web-1 -- id -un"), "deploy");
}

/// Connections wait in the socket while the service restarts, and requests in flight are answered.
/// A client whose connection ends between two requests dials again, so no command fails.
#[test]
fn a_restart_under_load_loses_nothing_and_a_stop_is_clean() {
    let company = Company::start();
    let root = |line: &str| company.says("root", line);
    company.install(1);
    company.init();
    // One person is as busy here as many.
    root(
        "printf '\n[limits]\nrequests_per_identity = { per_second = 1000, burst = 1000 }\n' >>/etc/daypass/daypass.toml",
    );
    root("systemctl enable --now --quiet daypass.socket daypass.service");
    company.ada("daypass login --as alice");
    let loops = format!(
        "mkfifo turns; for loop in 1 2 3 4; do\n\
         (for turn in 1 2 3 4 5 6; do\n\
         {PASS} pass-$loop-$turn >/dev/null || exit 1; echo $loop >turns; done) &\n\
         all=\"$all $!\"\ndone\nfor one in $all; do wait $one || exit 1; done"
    );
    let mut load = company.command("ada", &adas(&loops));
    let load = load.stdout(Stdio::null()).stderr(Stdio::piped());
    let load = load.spawn().unwrap();
    // After the third pass. The last reader takes the rest.
    company.ada("until [ -p turns ]; do read -rt 0.01 _ <> <(:); done; exec 4<>turns; for turn in 1 2 3; do read -r _ <&4; done; sleep 50 <&4 >/dev/null 2>&1 &");
    root("systemctl restart daypass");
    let output = load.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert_eq!(company.ada("ls pass-*-cert.pub | wc -l"), "24");

    root("systemctl stop daypass.socket daypass.service");
    assert_eq!(company.property("daypass.service", "Result"), "success");
    assert_eq!(company.property("daypass.service", "ExecMainStatus"), "0");
    company.ada_fails("daypass roles", 6);
    // The whole ledger is checked at the start.
    root("systemctl start daypass.socket daypass.service");
    company.ada(&format!("{PASS} last"));
    company.ada("export DAYPASS_STATE_DIR=/home/ada/carol && daypass login --as carol && daypass ledger verify");
}
