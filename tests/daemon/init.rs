//! `daypass init` and `daypass serve --check`.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Output,
};

use daypass::policy::Policy;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Home, daypass, succeed};

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_init_makes_loads_as_it_is() {
    let home = Home::new();
    let output = home
        .serve()
        .args(["--check", "--offline"])
        .output()
        .unwrap();
    let text = String::from_utf8(succeed(output).stdout).unwrap();
    assert!(text.contains("Nothing is wrong."), "{text}");
    let output = home
        .serve()
        .args(["--check", "--offline", "--format", "json"])
        .output();
    let summary: Value = serde_json::from_slice(&succeed(output.unwrap()).stdout).unwrap();
    assert_eq!(summary["name"], "localhost");
    assert!(
        summary["ledger"]
            .as_str()
            .unwrap()
            .starts_with("localhost/ledger+")
    );
    assert!(
        !home.path("state/ledger.db").exists(),
        "--check starts nothing"
    );
}

/// The page is off unless it is asked for, and then the redirect URI is named.
#[test]
fn a_page_is_made_only_if_it_is_asked_for() {
    for is_wanted in [false, true] {
        let folder = TempDir::new().unwrap();
        let mut init = daypass();
        init.arg("init").arg(folder.path());
        init.args(["--name", "ca.example.com", "--client-id", "daypass"]);
        init.args(["--issuer", "https://id.example.org"]);
        init.args(is_wanted.then_some("--web"));
        let said = String::from_utf8(succeed(init.output().unwrap()).stdout).unwrap();
        let redirect = "https://ca.example.com:7443/web/callback";
        assert_eq!(said.contains(redirect), is_wanted, "{said}");
        let made = fs::read_to_string(folder.path().join("daypass.toml")).unwrap();
        assert_eq!(
            made.lines().any(|line| line == "[web]"),
            is_wanted,
            "{made}"
        );
        let mut check = daypass();
        check.args(["serve", "--check", "--offline", "--config"]);
        let check = check.arg(folder.path().join("daypass.toml")).output();
        succeed(check.unwrap());
    }
}

