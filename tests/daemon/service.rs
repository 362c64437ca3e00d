//! The real process: signals, systemd's notifications, watchdog and sockets.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixDatagram,
    path::Path,
    process::Command,
};

use daypass::{
    ledger::{EventKind, checkpoint::Signer},
    store::Store,
};
use ssh_key::PrivateKey;

use crate::{
    interrupted::again,
    ports::free_port,
    process::{Daemon, Home, PATIENCE, get},
};

/// The manager's end of sd_notify(3).
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn hear(&self) -> String {
        let mut buffer = [0; 4096];
        let length = again(|| self.0.recv(&mut buffer)).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// The next message that is not the watchdog's.
    fn hear_news(&self) -> String {
        loop {
            let message = self.hear();
            if message != "WATCHDOG=1\n" {
                return message;
            }
        }
    }
}

#[test]
fn systemd_hears_of_start_reload_life_and_stop() {
    let home = Home::new();
    let manager = Manager::listen(&home.path("notify"));
    let mut command = home.serve();
    command.env("NOTIFY_SOCKET", home.path("notify"));
    command.env("WATCHDOG_USEC", "150000");
    let daemon = Daemon::spawn(&mut command);
    let status = format!("STATUS=serving localhost on {}", daemon.address);
    assert_eq!(manager.hear_news(), format!("READY=1\n{status}\n"));
    for _ in 0..3 {
        assert_eq!(manager.hear(), "WATCHDOG=1\n");
    }
    daemon.signal("HUP");
    let reloading = manager.hear_news();
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert_eq!(manager.hear_news(), format!("READY=1\n{status}\n"));
    home.edit("policy.toml", "[limits]", "[limits");
    daemon.signal("HUP");
    assert!(manager.hear_news().starts_with("RELOADING=1\n"));
    let failed = manager.hear_news();
    assert!(
        failed.starts_with(&format!("READY=1\n{status}; the last reload failed: ")),
        "{failed}"
    );
    assert!(failed.contains("policy.toml:6: "), "{failed}");
    daemon.signal("TERM");
    assert!(manager.hear_news().starts_with("STOPPING=1\n"));
    assert!(daemon.wait().success());
}

/// A start that checks a long ledger is not cut off by the unit's TimeoutStartSec.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_ledger_asks_systemd_for_more_time() {
    let home = Home::new();
    let key = fs::read_to_string(home.path("ledger_key")).unwrap();
    let key = PrivateKey::from_openssh(key).unwrap();
    let seed = key.key_data().ed25519().unwrap().private.to_bytes();
    let signer = Signer::new("localhost/ledger", &seed).unwrap();
    let started = EventKind::started("test", "localhost");
    let now = time::OffsetDateTime::now_utc();
    let store = Store::open(&home.path("state"), signer, started, now).await;
    let store = store.unwrap();
    let mut writes = tokio::task::JoinSet::new();
    for number in 0..5000 {
        let store = store.clone();
        let key = format!("SHA256:{number}");
        writes.spawn(async move {
            store
                .record(EventKind::KeyStaged { key }, now)
                .await
                .unwrap()
        });
    }
    writes.join_all().await;
    store.close().await;

    let manager = Manager::listen(&home.path("notify"));
    let mut command = home.serve();
    command.env("NOTIFY_SOCKET", home.path("notify"));
    let daemon = Daemon::spawn(&mut command);
    assert_eq!(
        manager.hear(),
        "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=checking the ledger: 4096 events so far\n"
    );
    assert!(manager.hear_news().starts_with("READY=1\n"));
    assert!(daemon.stop().success());
}

#[test]
fn sighup_says_what_it_did() {
    let home = Home::new();
    let daemon = home.start();
    home.edit("policy.toml", "\"8h\"", "\"4h\"");
    home.edit("daypass.toml", "level  = \"info\"", "level  = \"debug\"");
    daemon.signal("HUP");
    daemon.logged("reloaded: a new policy is in force");
    let warning = daemon.logged("daypass.toml has changed; a restart puts that in force");
    assert_eq!(warning["settings"], "log.level");
    home.edit("policy.toml", "[limits]", "[limits");
    daemon.signal("HUP");
    let failure = daemon.logged("reload failed");
    assert!(
        failure["reason"]
            .as_str()
            .unwrap()
            .contains("policy.toml:6: "),
        "{failure}"
    );
    assert!(daemon.stop().success());
}

