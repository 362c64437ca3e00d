//! Real sshds on one network: the pass works through the bastion and from nowhere else, the jump
//! pass does nothing but forward. Client and host reach each other directly too, so that every
//! refusal here is sshd's own.

use std::{fs, path::PathBuf};

use tokio::process::Command;

use super::{
    lan::{Lan, Server},
    start,
    support::{
        command::{DAYPASS, Done, Terminal},
        env::TestEnv,
    },
};

/// The logins are accounts of the machines, and no name of the user's who runs the tests. Host
/// groups part the machines.
const POLICY: &str = r#"
[limits]
principals = ["deploy", "jump", "nobody"]

[audit]
allow = 'true'

[hosts]
db = ["db-*"]
edge = ["bastion.example.com"]

[[bastion]]
name = "edge"
host = "bastion.example.com"
port = 2222
login = "jump"
group = "edge"
addresses = ["192.0.2.10", "2001:db8::10"]
hosts = ["db-*"]
source = ["192.0.2.2", "2001:db8::2"]

[[role]]
name = "db"
allow = '"sre" in claims.groups'
hosts = ["db"]
principals = ["deploy"]
source = "bastion"
ttl = "30m"

[[role]]
name = "outage"
allow = '"sre" in claims.groups'
hosts = ["db"]
principals = ["deploy"]
source = "bastion"
reason = "INC-[0-9]+"
approval = { count = 1, by = '"sre-lead" in claims.groups', within = "10m" }
emergency = { allow = '"sre" in claims.groups', ttl = "10m", review = '"security" in claims.groups' }
"#;

/// As the README has it for a bastion whose login is `LOGIN`.
const BASTION: &str = "AuthorizedPrincipalsCommand /usr/bin/printf %%s\\n %u@edge\nMatch User LOGIN\n    \
    AllowTcpForwarding local\n    PermitOpen *:22\n    PermitTTY no\n    X11Forwarding no\n    \
    AllowAgentForwarding no\n    AllowStreamLocalForwarding no\n    PermitTunnel no\n";

const HOST: &str = "AuthorizedPrincipalsCommand /usr/bin/printf %%s\\n %u@db\n";

/// The user's own configuration: what the names mean, and whose host keys are known.
const CONFIG: &str = "Host db-1\n    HostName 192.0.2.20\nHost db-6\n    HostName 2001:db8::20\n\
    Host bastion.example.com\n    HostName 192.0.2.10\n\
    Host *\n    BatchMode yes\n    ConnectTimeout 60\n    IdentityAgent none\n    StrictHostKeyChecking yes\n\
    \x20   GlobalKnownHostsFile none\n    UserKnownHostsFile KNOWN\n";

/// An environment whose commands run on the client's side of the network.
struct Site {
    // Ended in this order: the sshds, then their network.
    bastion: Server,
    host: Server,
    lan: Lan,
    env: TestEnv,
    alice: Terminal,
    config: PathBuf,
}

impl Site {
    /// Alice has passes for `db-1` and `db-6`.
    async fn start() -> Self {
        Self::with_login("jump").await
    }

    /// The same with another login at the bastion.
    async fn with_login(login: &str) -> Self {
        let lan = Lan::new(&[("client", 2), ("bastion", 10), ("host", 20)]);
        let policy = POLICY.replace("login = \"jump\"", &format!("login = {login:?}"));
        let (env, alice) = start(&policy).await;
        let ca = public_half(&env);
        let restricted = BASTION.replace("LOGIN", login);
        let folder = |name: &str| env.folder().join(name);
        let bastion = lan.sshd("bastion", 2222, &ca, &folder("bastion"), &restricted);
        let host = lan.sshd("host", 22, &ca, &folder("host"), HOST);
        let known = format!(
            "[192.0.2.10]:2222 {}\n192.0.2.20,2001:db8::20 {}\n",
            bastion.host_key(),
            host.host_key()
        );
        fs::write(folder("known_hosts"), known).unwrap();
        let own = CONFIG.replace("KNOWN", &folder("known_hosts").display().to_string());
        let block = alice.run(&["ssh-config", "print"]).await.stdout;
        let (plain, config) = (folder("plain_config"), folder("own_config"));
        fs::write(&plain, format!("{block}\n{own}")).unwrap();
        fs::write(&config, own).unwrap();
        for host in ["db-1", "db-6"] {
            assert_eq!(alice.run(&["ensure", "--host", host]).await.code, 0);
        }
        Self {
            bastion,
            host,
            lan,
            env,
            alice,
            config,
        }
    }

