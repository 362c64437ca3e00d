//! Namespaces whose links can lose every packet: nothing is refused, and no connection ends. Needs
//! root and iproute2.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::support::{
    command::{DAYPASS, Terminal},
    root::expect_root,
};

/// Set in the process that runs in a network: the network's folder.
const NETWORK: &str = "DAYPASS_TEST_NETWORK";

/// Namespaces: `home` has the servers, `database` a relay to PostgreSQL, `away` the clients. Each
/// link is a bridge in `switch`.
pub(crate) struct Network {
    /// Its name begins the names of the namespaces.
    folder: PathBuf,
    /// Set in the process that made the network.
    _own: Option<TempDir>,
}

const NAMES: [&str; 4] = ["switch", "home", "database", "away"];

/// The address of the database at home.
pub(crate) const DATABASE: &str = "192.0.2.2";

/// Link, members with their addresses.
const LINKS: [(&str, [(&str, &str); 2]); 3] = [
    ("data", [("home", "192.0.2.1"), ("database", DATABASE)]),
    (
        "first",
        [("home", "198.51.100.1"), ("away", "198.51.100.2")],
    ),
    ("second", [("home", "203.0.113.1"), ("away", "203.0.113.2")]),
];

impl Network {
    /// The network that this process is in. Without one, makes it, runs the test of this name
    /// again in it, and returns none.
    pub(crate) fn of(test: &str) -> Option<Self> {
        if let Some(folder) = std::env::var_os(NETWORK) {
            return Some(Self {
                folder: folder.into(),
                _own: None,
            });
        }
        expect_root("postgres", "network namespaces");
        let network = Self::new();
        let program = std::env::current_exe().unwrap();
        let words = ["--exact", test, "--nocapture"];
        let status = Command::new("ip")
            .args(network.at("home", program.to_str().unwrap(), &words))
            .env(NETWORK, &network.folder)
            .status();
        assert!(status.unwrap().success(), "it failed in its network");
        None
    }

    fn new() -> Self {
        let own = tempfile::Builder::new().prefix("dp-").tempdir().unwrap();
        let network = Self {
            folder: own.path().to_owned(),
            _own: Some(own),
        };
        for name in NAMES {
            let name = network.namespace(name);
            ip(&["netns", "add", &name]);
            ip(&["-n", &name, "link", "set", "lo", "up"]);
        }
        let switch = network.namespace("switch");
        for (link, members) in LINKS {
            ip(&["-n", &switch, "link", "add", link, "type", "bridge"]);
            ip(&["-n", &switch, "link", "set", link, "up"]);
            for (member, address) in members {
                network.join(link, member, address);
            }
            let [(one, at_one), (other, at_other)] = members;
            network.knows(one, link, at_other, other);
            network.knows(other, link, at_one, one);
        }
        for member in ["home", "database"] {
            network.write_hosts(member, "127.0.0.1", "127.0.0.1");
        }
        network.write_hosts("away", "198.51.100.1", "203.0.113.1");
        network
    }

    fn namespace(&self, name: &str) -> String {
        let prefix = self.folder.file_name().unwrap().to_str().unwrap();
        format!("{prefix}-{name}")
    }

    fn join(&self, link: &str, member: &str, address: &str) {
        let (switch, name) = (self.namespace("switch"), self.namespace(member));
        let port = port(link, member);
        let words = ["link", "add", &port, "type", "veth", "peer", "name", link];
        ip(&[&["-n", &switch][..], &words, &["netns", &name]].concat());
        ip(&["-n", &switch, "link", "set", &port, "master", link, "up"]);
        let address = format!("{address}/24");
        ip(&["-n", &name, "address", "add", &address, "dev", link]);
        ip(&["-n", &name, "link", "set", link, "up"]);
    }

