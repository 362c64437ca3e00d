//! The tour that `daypass demo` gives: real commands in a fresh world, each checked against its
//! description.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use ssh_key::Certificate;
use tokio::process::Command;

use super::{Error, World};

/// Deadline for one command.
const PATIENCE: Duration = Duration::from_secs(60);

/// Outcome that a step expects of its command.
#[derive(Default)]
struct Promise {
    code: i32,
    says: Vec<String>,
    never_says: Vec<&'static str>,
}

impl Promise {
    fn says(words: &[&str]) -> Self {
        Self {
            says: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Self::default()
        }
    }

    fn exits(self, code: i32) -> Self {
        Self { code, ..self }
    }

    fn never_says(self, word: &'static str) -> Self {
        Self {
            never_says: vec![word],
            ..self
        }
    }

    /// The promises that the command did not keep.
    fn broken(&self, code: Option<i32>, output: &str) -> Vec<String> {
        let mut broken = Vec::new();
        if code != Some(self.code) {
            let got = code.map_or("no exit code".to_owned(), |code| code.to_string());
            broken.push(format!("exit code {} was promised, it is {got}", self.code));
        }
        let missing = self.says.iter().filter(|word| !output.contains(*word));
        broken.extend(missing.map(|word| format!("{word:?} was promised and is not there")));
        let spilt = self
            .never_says
            .iter()
            .filter(|word| output.contains(**word));
        broken.extend(spilt.map(|word| format!("{word:?} must not be there")));
        broken
    }
}

/// The result of a tour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The number of commands that ran and records that were compared.
    pub steps: usize,
    /// The number of those that did not do as described.
    pub broken: usize,
}

/// A tour under way. Its text goes to `show`, a few lines at a time.
struct Tour<'a, S> {
    world: &'a World,
    show: S,
    chapter: usize,
    verdict: Verdict,
}

/// The person who runs a command. Each has a laptop, that is a state folder, of their own.
#[derive(Clone, Copy)]
enum Speaker {
    Alice,
    Mallory,
}

/// Shows what a first look should see. Each command really runs, as the user would run it.
///
/// # Errors
/// Returns an error if a command cannot be started. A command that does not do as described is
/// counted and shown instead.
pub async fn walk(world: &World, show: impl FnMut(&str)) -> Result<Verdict, Error> {
    let mut tour = Tour {
        world,
        show,
        chapter: 0,
        verdict: Verdict::default(),
    };
    tour.sign_in().await?;
    let pass = tour.get_a_pass().await?;
    tour.log_in().await?;
    tour.keep_to_one_command().await?;
    tour.refuse().await?;
    tour.look_back(&pass).await?;
    tour.say_what_next();
    Ok(tour.verdict)
}