/// The commands of the unit's `ExecReload=`, in their order, as systemd runs them: the first that
/// fails ends the reload. Returns whether it failed, and what it said.
fn reload_as_the_unit_does(home: &Home, daemon: &Daemon) -> (bool, String) {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/daypass.service");
    let unit = fs::read_to_string(unit).unwrap();
    let commands = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ExecReload="));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let config = home.config().display().to_string();
        let command = command
            .replace("/usr/local/bin/daypass", env!("CARGO_BIN_EXE_daypass"))
            .replace("/etc/daypass/daypass.toml", &config)
            .replace("$MAINPID", &daemon.id().to_string());
        let mut words = command.split(' ');
        let output = Command::new(words.next().unwrap()).args(words).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            return (true, said);
        }
    }
    (false, String::new())
}

#[test]
fn systemctl_reload_fails_with_a_bad_file_and_the_daemon_goes_on() {
    let home = Home::new();
    let daemon = home.start();
    // The issuer does not answer: that must not keep a new policy out.
    home.edit("policy.toml", "\"8h\"", "\"4h\"");
    assert_eq!(
        reload_as_the_unit_does(&home, &daemon),
        (false, String::new())
    );
    daemon.logged("reloaded: a new policy is in force");

    home.edit("policy.toml", "[limits]", "[limits");
    let (failed, said) = reload_as_the_unit_does(&home, &daemon);
    assert!(failed && said.contains("policy.toml:6: "), "{said}");
    home.edit("policy.toml", "[limits", "[limits]");

    fs::write(home.path("tls.pem"), "nonsense").unwrap();
    let (failed, said) = reload_as_the_unit_does(&home, &daemon);
    assert!(failed && said.contains("TLS certificate"), "{said}");

    home.edit("daypass.toml", "level  = \"info\"", "levle  = \"info\"");
    let (failed, said) = reload_as_the_unit_does(&home, &daemon);
    assert!(failed && said.contains("levle"), "{said}");
    assert!(daemon.stop().success());
}

#[test]
fn a_fault_that_a_reload_would_not_take_in_keeps_no_policy_out() {
    let home = Home::new();
    certify(&home, "localhost", 1);
    let daemon = home.start();
    let limits = ["8h", "7h", "6h", "5h", "4h", "3h"];
    let mut limits = limits.windows(2).map(|pair| (pair[0], pair[1]));
    let mut reloads = |case: &str| {
        let (from, to) = limits.next().unwrap();
        let quoted = |text: &str| format!("ttl        = \"{text}\"");
        home.edit("policy.toml", &quoted(from), &quoted(to));
        let reloaded = reload_as_the_unit_does(&home, &daemon);
        assert_eq!(reloaded, (false, String::new()), "{case}");
        daemon.logged("reloaded: a new policy is in force");
    };

    // The certificate that is in use expires. A copy of the files shows it, without a wait.
    certify(&home, "localhost", -1);
    let (failed, said) = reload_as_the_unit_does(&home, &daemon);
    assert!(failed && said.contains("expired on"), "{said}");
    daemon.signal("HUP");
    daemon.logged("reloaded: new connections get the new TLS certificate");
    reloads("the certificate in use has expired");

    // What only a start reads.
    fs::write(home.path("ledger_key"), "nonsense").unwrap();
    reloads("the ledger's key is broken");
    let checked = home.serve().args(["--check", "--reload"]).output();
    let checked = String::from_utf8(checked.unwrap().stdout).unwrap();
    for warning in ["a restart would fail", "has it in use already"] {
        let mut warnings = checked.lines().filter(|line| line.starts_with("WARNING"));
        assert!(warnings.any(|line| line.contains(warning)), "{checked}");
    }
    let started = home.serve().args(["--check", "--offline"]).output();
    assert!(!started.unwrap().status.success());

    // Files of sections that a reload does not take in. Each is named with its line.
    let config = home.config();
    let before = fs::read_to_string(&config).unwrap();
    let more = "[[webhook]]\nname = \"pager\"\nurl = \"https://pager.example.com/\"\n\
                secret_file = \"gone.secret\"\nevents = [\"emergency\"]\n";
    let issuer = "[[issuer]]\nca_file = \"gone.pem\"\nclient_secret_file = \"gone.client\"";
    let changed = before.replacen("[[issuer]]", issuer, 1) + more;
    fs::write(&config, &changed).unwrap();
    reloads("a webhook's secret, an issuer's roots and its client secret are missing");
    let checked = home.serve().args(["--check", "--reload"]).output();
    let checked = String::from_utf8(checked.unwrap().stdout).unwrap();
    for name in ["gone.secret", "gone.pem", "gone.client"] {
        let line = changed
            .lines()
            .position(|line| line.contains(name))
            .unwrap()
            + 1;
        let place = format!("daypass.toml:{line}: ");
        let is_said =
            |row: &str| row.starts_with("WARNING") && row.contains(&place) && row.contains(name);
        assert!(checked.lines().any(is_said), "{name}: {checked}");
    }
    assert!(
        !checked.contains("has its address and secrets"),
        "{checked}"
    );
    let started = home.serve().args(["--check", "--offline"]).output();
    let started = String::from_utf8(started.unwrap().stderr).unwrap();
    assert!(started.contains("gone.pem: No such file"), "{started}");
    fs::write(&config, before).unwrap();

    // A new certificate that clients would refuse is not taken in.
    certify(&home, "other.example.com", 90);
    let (failed, said) = reload_as_the_unit_does(&home, &daemon);
    assert!(failed && said.contains("other.example.com"), "{said}");
    certify(&home, "localhost", 90);
    reloads("a good certificate");
    assert!(daemon.stop().success());
}