    /// Keeps the neighbour's hardware address: a host whose neighbour no longer answers would be
    /// told that there is no route.
    fn knows(&self, member: &str, link: &str, address: &str, neighbour: &str) {
        let (name, other) = (self.namespace(member), self.namespace(neighbour));
        let file = format!("/sys/class/net/{link}/address");
        let words = ["netns", "exec", &other, "cat", &file];
        let read = Command::new("ip").args(words).output().unwrap();
        let hardware = String::from_utf8(read.stdout).unwrap();
        let words = ["neighbour", "replace", address, "lladdr", hardware.trim()];
        ip(&[
            &["-n", &name][..],
            &words,
            &["dev", link, "nud", "permanent"],
        ]
        .concat());
    }

    /// What the names of the two servers mean at a member.
    fn write_hosts(&self, member: &str, first: &str, second: &str) {
        let text = format!("{first} localhost\n{second} second.example\n");
        fs::write(self.hosts(member), text).unwrap();
    }

    fn hosts(&self, member: &str) -> String {
        let file = self.folder.join(format!("hosts-{member}"));
        file.display().to_string()
    }

    /// The words for `ip` that run a program at a member, with its names of servers.
    fn at(&self, member: &str, program: &str, words: &[&str]) -> Vec<String> {
        let (name, hosts) = (self.namespace(member), self.hosts(member));
        let enter = r#"mount --bind "$0" /etc/hosts && exec "$@""#;
        let before = ["netns", "exec", &name, "sh", "-c", enter, &hosts, program];
        let words = before.iter().chain(words);
        words.map(|word| (*word).to_owned()).collect()
    }

    /// `daypass WORDS` of a person who is away.
    pub(crate) fn away(&self, terminal: &Terminal, words: &[&str]) -> tokio::process::Command {
        let words = self.at("away", DAYPASS, words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        terminal.program("ip", &words)
    }

    /// From now on a link loses every packet.
    pub(crate) fn cut(&self, link: &str) {
        let switch = self.namespace("switch");
        for port in ports(link) {
            ip(&["-n", &switch, "link", "set", &port, "nomaster"]);
        }
    }

    pub(crate) fn heal(&self, link: &str) {
        let switch = self.namespace("switch");
        for port in ports(link) {
            ip(&["-n", &switch, "link", "set", &port, "master", link]);
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if self._own.is_none() {
            return;
        }
        for name in NAMES {
            // What cannot be removed is gone already.
            let name = self.namespace(name);
            let _ = Command::new("ip").args(["netns", "delete", &name]).output();
        }
    }
}

/// A relay from `database` to the PostgreSQL whose socket is in a folder. Ends with the value.
pub(crate) struct Relay(Child);

impl Relay {
    pub(crate) fn start(network: &Network, socket: &Path) -> Self {
        let (file, socket) = (network.folder.join("relay"), socket.display());
        let text = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n timeout server 1h\n\
             listen database\n bind {DATABASE}:5432\n server one unix@{socket}/.s.PGSQL.5432\n"
        );
        fs::write(&file, text).unwrap();
        let words = ["-db", "-f", file.to_str().unwrap()];
        let child = Command::new("ip")
            .args(network.at("database", "/usr/sbin/haproxy", &words))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut relay = Self(child);
        let begun = Instant::now();
        while TcpStream::connect((DATABASE, 5432)).is_err() {
            let ended = relay.0.try_wait().unwrap();
            assert!(ended.is_none(), "haproxy ended (tests/run installs it)");
            assert!(begun.elapsed() < Duration::from_secs(60), "no relay");
            thread::sleep(Duration::from_millis(10));
        }
        relay
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The ports of a link at its bridge.
fn ports(link: &str) -> Vec<String> {
    let of = LINKS.iter().filter(|(name, _)| *name == link);
    let members = of.flat_map(|(_, members)| members);
    members.map(|(member, _)| port(link, member)).collect()
}

fn port(link: &str, member: &str) -> String {
    format!("{link}-{member}")
}

fn ip(words: &[&str]) {
    let done = Command::new("ip").args(words).output();
    let Output { status, stderr, .. } = done.expect("ip is missing: apt-get install iproute2");
    let said = String::from_utf8_lossy(&stderr);
    assert!(
        status.success(),
        "ip {words:?}: {said} (it needs root and a kernel with network namespaces, veth and bridges)"
    );
}
