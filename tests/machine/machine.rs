//! A container with the real systemd (`machine.sh`). All of it ends with the value, and with this
//! process.

use std::{
    fs, io,
    ops::Deref,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::support::{interrupted::again, root::expect_root, shell::Shell};

/// Time to boot on a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running machine.
pub(super) struct Machine {
    shell: Shell,
    /// It ends when its stdin closes, and leaves nothing behind.
    holder: Child,
    /// The machine's /mnt/shared.
    folder: TempDir,
}

impl Machine {
    /// Boots a machine with this host name.
    pub(super) fn boot(name: &str) -> Self {
        expect_root("machine", "a machine with a systemd of its own");
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machine/machine.sh");
        let holder = Command::new("/bin/bash")
            .arg(script)
            .arg(name)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut machine = Self {
            shell: Shell::new(name, ""),
            holder,
            folder,
        };
        machine.wait_until_up(&notify);
        let init = machine.init().expect("the container has no systemd");
        machine.shell = Shell::new(name, &init.to_string());
        machine
    }

    /// The machine's /mnt/shared.
    pub(super) fn shared(&self) -> &Path {
        self.folder.path()
    }

    fn wait_until_up(&mut self, notify: &UnixDatagram) {
        let turn = Some(Duration::from_millis(200));
        notify.set_read_timeout(turn).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut text = [0; 4096];
        loop {
            match again(|| notify.recv(&mut text)) {
                Ok(length) if is_ready(&text[..length]) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            let ended = self.holder.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "the machine does not boot; it needs: apt-get install systemd systemd-container openssh-server\n{}",
                self.console()
            );
        }
    }

    fn console(&self) -> String {
        fs::read_to_string(self.folder.path().join("console")).unwrap_or_default()
    }

    /// The real machine's number of the container's first process.
    fn init(&self) -> Option<u32> {
        let mut open = vec![self.holder.id()];
        while let Some(pid) = open.pop() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "systemd" {
                return Some(pid);
            }
            open.extend(children(pid));
        }
        None
    }
}

fn is_ready(message: &[u8]) -> bool {
    String::from_utf8_lossy(message)
        .lines()
        .any(|line| line == "READY=1")
}

fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let words = text.split_whitespace();
    words.map(|word| word.parse().unwrap()).collect()
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
        let _ = self.holder.wait();
    }
}

#[test]
fn a_machine_leaves_nothing_behind() {
    let machine = Machine::boot("web-1");
    let state = machine.says("root", "systemctl is-system-running --wait");
    assert_eq!(state, "running");
    let holder = machine.holder.id();
    let groups = || {
        let places = ["", "systemd/", "unified/"];
        let paths = places.map(|place| format!("/sys/fs/cgroup/{place}daypass-test-{holder}"));
        paths.iter().filter(|path| Path::new(path).exists()).count()
    };
    assert_ne!(groups(), 0);
    let (pid, folder) = (machine.pid().to_owned(), machine.shared().to_owned());
    drop(machine);
    assert_eq!(groups(), 0, "control groups");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "processes");
    assert!(!folder.exists(), "files");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
}