    /// A command at the client, where no daypass server is to be reached.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.alice.program("ip", &[]);
        command.args(self.lan.at("client")).args(words);
        command
    }

    async fn run(&self, words: &[&str]) -> Done {
        Done::of(self.command(words)).await
    }

    fn own(&self) -> &str {
        self.config.to_str().unwrap()
    }

    /// The options for an ssh with one of the two passes for `db-1`, over all other configuration.
    fn with(&self, pass: &str) -> Vec<String> {
        let key = self.alice.of_host("db-1").join(pass);
        let options = [
            format!("IdentityFile={}", key.display()),
            format!("CertificateFile={}-cert.pub", key.display()),
            "IdentitiesOnly=yes".to_owned(),
        ];
        let options = options
            .into_iter()
            .flat_map(|option| ["-o".to_owned(), option]);
        let ssh = ["ssh", "-F", self.own()].map(str::to_owned);
        ssh.into_iter().chain(options).collect()
    }

    /// ssh with one pass, to wherever `words` say.
    async fn ssh(&self, pass: &str, words: &[&str]) -> Done {
        let with = self.with(pass);
        let all: Vec<&str> = with
            .iter()
            .map(String::as_str)
            .chain(words.iter().copied())
            .collect();
        self.run(&all).await
    }
}

fn public_half(env: &TestEnv) -> String {
    let key = env.world().files().dir().join("ca_key");
    let key = ssh_key::PrivateKey::read_openssh_file(&key).unwrap();
    key.public_key().to_openssh().unwrap()
}

