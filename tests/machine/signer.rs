//! The manual's chapter on the signer, as it stands, under a real systemd: server and signer are
//! accounts of their own, and the server's cannot read the key.

use super::company::Company;

#[test]
fn the_chapter_on_the_signer_takes_the_key_out_of_the_servers_reach() {
    let company = Company::start();
    let root = |line: &str| company.says("root", line);
    company.install(1);
    company.init();
    root("systemctl enable --now --quiet daypass.socket");
    company.ada("daypass login --as alice");
    company.set_up_host();
    root("daypass host sync");
    assert_eq!(company.ada("daypass ssh web-1 -- id -un"), "deploy");

    let check =
        "runuser -u daypass -- daypass serve --check --offline --config /etc/daypass/daypass.toml";
    let ledger = root(&format!("{check} | sed -n 's/.*verifier key is //p'"));
    let (shell, toml) = (blocks("Set up", "sh"), blocks("Set up", "toml"));
    company.write("root", "one.sh", &shell[0]);
    root("bash -e one.sh");
    let example = toml[0]
        .lines()
        .find(|line| line.starts_with("ledger"))
        .unwrap();
    let text = toml[0].replace(example, &format!("ledger = \"{ledger}\""));
    company.write("root", "/etc/daypass-signer/signer.toml", &text);
    company.write("root", "two.sh", &shell[1]);
    let said = root("bash -e two.sh");
    assert!(said.ends_with("Nothing is wrong."), "{said}");

    company.write("root", "section", &toml[1]);
    root(
        "sed -i -e '/^\\[\\[ca.key\\]\\]/,/^state/d' /etc/daypass/daypass.toml && \
         cat section >>/etc/daypass/daypass.toml",
    );
    root("systemctl restart daypass && rm /etc/daypass/ca_key");
    company
        .ada("daypass logout && daypass login --as alice && rm -rf ~/.local/state/daypass/hosts");
    assert_eq!(company.ada("daypass ssh web-1 -- id -un"), "deploy");
    root("daypass host sync");
    let said = root(check);
    assert!(said.ends_with("Nothing is wrong."), "{said}");

    // The server's account reads neither key nor memory.
    company.fails(
        "root",
        "runuser -u daypass -- cat /etc/daypass-signer/ca_key",
        1,
    );
    company.fails(
        "root",
        "runuser -u daypass -- ls /var/lib/daypass-signer",
        2,
    );

    root("systemctl stop daypass-signer");
    company.ada("rm -rf ~/.local/state/daypass/hosts");
    company.ada_fails("daypass ssh web-1 -- id -un", 6);
    root("systemctl start daypass-signer");
    let again =
        "for i in $(seq 50); do daypass ssh web-1 -- id -un 2>/dev/null && exit; sleep 0.2; done";
    assert_eq!(company.ada(again), "deploy");
    root("systemd-analyze security --no-pager --threshold=15 daypass-signer.service");
    assert_eq!(root("systemctl --failed --quiet --plain"), "");
}

#[test]
fn the_host_cas_key_moves_to_a_signer_of_its_own_which_an_upgrade_restarts() {
    let company = Company::start();
    let root = |line: &str| company.says("root", line);
    company.install(1);
    company.init_with("--hosts");
    root("systemctl enable --now --quiet daypass.socket");
    let check =
        "runuser -u daypass -- daypass serve --check --offline --config /etc/daypass/daypass.toml";
    let ledger = root(&format!("{check} | sed -n 's/.*verifier key is //p'"));
    let section = "The host CA's key";
    let (shell, toml) = (blocks(section, "sh"), blocks(section, "toml"));
    company.write("root", "one.sh", &shell[0]);
    root("bash -e one.sh");
    let example = toml[0].lines().find(|line| line.starts_with("ledger"));
    let text = toml[0].replace(example.unwrap(), &format!("ledger = \"{ledger}\""));
    company.write("root", "/etc/daypass-host-signer/signer.toml", &text);
    company.write("root", "two.sh", &shell[1]);
    let said = root("bash -e two.sh");
    assert!(said.ends_with("Nothing is wrong."), "{said}");

    company.write("root", "section", &toml[1]);
    root(
        "sed -i -e '/^\\[\\[hosts.key\\]\\]/,/^state/d' /etc/daypass/daypass.toml && \
         cat section >>/etc/daypass/daypass.toml",
    );
    root("systemctl restart daypass && rm /etc/daypass/host_ca_key");
    company.set_up_host();
    let code = company.add_host();
    root(&format!("daypass host setup --join {code}"));
    let made = root("ssh-keygen -L -f /etc/ssh/daypass/host-ed25519-cert.pub");
    assert!(made.contains("web-1"), "{made}");
    company.fails(
        "root",
        "runuser -u daypass -- cat /etc/daypass-host-signer/host_ca_key",
        1,
    );

    let unit = "daypass-signer@host.service";
    let pid = company.property(unit, "MainPID");
    let said = company.install(2);
    assert!(!said.contains("would not sign"), "{said}");
    assert_eq!(company.property(unit, "ActiveState"), "active");
    assert_ne!(company.property(unit, "MainPID"), pid, "{said}");
    root(&format!(
        "systemd-analyze security --no-pager --threshold=15 {unit}"
    ));
    assert_eq!(root("systemctl --failed --quiet --plain"), "");
    root("systemctl enable --quiet daypass-sync.timer && dpkg --remove daypass 2>&1");
    assert_eq!(company.property(unit, "ActiveState"), "inactive");
    root("test -z \"$(ls /etc/systemd/system/multi-user.target.wants | grep daypass)\"");
}

/// The blocks of this language in a section of the chapter.
fn blocks(section: &str, language: &str) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/manual/signer.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, text) = text.split_once(&format!("\n## {section}\n")).unwrap();
    let section = text.split("\n## ").next().unwrap();
    let opening = format!("\n```{language}\n");
    let blocks = section.split(&opening).skip(1);
    let text = |block: &str| format!("{}\n", block.split("\n```").next().unwrap());
    blocks.map(text).collect()
}
