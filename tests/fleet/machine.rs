//! A machine of the fleet: namespaces for mounts, network, processes and host name, with files of
//! its own (`machine.sh`). All of it ends with the value, and with this process.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use super::support::{
    command::{DAYPASS, Done},
    root::expect_root,
};

/// Bound on one command, in seconds; only a hang reaches it.
const PATIENCE: &str = "30";

/// The programs of a user.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The programs of root.
const ROOTS_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A running machine.
pub(super) struct Machine {
    name: String,
    pid: String,
    /// Its first process ends when its stdin closes, and all others with it.
    holder: Child,
}

impl Machine {
    /// A machine without a network.
    pub(super) fn start(name: &str) -> Self {
        expect_root("fleet", "machines of namespaces");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--net", "--uts"])
            .args(["--ipc", "--pid", "--fork", "--kill-child", "/bin/bash"])
            .arg(root.join("tests/fleet/machine.sh"))
            .args([name.as_ref(), root, Path::new(DAYPASS)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is missing: apt-get install util-linux");
        let mut line = String::new();
        let mut said = BufReader::new(holder.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let pid = line.trim().strip_prefix("ready ").map(str::to_owned);
        Self {
            name: name.to_owned(),
            pid: pid.expect("the machine does not start"),
            holder,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The real machine's number of the first process.
    pub(super) fn pid(&self) -> &str {
        &self.pid
    }

    /// A line for the shell of this user, who has just logged in.
    pub(super) fn command(&self, user: &str, line: &str) -> Command {
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
    pub(super) fn run(&self, user: &str, line: &str) -> Done {
        // Files, because a program in the background would keep a pipe open.
        let (stdout, stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let status = self
            .command(user, line)
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.try_clone().unwrap())
            .status();
        let status = status.expect("nsenter is missing: apt-get install util-linux");
        Done {
            code: status.code().unwrap_or(-1),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// What a line prints, trimmed; it must succeed.
    pub(super) fn says(&self, user: &str, line: &str) -> String {
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
    pub(super) fn fails(&self, user: &str, line: &str, code: i32) -> String {
        let done = self.run(user, line);
        assert_eq!(
            done.code, code,
            "{user}@{}$ {line}\n{}\n{}",
            self.name, done.stdout, done.stderr
        );
        done.stderr
    }

    /// Writes a file of a user's, which they alone may write to.
    pub(super) fn write(&self, user: &str, path: &str, text: &str) {
        let mut command = self.command(user, &format!("umask 022; cat >{path}"));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{path}: {output:?}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
