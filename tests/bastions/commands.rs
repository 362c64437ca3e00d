//! What the commands make of two passes: files, printed lines, the ssh configuration.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};
use ssh_key::{Algorithm, PrivateKey, certificate::Builder, rand_core::OsRng};

use super::{
    start,
    support::{
        command::{DAYPASS, Done, Terminal},
        files,
    },
};

const POLICY: &str = r#"
[limits]
principals = ["deploy", "root", "jump"]

[hosts]
web = ["web-*"]

[audit]
allow = '"sre" in claims.groups'

[[bastion]]
name = "edge"
host = "bastion.example.com"
port = 2222
login = "jump"
addresses = ["192.0.2.10"]
hosts = ["db-*"]

[[role]]
name = "db"
allow = '"sre" in claims.groups'
principals = ["deploy"]
source = "bastion"
pty = true
ttl = "30m"

[[role]]
name = "direct"
allow = '"sre" in claims.groups'
principals = ["deploy"]
ttl = "30m"

[[role]]
name = "guarded"
allow = '"sre" in claims.groups'
principals = ["deploy"]
source = "bastion"
reason = ".+"
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "10m" }
emergency = { allow = '"sre" in claims.groups', ttl = "10m", review = '"security" in claims.groups' }
"#;

/// The private files in a folder, sorted.
fn private_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries
        .map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.path());
            entry.file_name().into_string().unwrap()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn ensure_fetches_both_and_neither_serves_without_the_other() {
    let (_env, alice) = start(POLICY).await;
    let folder = alice.of_host("db-1");
    let ensure = ["ensure", "--host", "db-1"];
    let serial = || fs::read(folder.join("pass-cert.pub")).unwrap();
    assert_eq!(alice.run(&ensure).await.code, 0);
    let all = [
        "jump",
        "jump-cert.pub",
        "jump.json",
        "jump.pub",
        "pass",
        "pass-cert.pub",
        "pass.pub",
        "ssh_config",
    ];
    let config = || fs::read_to_string(folder.join("ssh_config")).unwrap();
    assert_eq!(private_files(&folder), all);
    let (first, expired) = (serial(), expired());
    assert_eq!(alice.run(&ensure).await.code, 0);
    assert_eq!(serial(), first, "a good pass is not asked for again");

    for (case, file, text) in [
        ("no jump pass", "jump-cert.pub", None),
        ("a jump pass that is none", "jump-cert.pub", Some("x")),
        ("no bastion in its file", "jump.json", Some("{}")),
        (
            "an expired jump pass",
            "jump-cert.pub",
            Some(expired.as_str()),
        ),
    ] {
        let before = serial();
        match text {
            Some(text) => fs::write(folder.join(file), text).unwrap(),
            None => fs::remove_file(folder.join(file)).unwrap(),
        }
        assert_eq!(alice.run(&ensure).await.code, 0, "{case}");
        assert_ne!(serial(), before, "{case}");
        assert_eq!(private_files(&folder), all, "{case}");
        assert!(config().contains("\n    ProxyCommand "), "{case}");
    }
}

