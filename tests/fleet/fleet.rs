//! The machines of a small company, set up by the manual's chapters as they stand: an identity
//! provider with a certificate of the company's own root, the server, two web hosts (one without
//! IPv4), a bastion, a database host behind it, and a laptop with four users.

use std::{fs, ops::Deref, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{
    machine::Machine,
    network::{Families, Network},
};

/// The users of the laptop. No login of a host has such a name.
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// The server's address, as users and hosts dial it.
pub(super) const SERVER: &str = "https://daypass.example.com:7443";

/// Two networks: hosts that everybody reaches, and what is behind the bastion.
pub(super) struct Fleet {
    // Ended in this order.
    pub(super) laptop: Machine,
    pub(super) web: Machine,
    pub(super) web_six: Part,
    pub(super) bastion: Part,
    pub(super) db: Part,
    pub(super) server: Machine,
    pub(super) provider: Machine,
    _networks: [Network; 2],
}

/// A machine that a small fleet has not.
pub(super) struct Part(Option<Machine>);

impl Deref for Part {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        self.0.as_ref().expect("a small fleet has one host")
    }
}

impl Fleet {
    /// All of it runs. No user has signed in.
    pub(super) fn start() -> Self {
        Self::start_with(true)
    }

    /// Of the hosts, it has `web-1` alone.
    pub(super) fn start_small() -> Self {
        Self::start_with(false)
    }

    fn start_with(has_all: bool) -> Self {
        let front = Network::new("front", "192.0.2", "2001:db8:1");
        let back = Network::new("back", "198.51.100", "2001:db8:2");
        let machine = |name, number, families| {
            let machine = Machine::start(name);
            front.join(&machine, number, families);
            machine
        };
        let part = |start: &dyn Fn() -> Machine| Part(has_all.then(start));
        let fleet = Self {
            laptop: machine("laptop", 2, Families::Both),
            provider: machine("id", 3, Families::Both),
            server: machine("ca", 4, Families::Both),
            bastion: part(&|| machine("bastion", 10, Families::Both)),
            web: machine("web-1", 20, Families::Both),
            web_six: part(&|| machine("web-6", 26, Families::Six)),
            db: part(&|| Machine::start("db-1")),
            _networks: [front, back],
        };
        let [front, back] = &fleet._networks;
        back.join(&fleet.server, 4, Families::Both);
        if has_all {
            back.join(&fleet.bastion, 10, Families::Both);
            back.join(&fleet.db, 30, Families::Both);
        }
        fleet.name_machines(front, back);
        fleet.start_provider();
        fleet.set_up_server();
        fleet.set_up_hosts();
        if has_all {
            fleet.set_up_bastion();
        }
        fleet.set_up_laptop();
        fleet
    }

    /// As a user's first day begins.
    pub(super) fn sign_in(&self, name: &str) {
        let line = format!("daypass login --server {SERVER} --ca-file tls.pem");
        self.laptop.says(name, &line);
    }

    /// What the timer runs on each host.
    pub(super) fn sync(&self) {
        for (host, ..) in self.hosts() {
            host.says(
                "root",
                "$(sed -n 's/^ExecStart=//p' /etc/systemd/system/daypass-sync.service)",
            );
        }
    }

    /// Registers a key of this user's for the day on which the provider is down.
    pub(super) fn add_emergency_key(&self, name: &str) {
        let line = "mkdir -pm 700 .ssh && ssh-keygen -q -t ed25519 -N '' -f .ssh/emergency && cat .ssh/emergency.pub";
        let key = self.laptop.says(name, line);
        let entry = format!(
            "\n[[emergency_identity]]\nissuer = \"https://id.example.com\"\nsubject = \"{name}\"\n\
             label = \"{name}@example.com\"\nclaims = {{ groups = [\"oncall\"] }}\nkeys = [\"{key}\"]\n"
        );
        self.server.write("root", "entry.toml", &entry);
        self.server.says("root", "cat entry.toml >>/etc/daypass/policy.toml && daypass policy check /etc/daypass/policy.toml");
        self.server.says("root", "systemctl reload daypass");
    }