/// What `serve --check` says of the configuration in this folder.
fn checked(folder: &std::path::Path) -> Value {
    let mut check = daypass();
    check.args([
        "serve",
        "--check",
        "--offline",
        "--format",
        "json",
        "--config",
    ]);
    let output = check.arg(folder.join("daypass.toml")).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

fn messages(report: &Value) -> String {
    report["findings"].to_string()
}

#[test]
fn a_server_knows_hosts_only_if_that_is_asked_for_and_the_check_names_their_ca_key() {
    for is_wanted in [false, true] {
        let folder = TempDir::new().unwrap();
        let mut init = daypass();
        init.arg("init").arg(folder.path());
        init.args(["--name", "ca.example.com"]);
        init.args(is_wanted.then_some("--hosts"));
        let said = String::from_utf8(succeed(init.output().unwrap()).stdout).unwrap();
        let step = "daypass admin hosts add NAME --group web";
        assert_eq!(said.contains(step), is_wanted, "{said}");
        let report = checked(folder.path());
        assert_eq!(report["healthy"], true, "{report}");
        let key = report["host_ca_key"].as_str();
        assert_eq!(key.is_some(), is_wanted, "{report}");
        let Some(key) = key else {
            continue;
        };
        assert_ne!(report["ca_key"], key);
        assert!(said.contains(key), "{said}");
        let message = format!("the host CA key is {key}");
        assert!(messages(&report).contains(&message), "{report}");
        let mode = fs::metadata(folder.path().join("host_ca_key"));
        assert_eq!(mode.unwrap().permissions().mode() & 0o777, 0o600);
        // A broken one is named, and one that signs passes too.
        let good = fs::read(folder.path().join("host_ca_key")).unwrap();
        let public = fs::read(folder.path().join("ca_key")).unwrap();
        for (bytes, fault) in [(b"nonsense".to_vec(), "host_ca_key"), (public, "host")] {
            fs::write(folder.path().join("host_ca_key"), bytes).unwrap();
            let report = checked(folder.path());
            let wrong = report["findings"].as_array().unwrap().iter();
            let wrong: Vec<_> = wrong.filter(|it| it["level"] == "wrong").collect();
            assert_eq!(wrong.len(), 1, "{report}");
            assert_eq!(wrong[0]["check"], "host-ca-key");
            assert!(
                wrong[0]["message"].as_str().unwrap().contains(fault),
                "{report}"
            );
        }
        fs::write(folder.path().join("host_ca_key"), good).unwrap();
    }
}

/// A running signer; killed when dropped.
struct Signer(std::process::Child);

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_signer_gets_the_ca_key_and_the_server_has_its_public_half_alone() {
    let folder = TempDir::new().unwrap();
    let (server, signer) = (folder.path().join("server"), folder.path().join("signer"));
    let init = || {
        let mut init = daypass();
        init.arg("init").arg(&server);
        init.args(["--name", "ca.example.com", "--signer"])
            .arg(&signer);
        init.output().unwrap()
    };
    let said = String::from_utf8(succeed(init()).stdout).unwrap();
    assert!(!server.join("ca_key").exists() && server.join("ca_key.pub").exists());
    let config = signer.join("signer.toml");
    let run = format!("daypass signer --config {}", config.display());
    assert!(said.contains(&run), "{said}");
    let mode = |name: &str| {
        fs::metadata(signer.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(
        (mode("ca_key"), mode(""), mode("state")),
        (0o600, 0o700, 0o700)
    );
    // Its printed steps, in their order.
    let command = || {
        let mut command = daypass();
        command.arg("signer").arg("--config").arg(&config);
        command
    };
    succeed(command().arg("--check").output().unwrap());
    assert_eq!(checked(&server)["healthy"], false, "the signer is away");
    let _signer = Signer(command().spawn().unwrap());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while checked(&server)["healthy"] != true {
        assert!(std::time::Instant::now() < deadline, "{}", checked(&server));
    }
    // Nothing of either is overwritten.
    let key = fs::read(signer.join("ca_key")).unwrap();
    fs::remove_dir_all(&server).unwrap();
    let output = init();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("already holds ca_key, signer.toml"), "{said}");
    assert_eq!(fs::read(signer.join("ca_key")).unwrap(), key);
    assert!(!server.exists());
}

#[test]
fn its_policy_passes_its_own_tests() {
    let text = fs::read_to_string(Home::new().path("policy.toml")).unwrap();
    let policy = Policy::parse(&text, "policy.toml").unwrap();
    let outcomes = policy.run_tests(time::OffsetDateTime::UNIX_EPOCH);
    assert_eq!(outcomes.len(), 3);
    assert!(
        outcomes.iter().all(|outcome| outcome.passed),
        "{outcomes:?}"
    );
    assert_eq!(policy.warnings(), Vec::<String>::new());
}

#[test]
fn secrets_are_for_their_owner_alone() {
    let home = Home::new();
    for name in ["ca_key", "ledger_key", "tls.key"] {
        let mode = fs::metadata(home.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let public = fs::read_to_string(home.path("ca_key.pub")).unwrap();
    assert!(public.starts_with("ssh-ed25519 ") && public.ends_with("Daypass CA of localhost\n"));
}

#[test]
fn nothing_is_overwritten() {
    let home = Home::new();
    let before = fs::read(home.path("ca_key")).unwrap();
    fs::remove_file(home.config()).unwrap();
    let folder = home.path("");
    let output = daypass()
        .args(["init", "--name", "localhost"])
        .arg(&folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("already holds ca_key.pub, ca_key, ledger_key, policy.toml"),
        "{said}"
    );
    assert_eq!(fs::read(home.path("ca_key")).unwrap(), before);
    assert!(!home.config().exists());
}

#[test]
fn an_issuer_needs_no_client_id_whose_default_help_names() {
    let folder = TempDir::new().unwrap();
    let made = folder.path().join("made");
    let mut init = daypass();
    init.arg("init").arg(&made).args(["--name", "localhost"]);
    init.args(["--issuer", "https://id.example.org"]);
    succeed(init.output().unwrap());
    let text = fs::read_to_string(made.join("daypass.toml")).unwrap();
    assert!(text.contains("\"https://id.example.org\""), "{text}");
    let mut lines = text.lines();
    let client = lines.find(|line| line.starts_with("client_id "));
    assert!(client.unwrap().contains("\"daypass\""), "{text}");
}

#[test]
fn an_encrypted_ca_key_needs_its_passphrase() {
    let folder = TempDir::new().unwrap();
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, "correct horse\n").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    let made = folder.path().join("made");
    let init = || {
        let mut command = daypass();
        command
            .arg("init")
            .arg(&made)
            .args(["--name", "localhost", "--passphrase-file"]);
        command.arg(&passphrase);
        command
    };
    let output = succeed(init().output().unwrap());
    assert!(!String::from_utf8_lossy(&output.stdout).contains("horse"));
    let check = || {
        let mut command = daypass();
        command
            .args(["serve", "--check", "--offline", "--config"])
            .arg(made.join("daypass.toml"));
        command.output().unwrap()
    };
    succeed(check());
    fs::write(&passphrase, "wrong horse\n").unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("passphrase") && !said.contains("horse"),
        "{said}"
    );
}

#[test]
fn what_keeps_it_from_starting_is_said_with_its_place() {
    let cases = [
        (
            "an unknown key",
            "daypass.toml",
            "policy =",
            "polcy =",
            "daypass.toml:7: unknown field `polcy`",
        ),
        (
            "a policy that does not parse",
            "policy.toml",
            "[limits]",
            "[limits",
            "policy.toml:6: ",
        ),
        (
            "a policy that is not there",
            "daypass.toml",
            "\"policy.toml\"",
            "\"no.toml\"",
            "no.toml: No such file",
        ),
        (
            "a key that is not there",
            "daypass.toml",
            "file  = \"ca_key\"",
            "file = \"no_key\"",
            "no_key",
        ),
        (
            "a certificate that is none",
            "tls.pem",
            "BEGIN",
            "BEGUN",
            "tls.pem",
        ),
        (
            "a ledger key that is none",
            "ledger_key",
            "BEGIN",
            "BEGUN",
            "ledger_key: not an OpenSSH private key",
        ),
    ];
    for (case, file, from, to, expected) in cases {
        let home = Home::new();
        home.edit(file, from, to);
        for check in [true, false] {
            let mut command = home.serve();
            if check {
                command.args(["--check", "--offline"]);
            }
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{case}");
            let said = stderr(&output);
            assert!(said.contains(expected), "{case}: {said}");
            assert!(!home.path("state/ledger.db").exists(), "{case}");
        }
    }
}

#[test]
fn arguments_that_make_no_configuration_leave_no_files() {
    let cases = [
        (
            "a name with a port",
            "x:1",
            "https://id.example.com",
            "is not a host name",
        ),
        (
            "an issuer that is not https",
            "x",
            "http://id.example.com",
            "is not https",
        ),
    ];
    for (case, name, issuer, expected) in cases {
        let folder = TempDir::new().unwrap();
        let mut init = daypass();
        init.arg("init").arg(folder.path().join("new"));
        init.args(["--name", name, "--issuer", issuer, "--client-id", "x"]);
        let output = init.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{case}");
        assert!(
            stderr(&output).contains(expected),
            "{case}: {}",
            stderr(&output)
        );
        assert!(!folder.path().join("new").exists(), "{case}");
    }
}

fn id(words: &[&str]) -> String {
    let output = std::process::Command::new("id").args(words).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.trim().to_owned()
}

/// Another account if we are root, who alone can give files away; else our own.
fn account() -> String {
    match id(&["-un"]) {
        me if me == "root" => "nobody".to_owned(),
        me => me,
    }
}

#[test]
fn what_root_makes_for_the_service_is_the_services() {
    let folder = TempDir::new().unwrap();
    let made = folder.path().join("made");
    let owner = account();
    let mut init = daypass();
    init.arg("init").arg(&made);
    let output = init
        .args(["--name", "localhost", "--owner", &owner])
        .output();
    let said = String::from_utf8(succeed(output.unwrap()).stdout).unwrap();
    let uid: u32 = id(&["-u", &owner]).parse().unwrap();
    let entries = fs::read_dir(&made)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in entries.chain([made.clone()]) {
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.uid(), uid, "{}", path.display());
        assert_eq!(found.permissions().mode() & 0o022, 0, "{}", path.display());
    }
    assert!(!said.contains("chown"), "{said}");
    if id(&["-u"]) == "0" {
        assert!(
            said.contains("runuser -u nobody -- daypass serve"),
            "{said}"
        );
        let output = daypass()
            .args(["init", "--name", "localhost"])
            .arg(folder.path().join("roots"))
            .output();
        let said = String::from_utf8(succeed(output.unwrap()).stdout).unwrap();
        assert!(said.contains("chown -R daypass: "), "{said}");
    }
}

#[test]
fn an_owner_who_is_not_there_or_not_let_in_gets_no_files() {
    let folder = TempDir::new().unwrap();
    let init = |dir: &str, owner: &str| {
        let mut init = daypass();
        init.arg("init").arg(folder.path().join(dir));
        init.args(["--name", "localhost", "--owner", owner]);
        init.output().unwrap()
    };
    let output = init("new", "no-such-account");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("useradd --system"),
        "{}",
        stderr(&output)
    );
    assert!(!folder.path().join("new").exists());

    // A folder of ours that is there already, and closed to the other account.
    let other = if id(&["-un"]) == "root" {
        "nobody"
    } else {
        "root"
    };
    if other == "nobody" {
        fs::create_dir(folder.path().join("closed")).unwrap();
        fs::set_permissions(
            folder.path().join("closed"),
            fs::Permissions::from_mode(0o700),
        )
        .unwrap();
        let output = init("closed", other);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(
            stderr(&output).contains("chown nobody: "),
            "{}",
            stderr(&output)
        );
        let left = fs::read_dir(folder.path().join("closed")).unwrap().count();
        assert_eq!(left, 0);
    } else {
        // Only root can give files away.
        let output = init("given", other);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(!folder.path().join("given/ca_key").exists());
    }
}
