//! A laptop: the program itself, over one state folder, with hosts, logins, roles and parameters
//! that differ. What it runs in place of ssh shows the pass that ssh would offer.

use std::{os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use daypass::identity::issuer::Algorithm;
use rand::{Rng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};

use super::{Shared, parsed};
use crate::{
    history::{Operation, Outcome, Typed, What},
    support::{
        command::{Done, Terminal},
        files,
    },
};

/// The user of every laptop.
pub(crate) const NAME: &str = "laptop";

/// A command ends within this time, also while no daemon answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is typed: role, login and unit.
const COMMANDS: [(&str, &str, &str); 4] = [
    ("shell", "debug", ""),
    ("own", "deploy", ""),
    ("logs", "weblogs", "nginx.service"),
    ("logs", "weblogs", "cron.service"),
];
const HOSTS: [&str; 2] = ["web-1", "web-2"];

/// Stands for ssh: prints the certificate and the key that it was given, as one file each.
const SSH: &str = r#"#!/bin/sh
for word; do
    case $word in
        -G | -V | -Q) exec /usr/bin/ssh "$@" ;;
        CertificateFile=*) certificate=${word#*=} ;;
        IdentityFile=*) key=${word#*=} ;;
    esac
done
eval "cat $certificate; ssh-keygen -y -f $key"
"#;

pub(crate) struct Laptop {
    shared: Arc<Shared>,
    chance: StdRng,
    terminal: Terminal,
    path: String,
    tags: u64,
    _folder: tempfile::TempDir,
}

impl Laptop {
    pub(crate) fn new(shared: &Arc<Shared>, chance: StdRng) -> Self {
        let (folder, shared) = (files::folder(), shared.clone());
        let at = |name: &str| folder.path().join(name);
        let ssh = at("bin/ssh");
        std::fs::create_dir(at("bin")).unwrap();
        std::fs::write(&ssh, SSH).unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let first = &shared.daemons[0].files;
        let urls: Vec<_> = shared.daemons.iter().map(|it| it.files.url()).collect();
        let terminal = Terminal {
            home: folder.path().to_owned(),
            state: at("state"),
            variables: vec![
                ("DAYPASS_SERVER".to_owned(), urls.join(",")),
                (
                    "DAYPASS_CA_FILE".to_owned(),
                    first.path("tls.pem").display().to_string(),
                ),
            ],
        };
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", at("bin").display());
        Self {
            shared,
            chance,
            terminal,
            path,
            tags: 0,
            _folder: folder,
        }
    }

    /// Types commands until the run is over.
    pub(crate) async fn run(mut self) {
        while !self
            .shared
            .is_over
            .load(std::sync::atomic::Ordering::SeqCst)
        {
            let (one, two) = (self.typed(), self.typed());
            match self.chance.gen_range(0..6) {
                0 => {
                    tokio::join!(self.ssh(&one), self.ssh(&two));
                }
                1 => self.killed(&one).await,
                _ => self.ssh(&one).await,
            }
        }
    }

    fn typed(&mut self) -> Typed {
        self.tags += 1;
        let (role, login, unit) = *COMMANDS.choose(&mut self.chance).unwrap();
        Typed {
            tag: format!("{NAME}-{}", self.tags),
            role,
            login,
            unit,
            host: HOSTS.choose(&mut self.chance).unwrap(),
        }
    }

    /// Runs it to its end, and records the pass that ssh was given.
    async fn ssh(&self, typed: &Typed) {
        let begun = self.shared.began.elapsed();
        let mut done = Done::of(self.command(typed)).await;
        if done.code == 4 {
            self.sign_in().await;
            done = Done::of(self.command(typed)).await;
        }
        let outcome = match done.code {
            0 => Outcome::Used(Box::new(parsed::offered(&done.stdout))),
            code => Outcome::Unknown(format!("exit {code}: {}", done.stderr)),
        };
        let operation = Operation {
            client: usize::MAX,
            daemon: 0,
            what: What::Typed(typed.clone()),
            begun,
            ended: self.shared.began.elapsed(),
            outcome,
        };
        self.shared.log.lock().push(operation);
    }

    /// The laptop ends in the middle of it: what it leaves on disk is there for the next command.
    async fn killed(&mut self, typed: &Typed) {
        let time = self.chance.gen_range(1..400);
        let begun = self.shared.began.elapsed();
        let mut child = self.command(typed).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(time)).await;
        child.kill().await.unwrap();
        let operation = Operation {
            client: usize::MAX,
            daemon: 0,
            what: What::Typed(typed.clone()),
            begun,
            ended: self.shared.began.elapsed(),
            outcome: Outcome::Unknown("killed".to_owned()),
        };
        self.shared.log.lock().push(operation);
    }

    fn command(&self, typed: &Typed) -> tokio::process::Command {
        let to = format!("{}@{}", typed.login, typed.host);
        let unit = format!("unit={}", typed.unit);
        let mut words = vec![
            "ssh",
            "--no-input",
            "--role",
            typed.role,
            "--reason",
            &typed.tag,
        ];
        if !typed.unit.is_empty() {
            words.extend(["--param", &unit]);
        }
        words.push(&to);
        let mut command = self.terminal.command(&words);
        command.env("PATH", &self.path);
        command
    }

    /// Signs in by a token for the key that the program made.
    async fn sign_in(&self) {
        let prepared = self
            .terminal
            .run_json(&["login", "--issuer", "dev", "--print-audience"])
            .await;
        let Ok(prepared) = serde_json::from_str::<Value>(&prepared.stdout) else {
            return;
        };
        let issuer = &self.shared.daemons[0].files.issuer;
        let now = crate::support::now();
        let claims = json!({
            "iss": issuer.url(), "sub": NAME, "aud": "daypass", "iat": now, "exp": now + 600,
            "nonce": prepared["nonce"], "email": format!("{NAME}@example.com"),
            "email_verified": true, "groups": ["sre"], "login": "deploy",
        });
        let token: PathBuf = self.terminal.home.join("token");
        std::fs::write(&token, issuer.sign(Algorithm::ES256, &claims)).unwrap();
        let words = [
            "login",
            "--issuer",
            "dev",
            "--token-file",
            token.to_str().unwrap(),
        ];
        let signing_in = self.terminal.run(&words);
        let _ = tokio::time::timeout(PATIENCE, signing_in).await;
    }
}