/// A certificate whose time was over long ago.
fn expired() -> String {
    let key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    let mut builder = Builder::new(vec![1; 32], key.public_key(), 1, 2).unwrap();
    builder.valid_principal("jump").unwrap();
    builder.sign(&key).unwrap().to_openssh().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pass_prints_the_jump_pass_and_a_command_line_that_goes_through() {
    let (env, alice) = start(POLICY).await;
    let path = env.folder().join("my pass");
    let out = path.to_str().unwrap();
    let words = ["pass", "--role", "db", "--host", "db-1", "--out", out];
    let pass = alice.json(&words).await;
    let jump = &pass["jump"];
    assert_eq!(
        json!([jump["bastion"], jump["host"], jump["port"], jump["login"]]),
        json!(["edge", "bastion.example.com", 2222, "jump"])
    );
    assert_eq!(jump["serial"], pass["serial"].as_u64().unwrap() + 1);
    assert_eq!(jump["path"], format!("{out}-jump"));
    for suffix in [
        "",
        ".pub",
        "-cert.pub",
        "-jump",
        "-jump.pub",
        "-jump-cert.pub",
        "-jump.json",
    ] {
        assert!(Path::new(&format!("{out}{suffix}")).exists(), "{suffix}");
    }
    assert_goes_through(&alice, jump["ssh"].as_str().unwrap(), out).await;

    let text = alice.run(&words).await.stdout;
    assert!(
        text.contains("through     bastion edge (jump@bastion.example.com:2222)"),
        "{text}"
    );
    assert!(text.contains("by hand     ssh -o "), "{text}");

    // The next one at that place needs no bastion, so nothing of it stays.
    alice
        .json(&["pass", "--role", "direct", "--out", out])
        .await;
    for suffix in ["-jump", "-jump.pub", "-jump-cert.pub", "-jump.json"] {
        assert!(!Path::new(&format!("{out}{suffix}")).exists(), "{suffix}");
    }
}

/// What ssh makes of the printed line, asked of ssh itself.
async fn assert_goes_through(alice: &Terminal, line: &str, out: &str) {
    let script = format!(
        "set -- {}; shift; exec ssh -F none -G \"$@\"",
        line.replace("HOST", "db-1")
    );
    let said = Done::of(alice.program("sh", &["-c", &script])).await.stdout;
    let proxy = said
        .lines()
        .find_map(|line| line.strip_prefix("proxycommand "));
    let proxy = proxy.expect(&said).replace("[%h]:%p", "[db-1]:22");
    let script = format!("set -- {proxy}; shift; exec ssh -F none -G \"$@\"");
    let inner = Done::of(alice.program("sh", &["-c", &script])).await.stdout;
    for (case, said, line) in [
        ("the login", &said, "user deploy".to_owned()),
        ("the host", &said, "hostname db-1".to_owned()),
        ("the key", &said, format!("identityfile {out}")),
        ("the bastion's login", &inner, "user jump".to_owned()),
        (
            "the bastion",
            &inner,
            "hostname bastion.example.com".to_owned(),
        ),
        ("the bastion's port", &inner, "port 2222".to_owned()),
        (
            "the bastion's key",
            &inner,
            format!("identityfile {out}-jump"),
        ),
        (
            "the bastion's pass",
            &inner,
            format!("certificatefile {out}-jump-cert.pub"),
        ),
    ] {
        assert!(
            said.lines().any(|one| one == line),
            "{case}: {line}\n{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_users_beside_the_place_is_not_overwritten() {
    let (env, alice) = start(POLICY).await;
    let path = env.folder().join("mine");
    fs::write(env.folder().join("mine-jump"), "a key").unwrap();
    let out = path.to_str().unwrap();
    let done = alice
        .run(&["pass", "--role", "db", "--host", "db-1", "--out", out])
        .await;
    assert_eq!(done.code, 2, "{done:?}");
    assert!(
        done.stderr
            .contains("mine-jump exists and was not made by Daypass"),
        "{done:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_ssh_takes_the_way_on_its_very_first_run() {
    let (env, alice) = start(POLICY).await;
    let block = alice.run(&["ssh-config", "print"]).await.stdout;
    assert!(block.contains("bastion.example.com,db-*,web-*"), "{block}");
    let config = env.folder().join("config");
    fs::write(&config, format!("{block}\nHost *\n    Port 22\n")).unwrap();
    let config = config.to_str().unwrap();
    assert!(!alice.of_host("db-1").exists());
    let settings = |host: &'static str| alice.program("ssh", &["-G", "-F", config, host]);

    let said = Done::of(settings("db-1")).await.stdout;
    let jump = alice.of_host("db-1").join("jump");
    let proxy = format!(
        "proxycommand '{DAYPASS}' jump --pass '{}' '%h' '%p'",
        jump.display()
    );
    assert!(said.lines().any(|line| line == proxy), "{proxy}\n{said}");
    assert!(alice.of_host("db-1").join("jump-cert.pub").exists());

    let said = Done::of(settings("web-1")).await.stdout;
    assert!(alice.of_host("web-1").join("pass-cert.pub").exists());
    assert!(!said.contains("proxycommand"), "{said}");

    // Within `daypass ssh` the command line has said all.
    let mut served = settings("db-1");
    served.env("DAYPASS_SSH_HOST", "db-1");
    let said = Done::of(served).await.stdout;
    assert!(!said.contains("proxycommand"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_script_takes_login_and_way_from_the_pass_and_not_from_the_jump_pass() {
    let (env, alice) = start(POLICY).await;
    let programs = env.folder().join("bin");
    fs::create_dir(&programs).unwrap();
    let ssh = programs.join("ssh");
    files::write_program(&ssh, "#!/bin/sh\nexec /usr/bin/ssh -F none -G \"$@\"\n");
    let ours = Path::new(DAYPASS).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{}:{path}", programs.display(), ours.display());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emergency.sh");
    let mut command = alice.program(script, &["db-1", "guarded", "INC-7", "true"]);
    command.env("PATH", path);
    let said = Done::of(command).await;
    assert_eq!(said.code, 0, "{said:?}");
    for line in [
        "user deploy",
        "host db-1",
        "proxycommand daypass jump --pass '",
    ] {
        assert!(
            said.stdout.lines().any(|one| one.starts_with(line)),
            "{line}: {said:?}"
        );
    }
    // The number is that of the review, which has the pass's serial.
    let requests = alice.json(&["requests", "--all"]).await;
    let serial = said
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("emergency.sh: pass "));
    let serial = serial.expect(&said.stderr);
    assert_eq!(requests["requests"][0]["id"].to_string(), serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_requests_and_replay_know_the_way() {
    let (env, alice) = start(POLICY).await;
    alice.run(&["ensure", "--host", "db-1"]).await;
    let status = alice.json(&["status"]).await;
    let passes = status["passes"].as_array().unwrap();
    assert_eq!(
        passes.len(),
        1,
        "a jump pass is no pass for a host: {status}"
    );
    assert_eq!(passes[0]["jump"]["bastion"], "edge");
    assert!(alice.run(&["status"]).await.stdout.contains("edge ("));

    let words = [
        "request", "guarded", "--host", "db-1", "--reason", "INC-7", "--format", "json",
    ];
    let asked = alice.run(&words).await;
    assert_eq!(asked.code, 5, "{asked:?}");
    let listed = alice.json(&["requests"]).await;
    let request = &listed["requests"][0];
    assert_eq!(
        request["through"],
        json!({ "bastion": "edge", "principals": ["jump"] })
    );
    let id = request["id"].to_string();
    let shown = alice.run(&["requests", "show", &id]).await.stdout;
    assert!(
        shown.contains("through     bastion edge as jump"),
        "{shown}"
    );

    for (case, from, to, expected) in [
        ("the same policy", "", "", vec![]),
        (
            "another login",
            "login = \"jump\"",
            "login = \"root\"",
            vec!["principals jump -> root"],
        ),
        (
            "another address",
            "192.0.2.10",
            "192.0.2.11",
            // The pass, and the request for the other role.
            vec!["source 192.0.2.10/32 -> 192.0.2.11/32"; 2],
        ),
        (
            "no bastion any more",
            "principals = [\"deploy\"]\nsource = \"bastion\"\npty",
            "principals = [\"deploy\"]\npty",
            vec![
                "source 192.0.2.10/32 -> any",
                "source: the pass no longer goes through a bastion, so there is no jump pass",
            ],
        ),
    ] {
        let file = env.folder().join("new.toml");
        fs::write(&file, POLICY.replacen(from, to, 1)).unwrap();
        let words = [
            "policy",
            "replay",
            file.to_str().unwrap(),
            "--format",
            "json",
        ];
        let replayed: Value = serde_json::from_str(&alice.run(&words).await.stdout).unwrap();
        let changes = replayed["changes"].as_array().unwrap();
        let why: Vec<&str> = changes
            .iter()
            .map(|it| it["why"].as_str().unwrap())
            .collect();
        assert_eq!(why, expected, "{case}: {replayed}");
    }
    let verified = alice.json(&["ledger", "verify", "--decisions"]).await;
    let decisions = &verified["decisions"];
    assert_eq!(
        (&decisions["confirmed"], &decisions["wrong"]),
        (&json!(2), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_both_passes() {
    let (env, alice) = start(POLICY).await;
    let socket = env.folder().join("agent");
    let mut agent = alice.program("ssh-agent", &["-D", "-a", socket.to_str().unwrap()]);
    let mut agent = agent.stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !socket.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "the agent does not start"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let words = [
        "pass", "--role", "db", "--host", "db-1", "--agent", "--format", "json",
    ];
    let mut pass = alice.command(&words);
    pass.env("SSH_AUTH_SOCK", &socket);
    let pass = Done::of(pass).await.json();
    assert_eq!(pass["jump"]["path"], Value::Null);
    assert_eq!(
        pass["jump"]["ssh"],
        "ssh -J jump@bastion.example.com:2222 deploy@HOST"
    );
    let mut list = alice.program("ssh-add", &["-L"]);
    list.env("SSH_AUTH_SOCK", &socket);
    let listed = Done::of(list).await.stdout;
    for certificate in [&pass["certificate"], &pass["jump"]["certificate"]] {
        let blob = certificate.as_str().unwrap().split(' ').nth(1).unwrap();
        assert!(listed.contains(blob), "{listed}");
    }
    agent.kill().await.unwrap();
}