/// Puts a certificate for this name in place that ends so many days from now.
fn certify(home: &Home, name: &str, days: i64) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - time::Duration::days(30);
    params.not_after = now + time::Duration::days(days);
    fs::write(
        home.path("tls.pem"),
        params.self_signed(&key).unwrap().pem(),
    )
    .unwrap();
    fs::write(home.path("tls.key"), key.serialize_pem()).unwrap();
}

/// As systemd starts a service: stderr is the journal, and the variable says so.
#[test]
fn the_journal_gets_priorities() {
    use std::os::unix::fs::MetadataExt;
    let home = Home::new();
    let journal = home.path("journal");
    let run = |command: &mut Command, is_named: bool| {
        let file = fs::File::create(&journal).unwrap();
        let it = file.metadata().unwrap();
        let named = match is_named {
            true => format!("{}:{}", it.dev(), it.ino()),
            false => format!("{}:{}", it.dev(), it.ino() + 1),
        };
        let ran = command.env("JOURNAL_STREAM", named).stderr(file).status();
        assert!(!ran.unwrap().success());
        fs::read_to_string(&journal).unwrap()
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    home.edit(
        "daypass.toml",
        "127.0.0.1:0",
        &taken.local_addr().unwrap().to_string(),
    );
    let said = run(&mut home.serve(), true);
    assert!(said.lines().all(|line| line.starts_with('<')), "{said}");
    let failure = said
        .lines()
        .find(|line| line.contains("is another program there?"));
    assert!(failure.unwrap().starts_with("<3>{"), "{said}");
    let said = run(&mut home.serve(), false);
    assert!(said.lines().all(|line| line.starts_with('{')), "{said}");

    // A command that fails before there is a log, in several lines.
    fs::write(home.path("tls.pem"), "nonsense").unwrap();
    fs::write(home.path("ca_key"), "nonsense").unwrap();
    let said = run(home.serve().args(["--check", "--offline"]), true);
    assert!(said.lines().count() == 2, "{said}");
    assert!(said.lines().all(|line| line.starts_with("<3>")), "{said}");
}

#[test]
fn both_ways_to_stop_are_in_order_and_it_starts_again() {
    let home = Home::new();
    for name in ["INT", "TERM", "INT"] {
        let daemon = home.start();
        daemon.signal(name);
        daemon.logged("stopping: no new connections, finishing what is in flight");
        daemon.logged("stopped");
        assert!(daemon.wait().success(), "{name}");
    }
}

#[test]
fn a_second_daemon_on_the_same_ledger_is_refused() {
    let home = Home::new();
    let first = home.start();
    let second = home.serve().output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("in use by another daypass daemon"), "{said}");
    assert!(first.stop().success());
}

#[test]
fn a_port_that_is_taken_is_said_and_the_ledger_let_go() {
    let home = Home::new();
    let other = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let taken = other.local_addr().unwrap().to_string();
    home.edit("daypass.toml", "127.0.0.1:0", &taken);
    let output = home.serve().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&taken) && said.contains("is another program there?"),
        "{said}"
    );
    drop(other);
    assert!(home.start().stop().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_may_hold_the_port() {
    let home = Home::new();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen={address}"));
    command.arg(env!("CARGO_BIN_EXE_daypass"));
    command.args(["serve", "--config"]).arg(home.config());
    let mut daemon = Daemon::launch(&mut command)
        .unwrap_or_else(|error| panic!("{error}: apt-get install systemd"));
    daemon.line_with("Listening on ");
    // The first connection starts the daemon, and waits for it.
    let answer = get(address, &home.path("tls.pem"), "/healthz").await;
    assert!(answer.unwrap().status().is_success());
    daemon.line_with("Execing ");
    daemon.wait_until_ready();
    assert_eq!(daemon.address, address);
    assert!(daemon.stop().success());
}