impl<S: FnMut(&str)> Tour<'_, S> {
    async fn sign_in(&mut self) -> Result<(), Error> {
        self.chapter(
            "Alice signs in",
            "A browser would open here. In this world a script fills in the same form for her.\n\
             Her ID token commits to an SSH key that was made just now: stolen, it is of no use with another key.",
        );
        let words = ["login", "--as", "alice"];
        self.daypass(Speaker::Alice, &words, Promise::says(&["alice"]))
            .await?;
        self.chapter("What may she do?", "One policy file on the server says so.");
        let promise = Promise::says(&["shell", "logs"]);
        self.daypass(Speaker::Alice, &["roles"], promise).await
    }

    /// The certificate file.
    async fn get_a_pass(&mut self) -> Result<PathBuf, Error> {
        self.chapter(
            "She gets a pass",
            "A pass is a short-lived OpenSSH certificate. Its number is its place in the server's ledger, where it was\n\
             recorded before it was signed.",
        );
        let out = self.world.files().dir().join("alice-pass");
        let out = out.display().to_string();
        let words = ["pass", "--role", "shell", "--out", &out];
        let promise = Promise::says(&["alice@example.com/shell"]);
        self.daypass(Speaker::Alice, &words, promise).await?;
        let certificate = format!("{out}-cert.pub");
        let promise = Promise::says(&["alice@example.com/shell", "permit-pty"]);
        self.daypass(Speaker::Alice, &["inspect", &certificate], promise)
            .await?;
        Ok(certificate.into())
    }

    async fn log_in(&mut self) -> Result<(), Error> {
        let Some(sshd) = self.world.sshd() else {
            self.chapter(
                "Logging in (left out)",
                "This machine has no sshd, so there is no host to log in to: the tour goes on without one.\n\
                 On Debian, `apt-get install openssh-server` brings it.",
            );
            return Ok(());
        };
        let here = format!("this is {} on web-1", sshd.user());
        self.chapter(
            "She logs in",
            "The host is a stock sshd that trusts one thing: the CA's public key. It has no list of users and no agent.",
        );
        let greeting = "echo this is $(id -un) on web-1";
        let words = ["ssh", "web-1", "--", greeting];
        self.daypass(Speaker::Alice, &words, Promise::says(&[&here]))
            .await?;
        self.tell("Plain ssh does it too: a line in its configuration fetches the pass when there is none, and logs in as the pass says.");
        let config = self.world.files().ssh_config().display().to_string();
        let words = ["-F", &config, "web-1", greeting];
        self.run(Speaker::Alice, "ssh", &words, Promise::says(&[&here]))
            .await
    }

    async fn keep_to_one_command(&mut self) -> Result<(), Error> {
        self.chapter(
            "A pass for one command",
            "The role `logs` runs one command with one hole in it. She asks for `id`; the pass says what runs instead.",
        );
        let mut words = vec![
            "ssh",
            "web-1",
            "--role",
            "logs",
            "--param",
            "unit=nginx",
            "--",
            "id",
        ];
        if self.world.sshd().is_none() {
            words = vec!["pass", "--role", "logs", "--param", "unit=nginx"];
        }
        let promise = Promise::says(&["logs of"]).never_says("uid=");
        self.daypass(Speaker::Alice, &words, promise).await?;
        self.tell("What goes into the hole is checked, and quoted. This is refused:");
        let words = ["pass", "--role", "logs", "--param", "unit=nginx; reboot"];
        let promise = Promise::says(&["unit"]).exits(3);
        self.daypass(Speaker::Alice, &words, promise).await
    }

    async fn refuse(&mut self) -> Result<(), Error> {
        self.chapter(
            "Mallory is refused",
            "Every user may sign in; what counts is the policy. Mallory is in no group, and is told why not.",
        );
        let words = ["login", "--as", "mallory"];
        self.daypass(Speaker::Mallory, &words, Promise::says(&["mallory"]))
            .await?;
        let promise = Promise::says(&["shell"]).exits(3);
        self.daypass(Speaker::Mallory, &["pass", "--role", "shell"], promise)
            .await
    }

    async fn look_back(&mut self, pass: &Path) -> Result<(), Error> {
        self.chapter(
            "What happened here?",
            "Every decision, granted or not, is an event in a ledger that cannot be changed without being noticed.",
        );
        let Ok(certificate) = Certificate::read_file(pass) else {
            self.judge(&["the pass cannot be read back".to_owned()]);
            return Ok(());
        };
        let serial = certificate.serial().to_string();
        let promise = Promise::says(&["alice", "mallory", "shell"]);
        self.daypass(Speaker::Alice, &["ledger", "list"], promise)
            .await?;
        let promise = Promise::says(&["alice@example.com", &serial]);
        self.daypass(Speaker::Alice, &["ledger", "show", &serial], promise)
            .await?;
        self.daypass(
            Speaker::Alice,
            &["ledger", "verify"],
            Promise::says(&["verifies"]),
        )
        .await?;
        self.compare_with_sshd();
        Ok(())
    }

    /// The host's own log names the person, the role and the event.
    fn compare_with_sshd(&mut self) {
        let Some(sshd) = self.world.sshd() else {
            return;
        };
        let log = sshd.log();
        let accepted = log
            .lines()
            .rfind(|line| line.contains("Accepted publickey") && line.contains("/logs"));
        self.tell("The host's own log names the person, the role and the event:");
        (self.show)(&format!("\n    | {}\n", accepted.unwrap_or("(nothing)")));
        let serial = accepted.filter(|line| line.contains("alice@example.com/logs (serial "));
        match serial {
            Some(_) => self.judge(&[]),
            None => self.judge(&["sshd's log does not name the pass".to_owned()]),
        }
    }

    fn say_what_next(&mut self) {
        self.chapter(
            "Your turn",
            "Run a world of your own:                daypass dev --dir /tmp/world\n\
             and in another terminal:                . /tmp/world/env\n\
             \x20                                       daypass login --as bob\n\
             \x20                                       daypass roles\n\
             \x20                                       daypass ssh web-1 --role logs --param unit=sshd\n\
             Approve in a browser:                   open the page that daypass dev names\n\
             Change its policy:                      edit /tmp/world/policy.toml\n\
             See why a user is (not) let in:         daypass policy explain --help\n\
             Set up a server:                        daypass init --help",
        );
    }

    async fn daypass(
        &mut self,
        who: Speaker,
        words: &[&str],
        promise: Promise,
    ) -> Result<(), Error> {
        self.run(who, "daypass", words, promise).await
    }

    /// Shows the command, runs it, shows what it printed and judges it.
    async fn run(
        &mut self,
        who: Speaker,
        name: &str,
        words: &[&str],
        promise: Promise,
    ) -> Result<(), Error> {
        let typed: Vec<String> = words.iter().map(|word| as_typed(word)).collect();
        (self.show)(&format!("\n    $ {name} {}", typed.join(" ")));
        let program = match name {
            "daypass" => self.world.program().as_os_str(),
            other => OsStr::new(other),
        };
        // One pipe for both streams, so that messages and results keep the order of a terminal.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"exec "$0" "$@" 2>&1"#]).arg(program);
        self.place(&mut command, who);
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let Ok(output) = ended else {
            self.judge(&["it did not end".to_owned()]);
            return Ok(());
        };
        let output = output.map_err(|error| Error::System("run a command of the tour", error))?;
        let said = String::from_utf8_lossy(&output.stdout);
        for line in said.lines() {
            (self.show)(&format!("    | {line}"));
        }
        self.judge(&promise.broken(output.status.code(), &said));
        Ok(())
    }

    /// The world's variables alone.
    fn place(&self, command: &mut Command, who: Speaker) {
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"DAYPASS_") {
                command.env_remove(name);
            }
        }
        let variables = self.world.variables().iter();
        command.envs(variables.map(|(name, value)| (*name, value)));
        command.env("NO_COLOR", "1").env_remove("SSH_AUTH_SOCK");
        if let Speaker::Mallory = who {
            let laptop = self.world.files().dir().join("mallory");
            command.env("DAYPASS_STATE_DIR", laptop);
        }
    }

    fn chapter(&mut self, title: &str, story: &str) {
        self.chapter += 1;
        (self.show)(&format!("\n{}. {title}", self.chapter));
        self.tell(story);
    }

    fn tell(&mut self, story: &str) {
        for line in story.lines() {
            (self.show)(&format!("   {line}"));
        }
    }

    fn judge(&mut self, broken: &[String]) {
        self.verdict.steps += 1;
        if !broken.is_empty() {
            self.verdict.broken += 1;
        }
        for what in broken {
            (self.show)(&format!("    ! NOT AS PROMISED: {what}"));
        }
    }
}

/// A word as one would type it in a shell.
fn as_typed(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_noticed() {
        let promise = || Promise::says(&["denied"]).never_says("uid=").exits(3);
        for (case, code, output, broken) in [
            ("as promised", Some(3), "it is denied", 0),
            ("granted instead", Some(0), "denied", 1),
            ("silent", Some(3), "", 1),
            ("it ran", Some(3), "denied uid=0", 1),
            ("killed", None, "uid=0", 3),
        ] {
            let found = promise().broken(code, output);
            assert_eq!(found.len(), broken, "{case}: {found:?}");
        }
    }

    #[test]
    fn words_are_shown_as_one_would_type_them() {
        for (word, typed) in [
            ("--role", "--role"),
            ("unit=nginx; reboot", "'unit=nginx; reboot'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(as_typed(word), typed);
        }
    }
}