    /// The provider of a CI, as ci.example.com on a web host, and what a job asks it with.
    pub(super) fn start_ci(&self) {
        let (root, certificate, key) = certify("ci.example.com");
        let ci = &self.web;
        ci.write("root", "ci.pem", &certificate);
        ci.write("root", "ci.key", &key);
        let node = node();
        let line = format!(
            "mkfifo said\n({node} /mnt/repository/tests/fleet/ci.mjs https://ci.example.com ci.pem ci.key >said) \
             >/dev/null 2>/var/log/ci.log &\nexec 3<said; read -r url <&3; echo \"$url\""
        );
        assert_eq!(ci.says("root", &line), "https://ci.example.com");
        for machine in [&self.laptop, &self.server] {
            machine.write("root", "ci.pem", &root);
            machine.says("root", "cat ci.pem >>/etc/ssl/certs/ca-certificates.crt");
            let name =
                "sed -n 's/ web-1$/ ci.example.com/p' /etc/hosts >names && cat names >>/etc/hosts";
            machine.says("root", name);
        }
        let program = "#!/bin/sh\nexec curl -sfG --data-urlencode \"audience=$1\" https://ci.example.com/token\n";
        let path = "/usr/local/bin/ci-token";
        self.laptop.write("root", path, program);
        self.laptop.says("root", &format!("chmod 755 {path}"));
    }

    /// Lets the server know hosts: a key that signs host certificates, and its section.
    pub(super) fn know_hosts(&self) {
        let section = "\n[hosts]\n[[hosts.key]]\nfile = \"host_ca_key\"\nstate = \"active\"\n";
        self.server.write("root", "hosts.toml", section);
        let lines = [
            "ssh-keygen -q -t ed25519 -N '' -f /etc/daypass/host_ca_key",
            "chown daypass /etc/daypass/host_ca_key",
            "cat hosts.toml >>/etc/daypass/daypass.toml",
            "systemctl restart daypass",
        ];
        self.server.says("root", &lines.join(" && "));
    }

    /// Each host joins, by the manual's chapter. Carol is the administrator, and has signed in.
    pub(super) fn join_hosts(&self) {
        for (host, name, group) in self.hosts() {
            self.join(
                host,
                &format!("daypass admin hosts add {name} --group {group}"),
            );
        }
        // A company that has no list of host keys any more.
        self.laptop.says("root", "rm /etc/ssh/ssh_known_hosts");
    }

    /// A host joins with the code that this line of Carol's prints.
    pub(super) fn join(&self, host: &Machine, line: &str) {
        let said = self.laptop.says("carol", line);
        let code = said.split_whitespace().last().unwrap();
        let setup = format!("daypass host setup --join {code} && systemctl reload ssh");
        host.says("root", &setup);
    }

    /// Another machine in the server's networks, with the program and the company's roots. Only its
    /// addresses are its own.
    pub(super) fn second_server(&self) -> Machine {
        let machine = Machine::start("ca-2");
        for network in &self._networks {
            network.join(&machine, 5, Families::Both);
        }
        for path in ["/etc/hosts", "/root/company.pem"] {
            let text = self.server.says("root", &format!("cat {path}"));
            machine.write("root", path, &format!("{text}\n"));
        }
        install_systemctl(&machine);
        let line = "cat company.pem >>/etc/ssl/certs/ca-certificates.crt && ln -s /mnt/daypass /usr/local/bin/daypass";
        machine.says("root", line);
        machine
    }

    /// What a name server says after its entry for the server has changed to
    /// [`Self::second_server`].
    pub(super) fn lead_to_second_server(&self) {
        for machine in self.machines() {
            machine.says("root", "sed 's/^\\(.*[.:]\\)4 daypass/\\15 daypass/' /etc/hosts >names && cat names >/etc/hosts");
        }
    }

    /// The provider answers no more.
    pub(super) fn stop_provider(&self) {
        self.provider.says("root", "ip link set front down");
    }

    /// The hosts, each with its name and its group.
    pub(super) fn hosts(&self) -> Vec<(&Machine, &'static str, &'static str)> {
        let parts = [
            (&self.web_six, "web-6", "web"),
            (&self.db, "db-1", "db"),
            (&self.bastion, "bastion.example.com", "edge"),
        ];
        let parts = parts.into_iter();
        let parts = parts.filter_map(|(part, name, group)| Some((part.0.as_ref()?, name, group)));
        let web = (&self.web, "web-1", "web");
        [web].into_iter().chain(parts).collect()
    }