fn since(log: &str, before: usize) -> &str {
    log.get(before..).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn through_the_bastion_and_only_through_it() {
    let site = Site::start().await;
    for host in ["db-1", "db-6"] {
        let words = [
            DAYPASS,
            "ssh",
            host,
            "-F",
            site.own(),
            "--",
            "echo in as $(id -un) from $SSH_CONNECTION",
        ];
        let login = site.run(&words).await;
        assert_eq!(
            login.code,
            0,
            "daypass ssh {host}: {login:?}\n{}\n{}",
            site.bastion.log(),
            site.host.log()
        );
        let from = if host == "db-1" {
            "192.0.2.10 "
        } else {
            "2001:db8::10 "
        };
        assert!(
            login
                .stdout
                .starts_with(&format!("in as deploy from {from}")),
            "{login:?}"
        );

        let plain = site.env.folder().join("plain_config");
        let plain = plain.to_str().unwrap();
        let mut command = site.command(&["ssh", "-F", plain, host, "echo in as $(id -un)"]);
        command.env("DAYPASS_SSH_CONFIG", plain);
        let login = Done::of(command).await;
        assert_eq!(
            (login.code, &*login.stdout),
            (0, "in as deploy\n"),
            "ssh {host}: {login:?}"
        );
    }
    let key_id = "ID alice@example.com/db (serial ";
    for (name, log) in [("bastion", site.bastion.log()), ("host", site.host.log())] {
        let logins = log
            .lines()
            .filter(|line| line.contains("Accepted publickey"));
        let logins: Vec<_> = logins.collect();
        assert_eq!(logins.len(), 4, "{name}: {log}");
        assert!(
            logins.iter().all(|line| line.contains(key_id)),
            "{name}: {log}"
        );
    }

    for host in ["db-1", "192.0.2.20", "2001:db8::20"] {
        let before = site.host.log().len();
        let direct = site.ssh("pass", &["-l", "deploy", host, "echo in"]).await;
        assert_eq!(
            (direct.code, &*direct.stdout),
            (255, ""),
            "{host}: {direct:?}"
        );
        assert!(
            direct.stderr.contains("Permission denied"),
            "{host}: {direct:?}"
        );
        let log = site.host.log();
        let log = since(&log, before);
        let reached = ["Connection from 192.0.2.2 ", "Connection from 2001:db8::2 "];
        assert!(
            reached.iter().any(|line| log.contains(line)),
            "{host}: {log}"
        );
        assert!(
            log.contains("not from a permitted source address"),
            "{host}: {log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jump_pass_forwards_to_hosts_and_does_nothing_else() {
    let site = Site::start().await;
    let bastion = ["-p", "2222", "-l", "jump", "bastion.example.com"];
    for (case, words) in [
        ("a shell", &[][..]),
        ("a command", &["id"]),
        ("a way out of quotes", &["'; id; '"]),
    ] {
        let login = site.ssh("jump", &[&bastion[..], words].concat()).await;
        assert_eq!((login.code, &*login.stdout), (1, ""), "{case}: {login:?}");
        assert!(
            login.stderr.contains("this pass only forwards"),
            "{case}: {login:?}"
        );
    }
    // A subsystem runs the same command, and what that says goes nowhere.
    let sftp = site
        .ssh("jump", &[&["-s"], &bastion[..], &["sftp"]].concat())
        .await;
    assert_eq!((sftp.code, &*sftp.stdout), (1, ""), "{sftp:?}");
    let terminal = site
        .ssh("jump", &[&["-tt"], &bastion[..], &["id"]].concat())
        .await;
    assert!(!terminal.stdout.contains("uid="), "{terminal:?}");

    let main = site.ssh("pass", &[&bastion[..], &["id"]].concat()).await;
    assert_eq!(
        main.code, 255,
        "the pass for the host is none for the bastion: {main:?}"
    );

    let elsewhere = site
        .ssh("jump", &[&["-W", "192.0.2.20:80"], &bastion[..]].concat())
        .await;
    assert!(
        elsewhere.stderr.contains("administratively prohibited"),
        "{elsewhere:?}"
    );

    // At the host: directly, and through the bastion.
    let before = site.host.log().len();
    let direct = site.ssh("jump", &["-l", "deploy", "db-1", "id"]).await;
    assert_eq!((direct.code, &*direct.stdout), (255, ""), "{direct:?}");
    let jump = site.alice.of_host("db-1").join("jump");
    let proxy = format!(
        "ProxyCommand={DAYPASS} jump --pass {} -F {} %h %p",
        jump.display(),
        site.own()
    );
    let through = site
        .ssh("jump", &["-o", &proxy, "-l", "deploy", "db-1", "id"])
        .await;
    assert_eq!((through.code, &*through.stdout), (255, ""), "{through:?}");
    let log = site.host.log();
    let log = since(&log, before);
    assert!(
        log.contains("Connection from 192.0.2.10 "),
        "the way was open: {log}"
    );
    assert!(!log.contains("Accepted"), "{log}");
    let good = site
        .ssh("pass", &["-o", &proxy, "-l", "deploy", "db-1", "echo in"])
        .await;
    assert_eq!((good.code, &*good.stdout), (0, "in\n"), "{good:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_command_line_goes_through_by_ssh_alone() {
    let site = Site::start().await;
    let out = site.env.folder().join("my pass");
    let words = [
        "pass",
        "--role",
        "db",
        "--host",
        "db-1",
        "--out",
        out.to_str().unwrap(),
    ];
    let pass = site.alice.json(&words).await;
    let line = pass["jump"]["ssh"].as_str().unwrap();
    // A script has its own configuration in the usual place, which a test must not touch: so it is
    // named for both.
    let line = line.replace("ssh -o", &format!("ssh -F {} -o", site.own()));
    let line = line.replace("HOST", "db-1") + " echo in";
    let login = site.run(&["sh", "-c", &line]).await;
    assert_eq!(
        (login.code, &*login.stdout),
        (0, "in\n"),
        "{line}\n{login:?}"
    );
}

/// `ssh -J` is a habit. The bastion is a host of the policy's groups here, and no role is for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_jump_host_that_the_user_types_is_the_bastion_and_leaves_no_denial() {
    let site = Site::start().await;
    let plain = site.env.folder().join("plain_config");
    let plain = plain.to_str().unwrap();
    let before = site.env.ledger_size().await;
    for words in [
        &["ssh", "-J", "bastion.example.com", "db-1"][..],
        &["ssh", "-J", "jump@bastion.example.com:2222", "db-1"],
        &["ssh", "-o", "ProxyJump=bastion.example.com", "db-6"],
        &[DAYPASS, "ssh", "-J", "bastion.example.com", "db-1"],
        &[DAYPASS, "ssh", "-J", "none", "db-1"],
    ] {
        let words = [
            &words[..words.len() - 1],
            &["-F", plain],
            &words[words.len() - 1..],
            &["echo in"],
        ]
        .concat();
        let mut command = site.command(&words);
        command.env("DAYPASS_SSH_CONFIG", plain);
        let login = Done::of(command).await;
        assert_eq!(
            (login.code, &*login.stdout),
            (0, "in\n"),
            "{words:?}: {login:?}\n{}",
            site.bastion.log()
        );
        let is_told = login
            .stderr
            .contains("is behind the bastion edge of the policy");
        assert_eq!(is_told, words[0] == DAYPASS, "{login:?}");
    }
    let direct = site.alice.program(
        "ssh",
        &["-F", plain, "-J", "bastion.example.com", "web-9", "true"],
    );
    assert_ne!(Done::of(direct).await.code, 0);
    assert_eq!(
        site.env.ledger_size().await,
        before,
        "nothing was asked for"
    );
}

/// The bastion sees the revoked jump pass first.
#[tokio::test(flavor = "multi_thread")]
async fn a_jump_pass_that_the_bastion_refuses_is_noticed() {
    let site = Site::start().await;
    let jump = site.alice.of_host("db-1").join("jump");
    let other = site.env.folder().join("other");
    let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
    for words in [
        vec![
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            &path(&other),
        ],
        vec![
            "ssh-keygen",
            "-q",
            "-s",
            &path(&other),
            "-I",
            "x",
            "-n",
            "jump",
            "-V",
            "+1h",
            &format!("{}.pub", path(&jump)),
        ],
    ] {
        assert_eq!(site.run(&words).await.code, 0, "{words:?}");
    }
    // The server cannot be reached from here, so that the second try cannot be made.
    let login = site
        .run(&[DAYPASS, "ssh", "db-1", "-F", site.own(), "echo in"])
        .await;
    assert_eq!(login.code, 6, "{login:?}");
    assert!(login.stderr.contains("jump@"), "{login:?}");
    assert!(
        login
            .stderr
            .contains("db-1 refused the pass that was on disk"),
        "{login:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_shell_is_enough_at_the_bastion() {
    let site = Site::with_login("nobody").await;
    let words = [DAYPASS, "ssh", "db-1", "-F", site.own(), "--", "echo in"];
    let login = site.run(&words).await;
    assert_eq!(
        (login.code, &*login.stdout),
        (0, "in\n"),
        "{login:?}\n{}",
        site.bastion.log()
    );
    let words = ["-p", "2222", "-l", "nobody", "bastion.example.com", "id"];
    let command = site.ssh("jump", &words).await;
    assert!(
        command.code != 0 && !command.stdout.contains("uid="),
        "{command:?}"
    );
}
