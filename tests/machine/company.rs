//! One machine that is identity provider, server, host and laptop.

use std::ops::Deref;

use super::{machine::Machine, package};

/// A booted machine. The provider runs; Daypass is not installed.
pub(super) struct Company {
    machine: Machine,
    issuer: String,
}

impl Company {
    pub(super) fn start() -> Self {
        let machine = Machine::boot("web-1");
        package::strip(machine.shared());
        machine.says("root", "systemctl start ssh");
        machine.says("root", "useradd --create-home --shell /bin/bash ada");
        // Of a dev world only its provider is used.
        machine.says(
            "root",
            "systemd-run --quiet --unit=people --property=Type=notify --property=NotifyAccess=all \
             --property=User=ada --property=WorkingDirectory=/home/ada \
             /mnt/shared/daypass dev --dir /home/ada/dev -- /bin/sh -c 'systemd-notify --ready && exec sleep infinity'",
        );
        let line = r#"sed -n 's/^url *= *"\(.*\)"$/\1/p' /home/ada/dev/daypass.toml | head -n 1"#;
        let issuer = machine.says("root", line);
        Self { machine, issuer }
    }

    /// The provider's address.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Installs the package of this revision; returns what was said.
    pub(super) fn install(&self, revision: u32) -> String {
        package::build(self.shared(), revision);
        let line =
            format!("dpkg --force-unsafe-io --install /mnt/shared/daypass_{revision}.deb 2>&1");
        self.says("root", &line)
    }

    /// Makes keys and configuration.
    pub(super) fn init(&self) {
        self.init_with("");
    }

    /// The same with more options.
    pub(super) fn init_with(&self, more: &str) {
        let line = format!(
            "daypass init /etc/daypass --owner daypass --name daypass.example.com --issuer {} --client-id daypass {more} >said.txt",
            self.issuer
        );
        self.says("root", &line);
        self.says("root", "install -m 644 /etc/daypass/tls.pem /home/ada/");
    }

    /// Makes the machine a host of the group `web`.
    pub(super) fn set_up_host(&self) {
        let account = "useradd --create-home --shell /bin/bash deploy && usermod -p '*' deploy";
        self.says("root", account);
        self.says(
            "root",
            "daypass host setup --server https://daypass.example.com:7443 --group web \
             --ca-fingerprint $(sed -n 's/^CA key *//p' said.txt | head -n 1) --ca-file /etc/daypass/tls.pem",
        );
        self.says("root", "systemctl reload ssh");
    }

    /// Starts the timer of the sync, which a test has not the minutes for.
    pub(super) fn sync_every_second(&self) {
        let faster =
            "[Timer]\nOnActiveSec=\nOnActiveSec=0\nOnUnitActiveSec=1s\nRandomizedDelaySec=0\n";
        let folder = "/etc/systemd/system/daypass-sync.timer.d";
        self.says("root", &format!("mkdir -p {folder}"));
        self.write("root", &format!("{folder}/fast.conf"), faster);
        // So often, systemd would refuse a start: it allows five in ten seconds.
        let unlimited = "[Unit]\nStartLimitIntervalSec=0\n";
        let service = "/etc/systemd/system/daypass-sync.service.d";
        self.says("root", &format!("mkdir -p {service}"));
        self.write("root", &format!("{service}/often.conf"), unlimited);
        self.says(
            "root",
            "systemctl daemon-reload && systemctl enable --now --quiet daypass-sync.timer",
        );
    }

    /// Waits for a line of the sync in the journal.
    pub(super) fn wait_for_sync(&self, pattern: &str) -> String {
        let line = format!(
            "timeout 200 journalctl --follow --lines=all --output=cat --unit=daypass-sync | grep --max-count=1 '{pattern}'"
        );
        self.says("root", &line)
    }

    /// Has an administrator add the machine; returns the join code.
    pub(super) fn add_host(&self) -> String {
        let said =
            self.carol("daypass login --as carol && daypass admin hosts add web-1 --group web");
        said.rsplit("--join ").next().unwrap().trim().to_owned()
    }

    /// Runs a line of the administrator's, who has an account with the user.
    pub(super) fn carol(&self, line: &str) -> String {
        self.ada(&format!(
            "export DAYPASS_STATE_DIR=/home/ada/carol && {line}"
        ))
    }

    /// Runs a line of the user's, which must succeed.
    pub(super) fn ada(&self, line: &str) -> String {
        self.says("ada", &adas(line))
    }

    /// Runs a line of the user's that must fail with this code.
    pub(super) fn ada_fails(&self, line: &str, code: i32) -> String {
        self.fails("ada", &adas(line), code)
    }

    /// The value of a unit's property.
    pub(super) fn property(&self, unit: &str, name: &str) -> String {
        let line = format!("systemctl show --value --property={name} {unit}");
        self.says("root", &line)
    }

    /// The lines of a unit in the journal.
    pub(super) fn journal(&self, unit: &str) -> String {
        let line = format!("journalctl --sync && journalctl --output=cat --unit={unit}");
        self.says("root", &line)
    }
}

/// The line, in a shell that knows the provider's people and the server.
pub(super) fn adas(line: &str) -> String {
    let server = "https://daypass.example.com:7443";
    format!(
        "export DAYPASS_DEV=/home/ada/dev DAYPASS_SERVER={server} DAYPASS_CA_FILE=/home/ada/tls.pem\n{line}"
    )
}

impl Deref for Company {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}
