//! Networks that join machines: a bridge in a namespace of its own for each.

use std::process::{Child, Command, Output, Stdio};

use super::machine::Machine;

/// A bridge. Its addresses are `FOUR.N` and `SIX::N`.
pub(super) struct Network {
    name: &'static str,
    four: &'static str,
    six: &'static str,
    /// Has the network namespace, and ends when its stdin closes.
    switch: Child,
}

/// The addresses of a member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Families {
    Both,
    Six,
}

impl Network {
    pub(super) fn new(name: &'static str, four: &'static str, six: &'static str) -> Self {
        let switch = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is missing: apt-get install util-linux");
        let mut network = Self {
            name,
            four,
            six,
            switch,
        };
        let mut ready = [0; 6];
        let stdout = network.switch.stdout.as_mut().unwrap();
        std::io::Read::read_exact(stdout, &mut ready).unwrap();
        network.ip(&["link", "add", "br0", "type", "bridge"]);
        network.ip(&["link", "set", "br0", "up"]);
        network
    }

    /// The IPv4 address of a member.
    pub(super) fn four(&self, number: u8) -> String {
        format!("{}.{number}", self.four)
    }

    /// The IPv6 address of a member.
    pub(super) fn six(&self, number: u8) -> String {
        format!("{}::{number}", self.six)
    }

    /// Connects a machine, by an interface that has the network's name.
    pub(super) fn join(&self, machine: &Machine, number: u8, families: Families) {
        let (port, name) = (format!("to-{}", machine.name()), self.name);
        let pid = machine.pid();
        self.ip(&[
            "link", "add", &port, "type", "veth", "peer", "name", name, "netns", pid,
        ]);
        self.ip(&["link", "set", &port, "master", "br0", "up"]);
        if families == Families::Both {
            let four = format!("{}/24", self.four(number));
            machine.says("root", &format!("ip address add {four} dev {name}"));
        }
        let six = format!("{}/64", self.six(number));
        let line = format!("ip address add {six} dev {name} nodad && ip link set {name} up");
        machine.says("root", &line);
    }

    fn ip(&self, words: &[&str]) {
        let pid = self.switch.id().to_string();
        let done = Command::new("nsenter")
            .args(["--target", &pid, "--net", "ip"])
            .args(words)
            .output();
        let Output { status, stderr, .. } =
            done.expect("nsenter is missing: apt-get install util-linux");
        let said = String::from_utf8_lossy(&stderr);
        assert!(
            status.success(),
            "ip {words:?}: {said} (it needs iproute2, and a kernel with network namespaces, veth and bridges)"
        );
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.switch.kill();
        let _ = self.switch.wait();
    }
}
