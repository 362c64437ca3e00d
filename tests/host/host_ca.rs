//! Another host CA key in the three steps of the manual, with real sshds and a laptop's real ssh.

use serde_json::Value;

use super::{
    accepts::write_pid_file,
    host::Host,
    sshd::{Sshd, log},
    support::{files, hosts::SECTION, laptop::Laptop},
    users::Site,
};

const NAMES: [&str; 2] = ["web-1", "web-2"];

/// A `[[hosts.key]]`.
fn key(file: &str, state: &str) -> String {
    format!("[[hosts.key]]\nfile = \"../{file}\"\nstate = \"{state}\"\n")
}

/// Two hosts and the laptop of a user.
struct Story {
    site: Site,
    hosts: Vec<Host>,
    sshds: Vec<Sshd>,
    laptop: Laptop,
    /// The keys' sections as they stand in the server's file.
    sections: String,
}

impl Story {
    async fn start() -> Self {
        let site = Site::start().await;
        let (mut hosts, mut sshds) = (Vec::new(), Vec::new());
        for name in NAMES {
            let host = site.host(name).await;
            write_pid_file(&host);
            sshds.push(Sshd::start(&host));
            hosts.push(host);
        }
        let laptop = site.laptop(&sshds[0], "").await;
        site.env.terminal("carol").sign_in("carol").await;
        let sections = SECTION.replace("\"host_ca_key\"", "\"../host_ca_key\"");
        let (_, sections) = sections.split_once("[[").unwrap();
        let sections = format!("[[{sections}");
        Self {
            site,
            hosts,
            sshds,
            laptop,
            sections,
        }
    }

    /// Writes where the hosts are into the laptop's own file.
    async fn find_hosts(&self) {
        let lines = NAMES.iter().zip(&self.sshds).map(|(name, sshd)| {
            let port = sshd.port();
            format!(
                "Host {name}\n    HostName 127.0.0.1\n    HostKeyAlias {name}\n    Port {port}\n"
            )
        });
        self.laptop.put(".ssh/config", &lines.collect::<String>());
        self.laptop.says("daypass ssh-config install").await;
    }

    /// The server starts again with these keys.
    async fn keys(&mut self, sections: &[String]) {
        let sections = sections.concat();
        let before = std::mem::replace(&mut self.sections, sections);
        let env = &mut self.site.env;
        env.edit("daypass.toml", &before, &self.sections);
        env.restart().await;
    }

    /// `daypass host sync` on a host, which makes its sshd show what it got. Whether it got
    /// something.
    async fn sync(&self, at: usize) -> bool {
        let report = self.hosts[at].json(&["sync"]).await;
        // Reports that its sshd shows it.
        self.hosts[at].json(&["sync"]).await;
        report["host"]["renewed"] == true
    }

    /// A user logs in, and is asked nothing.
    async fn logs_in(&self, line: &str) {
        for (name, host) in NAMES.into_iter().zip(&self.hosts) {
            let line = line.replace("HOST", name);
            let done = self.laptop.sh(&line).await;
            assert_eq!(done.stdout, "deploy\n", "{line}: {done:?} {}", log(host));
        }
    }

    /// The keys that signed each host's certificates, and why it is behind.
    async fn listed(&self) -> Vec<(Vec<String>, String)> {
        let listed = self.site.env.daypass("carol", "hosts --format json").await;
        let listed = listed.success();
        let hosts = listed["hosts"].as_array().unwrap().iter();
        let listed = hosts.map(|host| {
            let keys = host["certificate_ca_keys"].as_array().unwrap().iter();
            let keys = keys.map(|key| key.as_str().unwrap().to_owned()).collect();
            let why = host["behind"].as_array().unwrap().iter();
            let why: Vec<&str> = why.filter_map(Value::as_str).collect();
            (keys, why.join("; "))
        });
        listed.collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_ca_key_changes_in_three_steps_and_users_are_asked_and_refused_at_no_moment() {
    let mut story = Story::start().await;
    story.find_hosts().await;
    story.logs_in("ssh HOST id -un").await;
    let [(old, _), _] = &story.listed().await[..] else {
        panic!("two hosts")
    };
    let old = old.clone();
    let next = files::new_key();
    files::write_key(&story.site.env.folder().join("next_host_key"), &next);
    let new = vec![next.fingerprint(ssh_key::HashAlg::Sha256).to_string()];
    assert_ne!(old, new);

    let staged = [key("host_ca_key", "active"), key("next_host_key", "staged")];
    story.keys(&staged).await;
    assert!(!story.sync(0).await, "the old key still signs");
    story.logs_in("daypass ssh --fresh HOST -- id -un").await;
    let known = "grep -c '^@cert-authority' .local/state/daypass/known_hosts";
    assert_eq!(story.laptop.says(known).await, "2");

    let active = [
        key("next_host_key", "active"),
        key("host_ca_key", "retired"),
    ];
    story.keys(&active).await;
    assert!(story.sync(0).await);
    // With the passes that they have: neither host is asked about, the one with a new certificate,
    // and the one that was not there yet.
    story.logs_in("ssh HOST id -un").await;
    story.logs_in("daypass ssh --fresh HOST -- id -un").await;
    let none = String::new();
    assert_eq!(
        story.listed().await,
        [(new.clone(), none.clone()), (old.clone(), none.clone())]
    );

    // Too early: web-2 is named, and its users are refused until it has been there.
    story.keys(&[key("next_host_key", "active")]).await;
    let listed = story.listed().await;
    assert_eq!(listed[0].1, none);
    let why = format!(
        "its host certificate is by the key {}, which users no longer trust",
        old[0]
    );
    assert!(listed[1].1.contains(&why), "{listed:?}");
    story.laptop.says("daypass roles").await;
    let refused = story.laptop.sh("ssh web-2 id").await;
    assert_eq!(refused.code, 255, "{refused:?}");
    let refused = story.laptop.sh("daypass ssh web-2 -- id").await.stderr;
    assert!(
        refused.contains("`daypass host sync` on web-2"),
        "{refused}"
    );
    assert!(story.sync(1).await);
    assert_eq!(
        story.listed().await,
        [(new.clone(), none.clone()), (new, none)]
    );
    story.logs_in("ssh HOST id -un").await;
    story.site.env.close().await;
}
