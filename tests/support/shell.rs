//! The shell of a user on a machine that is made of namespaces.

use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

use super::command::Done;

/// Bound on one command, in seconds; only a hang reaches it.
const PATIENCE: &str = "240";

/// The programs of a user.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The programs of root.
const ROOTS_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The way into a machine.
#[derive(Debug)]
pub struct Shell {
    name: String,
    pid: String,
}

impl Shell {
    /// Enters the namespaces of this process, by its number on the real machine.
    pub fn new(name: &str, pid: &str) -> Self {
        let (name, pid) = (name.to_owned(), pid.to_owned());
        Self { name, pid }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The real machine's number of the first process.
    pub fn pid(&self) -> &str {
        &self.pid
    }

    /// A line for the shell of this user, who has just logged in.
    pub fn command(&self, user: &str, line: &str) -> Command {
        let home = match user {
            "root" => "/root".to_owned(),
            _ => format!("/home/{user}"),
        };
        let path = if user == "root" { ROOTS_PATH } else { PATH };
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.pid, "--mount", "--net", "--uts", "--ipc"])
            .args(["--pid", "timeout", "--signal=KILL", PATIENCE])
            .args(["setpriv", "--reuid", user, "--regid", user])
            .args(["--init-groups", "env", "-i", "LANG=C.UTF-8"])
            .args([&format!("HOME={home}"), &format!("PATH={path}")])
            .args([&format!("USER={user}"), &format!("LOGNAME={user}")])
            // A desktop, as far as a program sees.
            .args(["DISPLAY=:0", "BROWSER=/usr/local/bin/browser"])
            .args(["NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt"])
            .args(["/bin/bash", "-c"])
            .arg(format!("cd\n{line}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a line. What it left in the background goes on.
    pub fn run(&self, user: &str, line: &str) -> Done {
        // Files, because a program in the background would keep a pipe open.
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let status = self
            .command(user, line)
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .status();
        let status = status.expect("nsenter is missing: apt-get install util-linux");
        Done {
            // As a shell says it.
            code: status
                .code()
                .or(status.signal().map(|it| 128 + it))
                .unwrap_or(-1),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// What a line prints, trimmed; it must succeed.
    pub fn says(&self, user: &str, line: &str) -> String {
        let done = self.run(user, line);
        let at = &self.name;
        assert_eq!(
            done.code, 0,
            "{user}@{at}$ {line}\n{}\n{}",
            done.stdout, done.stderr
        );
        done.stdout.trim_end().to_owned()
    }

    /// Runs a line that must fail with this exit code; returns what it wrote to stderr.
    pub fn fails(&self, user: &str, line: &str, code: i32) -> String {
        let done = self.run(user, line);
        assert_eq!(
            done.code, code,
            "{user}@{}$ {line}\n{}\n{}",
            self.name, done.stdout, done.stderr
        );
        done.stderr
    }

    /// Writes a file of a user's, which they alone may write to.
    pub fn write(&self, user: &str, path: &str, text: &str) {
        let mut command = self.command(user, &format!("umask 022; cat >{path}"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{path}: {output:?}");
    }
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
