//! What scripts and jobs of a CI run, the codes that they get, and the files that are there.

use std::collections::BTreeSet;

use super::Walk;
use crate::fleet::{SERVER, page};

pub(super) fn scripts(walk: &Walk) {
    walk.user(
        "alice",
        "daypass ssh web-1 'printf \"echo released\" >release; chmod +x release'",
    );
    let pass = "daypass pass --role deploy --out ./job --ttl 10m --no-input || exit";
    let ssh = "ssh -i ./job -o CertificateFile=./job-cert.pub deploy@web-1 ./release";
    // Twice: the second run replaces the files of the first.
    for _ in 0..2 {
        let said = walk.user("alice", &format!("{pass}\n{ssh}"));
        assert!(said.ends_with("released"), "{said}");
    }
    // A job of the CI, whose user has a state folder of its own.
    let job = format!(
        "export DAYPASS_STATE_DIR=$HOME/state\nexport DAYPASS_SERVER={SERVER}\n\
         export DAYPASS_CA_FILE=$HOME/tls.pem\n"
    );
    let login = "daypass login --token-command 'ci-token {audience}'";
    walk.user("dave", &format!("{job}{login}"));
    assert_eq!(
        walk.user(
            "dave",
            &format!("{job}daypass ssh web-1 --role deploy id -un")
        ),
        "deploy"
    );
    let steps =
        "daypass login --print-audience --issuer ci >audience && ci-token $(cat audience) >token";
    walk.user("dave", &format!("{job}{steps}"));
    walk.user("dave", &format!("{job}daypass login --token-file token"));
    let whoami = walk.user("dave", &format!("{job}daypass whoami"));
    assert!(whoami.contains("ci.example.com"), "{whoami}");
}

/// Each code of the chapter's list comes from a command, and its error is the JSON that it shows.
pub(super) fn exit_codes(walk: &Walk) {
    let page = page("exit-codes");
    let listed: BTreeSet<i32> = page
        .lines()
        .filter_map(|line| line.strip_prefix("- `")?.split('`').next()?.parse().ok())
        .collect();
    let nowhere = "--server https://nowhere.example.com:7443";
    let cases = [
        ("daypass status", 0),
        ("daypass cancel 999999", 1),
        ("daypass ssh", 2),
        ("daypass pass --role db --host db-1", 3),
        (
            "DAYPASS_STATE_DIR=$HOME/empty daypass whoami --no-input --server https://daypass.example.com:7443 --ca-file tls.pem",
            4,
        ),
        (
            "timeout --preserve-status --signal=INT 3 daypass requests watch",
            130,
        ),
        (
            "timeout --preserve-status --signal=TERM 3 daypass requests watch",
            143,
        ),
        (
            "timeout --preserve-status --signal=HUP 3 daypass requests watch",
            129,
        ),
    ];
    let mut seen = BTreeSet::new();
    for (line, code) in cases {
        walk.refuses("alice", line, code);
        seen.insert(code);
    }
    walk.refuses("bob", "daypass request prod --host web-6 --reason INC-5", 5);
    let login = format!("daypass login {nowhere}");
    let away = walk.refuses("dave", &format!("DAYPASS_STATE_DIR=$HOME/other {login}"), 6);
    assert!(away.contains("nowhere.example.com"), "{away}");
    seen.extend([5, 6]);
    // A contradiction needs a doctored server: tests/commands/witness.rs.
    seen.insert(7);
    assert_eq!(seen, listed);
    assert_eq!(
        walk.refuses("alice", "daypass ssh web-1 exit 7", 7),
        "",
        "ssh's own"
    );
    let error = walk.refuses(
        "dave",
        "daypass --format json pass --role deploy --host web-1",
        3,
    );
    let error: serde_json::Value = serde_json::from_str(error.trim()).unwrap();
    assert_eq!(error["error"]["code"], 3);
    assert_eq!(error["error"]["reason"], "NOT_ALLOWED");
    assert!(error["error"]["message"].is_string());
}

/// Each file of the chapter's lists is there, after all that the other chapters did.
pub(super) fn files(walk: &Walk) {
    let page = page("files");
    // Made by what no walk does: an agent, several servers, 10,000 events, reports of logins.
    let not_here = [
        "agent.json",
        "servers/HOST_PORT/",
        "refresh.json",
        "tls-ca.pem",
        "snapshot",
        "logins.json",
    ];
    let laptop = &walk.fleet.laptop;
    let (mut found, mut missing) = (0, Vec::new());
    for (section, folder, machine, users) in [
        (
            "Of a user",
            ".local/state/daypass/",
            laptop,
            &["alice", "bob", "carol"][..],
        ),
        ("Of a host", "", &walk.fleet.web, &["root"]),
    ] {
        let (_, text) = page.split_once(&format!("## {section}\n")).unwrap();
        let text = text.split("\n## ").next().unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("- `")) {
            let name = line.split('`').next().unwrap();
            if not_here.iter().any(|it| name.ends_with(it)) {
                continue;
            }
            let path = format!("{folder}{}", name.replace("HOST", "web-1"));
            let look = format!("test -e {path}");
            match users.iter().any(|user| machine.run(user, &look).code == 0) {
                true => found += 1,
                false => missing.push(path),
            }
        }
    }
    assert!(
        missing.is_empty() && found > 10,
        "{found}, missing: {missing:?}"
    );
    let modes = "find .local/state/daypass -type d ! -perm 700 -o -type f ! -perm 600";
    assert_eq!(walk.user("bob", modes), "");
    walk.operator(
        "cd /etc/daypass && ls daypass.toml policy.toml ca_key ledger_key tls.pem tls.key",
    );
    walk.operator("cd /var/lib/daypass && ls ledger.db checkpoint webhooks.json lock");
}