    fn machines(&self) -> Vec<&Machine> {
        let others = [&self.laptop, &self.provider, &self.server];
        let hosts = self.hosts().into_iter().map(|(host, ..)| host);
        others.into_iter().chain(hosts).collect()
    }

    /// What a name server would say. Only machines behind the bastion know `db-1`.
    fn name_machines(&self, front: &Network, back: &Network) {
        let both = |network: &Network, number: u8, names: &str| {
            let (four, six) = (network.four(number), network.six(number));
            format!("{four} {names}\n{six} {names}\n")
        };
        let local = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
        let outside = [
            both(front, 3, "id.example.com"),
            both(front, 10, "bastion.example.com"),
            both(front, 20, "web-1"),
            format!("{} web-6\n", front.six(26)),
        ];
        let outside = local + &outside.concat();
        let inside = outside.clone() + &both(back, 30, "db-1");
        let server = "daypass.example.com";
        for machine in self.machines() {
            let text = match machine.name() {
                "db-1" => inside.clone() + &both(back, 4, server),
                "bastion" => inside.clone() + &both(front, 4, server),
                _ => outside.clone() + &both(front, 4, server),
            };
            machine.write("root", "/etc/hosts", &text);
        }
    }

    /// The provider, and its root among the roots of every machine's system.
    fn start_provider(&self) {
        let (root, certificate, key) = certify("id.example.com");
        let provider = &self.provider;
        provider.write("root", "/root/id.pem", &certificate);
        provider.write("root", "/root/id.key", &key);
        let node = node();
        let line = format!(
            "mkfifo said\n(sleep infinity | {node} /mnt/repository/tests/oidc-provider/server.mjs ES256 \
             https://id.example.com id.pem id.key >said) >/dev/null 2>/var/log/id.log &\n\
             exec 3<said; read -r url <&3; echo \"$url\"; cat <&3 >/var/log/id.out &"
        );
        assert_eq!(provider.says("root", &line), "https://id.example.com");
        for machine in self.machines() {
            machine.write("root", "company.pem", &root);
            machine.says(
                "root",
                "cat company.pem >>/etc/ssl/certs/ca-certificates.crt",
            );
        }
    }

    /// The manual's chapter, and then this company's policy.
    fn set_up_server(&self) {
        let server = &self.server;
        let build =
            "cargo build --release && install -m 755 target/release/daypass /usr/local/bin/";
        let chapter = chapter("server", "Set up");
        assert!(chapter.contains(build));
        let chapter = chapter.replace(build, "ln -s /mnt/daypass /usr/local/bin/daypass");
        install_systemctl(server);
        server.write("root", "chapter.sh", &chapter);
        server.says(
            "root",
            "cd /mnt/repository && bash -e ~/chapter.sh >~/said.txt",
        );
        let policy = fs::read_to_string(repository("tests/fleet/policy.toml")).unwrap();
        server.write("root", "/etc/daypass/policy.toml", &policy);
        server.says("root", "daypass policy check /etc/daypass/policy.toml");
        server.says("root", "systemctl reload daypass");
    }

    /// The CA's fingerprint, as `daypass init` printed it.
    pub(super) fn fingerprint(&self) -> String {
        let line = "sed -n 's/^CA key *//p' said.txt | head -n 1";
        self.server.says("root", line)
    }

    /// Each host by the manual's chapter, with its own group.
    fn set_up_hosts(&self) {
        let chapter = chapter("host", "Set up").replace("SHA256:...", &self.fingerprint());
        for (host, _, group) in self.hosts() {
            install_systemctl(host);
            host.says(
                "root",
                "ln -s /mnt/daypass /usr/local/bin/daypass && ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key",
            );
            host.says(
                "root",
                "mkdir /run/sshd && /usr/sbin/sshd -E /var/log/sshd.log",
            );
            host.write("root", "tls.pem", &self.tls_certificate());
            let chapter = chapter.replace("--group web", &format!("--group {group}"));
            host.write("root", "chapter.sh", &chapter);
            host.says("root", "bash -e chapter.sh");
        }
    }

