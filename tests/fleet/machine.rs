//! A machine of the fleet: namespaces for mounts, network, processes and host name, with files of
//! its own (`machine.sh`). All of it ends with the value, and with this process.

use std::{
    io::{BufRead, BufReader},
    ops::Deref,
    path::Path,
    process::{Child, Command, Stdio},
};

use super::support::{command::DAYPASS, root::expect_root, shell::Shell};

/// A running machine.
pub(super) struct Machine {
    shell: Shell,
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
        let pid = pid.expect("the machine does not start");
        let shell = Shell::new(name, &pid);
        Self { shell, holder }
    }
}

impl Deref for Machine {
    type Target = Shell;

    fn deref(&self) -> &Shell {
        &self.shell
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