    fn set_up_bastion(&self) {
        let bastion = bastion_chapter();
        self.bastion.says("root", bastion.account.trim());
        let text = format!("\n{}", bastion.configuration);
        self.bastion.write("root", "match.conf", &text);
        self.bastion.says(
            "root",
            "cat match.conf >>/etc/ssh/sshd_config && systemctl reload ssh",
        );
    }

    /// The certificate that `daypass init` made.
    fn tls_certificate(&self) -> String {
        self.server.says("root", "cat /etc/daypass/tls.pem") + "\n"
    }

    /// A company's laptop knows the hosts' keys, and the users have the server's certificate.
    fn set_up_laptop(&self) {
        let laptop = &self.laptop;
        let browser = fs::read_to_string(repository("tests/fleet/browser.mjs")).unwrap();
        laptop.write("root", "/usr/local/bin/browser", &browser);
        laptop.says(
            "root",
            "chmod 755 /usr/local/bin/browser && ln -s /mnt/daypass /usr/local/bin/daypass",
        );
        let hosts = self.hosts().into_iter();
        let known = hosts.map(|(host, name, _)| {
            let line = "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub";
            format!("{name} {}\n", host.says("root", line))
        });
        laptop.write(
            "root",
            "/etc/ssh/ssh_known_hosts",
            &known.collect::<String>(),
        );
        for name in PEOPLE {
            laptop.says(
                "root",
                &format!("useradd --create-home --shell /bin/bash {name}"),
            );
            laptop.write(name, "tls.pem", &self.tls_certificate());
        }
    }
}

/// The program that runs the provider.
pub(super) fn node() -> String {
    let own = "tests/oidc-provider/node_modules/node/bin/node";
    match repository(own).is_file() {
        true => format!("/mnt/repository/{own}"),
        false => "node".to_owned(),
    }
}

/// The first block of this language on a page of the manual.
pub(super) fn first_block(topic: &str, language: &str) -> String {
    block(&page(topic), language)
}

/// The first shell block of a manual's chapter.
pub(super) fn chapter(topic: &str, title: &str) -> String {
    block(&section(topic, title), "sh")
}

/// All shell blocks of a manual's chapter.
pub(super) fn chapter_blocks(topic: &str, title: &str) -> Vec<String> {
    let section = section(topic, title);
    let mut blocks = Vec::new();
    for (at, fence) in section.match_indices("\n```sh\n") {
        let (block, _) = section[at + fence.len()..].split_once("\n```\n").unwrap();
        blocks.push(format!("{block}\n"));
    }
    blocks
}

fn section(topic: &str, title: &str) -> String {
    let page = page(topic);
    let (_, text) = page.split_once(&format!("\n## {title}\n")).unwrap();
    let end = text.find("\n## ").unwrap_or(text.len());
    text[..end].to_owned()
}

/// The source of a page of the manual.
pub(super) fn page(topic: &str) -> String {
    fs::read_to_string(repository(&format!("src/cli/manual/{topic}.md"))).unwrap()
}

fn block(text: &str, language: &str) -> String {
    let (_, text) = text.split_once(&format!("\n```{language}\n")).unwrap();
    let (block, _) = text.split_once("\n```\n").unwrap();
    format!("{block}\n")
}

/// What the manual wants on a bastion, beside `daypass host setup`.
struct Bastion {
    account: String,
    configuration: String,
}

fn bastion_chapter() -> Bastion {
    let section = section("bastion", "On the bastion");
    let account = block(&section, "sh");
    Bastion {
        account: account.lines().next().unwrap().to_owned(),
        configuration: block(&section, "text"),
    }
}

/// The stand-in for systemd of the README's machine.
fn install_systemctl(machine: &Machine) {
    machine.says(
        "root",
        "install -m 755 /mnt/repository/tests/readme/systemctl /usr/local/bin/systemctl",
    );
}

/// A root, and a certificate with its key for this name, as PEM.
pub(super) fn certify(name: &str) -> (String, String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Else root and certificate have one name, and OpenSSL takes both for one.
    // OpenSSL takes the first of two roots with one name, too.
    let name_of_root = format!("Example Company Root for {name}");
    params
        .distinguished_name
        .push(DnType::CommonName, name_of_root);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root = params.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(params, root_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    (root.pem(), certificate.pem(), key.serialize_pem())
}

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
