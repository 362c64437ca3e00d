//! The files of `systemd/`, which are part of the program.

use std::path::Path;

use crate::cli::{Failure, failure::Code, output::clean};

/// The program that the files of `systemd/` run.
pub(super) const DEFAULT_PROGRAM: &str = "/usr/local/bin/daypass";

/// The machine that the units are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// The server: its service, its port, and its account.
    Server,
    /// A host that accepts passes: the sync of CA keys and revocations, and its timer.
    Host,
    /// The signer, which keeps the CA key in a process of its own: its service, the template of
    /// further signers, and the accounts.
    Signer,
}

/// A file and its place.
#[derive(Debug)]
pub(super) struct UnitFile {
    /// The place of an administrator's file. A package's is in /usr/lib.
    pub(super) path: &'static str,
    text: &'static str,
}

const SERVER: &[UnitFile] = &[
    UnitFile {
        path: "/etc/systemd/system/daypass.service",
        text: include_str!("../../../systemd/daypass.service"),
    },
    UnitFile {
        path: "/etc/systemd/system/daypass.socket",
        text: include_str!("../../../systemd/daypass.socket"),
    },
    UnitFile {
        path: "/etc/sysusers.d/daypass.conf",
        text: include_str!("../../../systemd/daypass.sysusers"),
    },
];

const HOST: &[UnitFile] = &[
    UnitFile {
        path: "/etc/systemd/system/daypass-sync.service",
        text: include_str!("../../../systemd/daypass-sync.service"),
    },
    UnitFile {
        path: "/etc/systemd/system/daypass-sync.timer",
        text: include_str!("../../../systemd/daypass-sync.timer"),
    },
];

const SIGNER: &[UnitFile] = &[
    UnitFile {
        path: "/etc/systemd/system/daypass-signer.service",
        text: include_str!("../../../systemd/daypass-signer.service"),
    },
    UnitFile {
        path: "/etc/systemd/system/daypass-signer@.service",
        text: include_str!("../../../systemd/daypass-signer@.service"),
    },
    UnitFile {
        path: "/etc/sysusers.d/daypass-signer.conf",
        text: include_str!("../../../systemd/daypass-signer.sysusers"),
    },
];

impl Part {
    pub(super) fn files(self) -> &'static [UnitFile] {
        match self {
            Self::Server => SERVER,
            Self::Host => HOST,
            Self::Signer => SIGNER,
        }
    }

    /// The commands that follow.
    pub(super) fn next(self) -> &'static str {
        match self {
            Self::Server => {
                "Next:\n  \
                 systemd-sysusers           the account daypass, if there is none\n  \
                 daypass init /etc/daypass --owner daypass --name HOST     if it was not yet\n  \
                 systemctl daemon-reload && systemctl enable --now daypass.socket daypass.service"
            }
            Self::Host => {
                "Next:\n  \
                 systemctl daemon-reload && systemctl enable --now daypass-sync.timer"
            }
            Self::Signer => {
                "Next:\n  \
                 systemd-sysusers           the accounts of signers, if there are none\n  \
                 daypass help signer        the key, signer.toml and the memory\n  \
                 systemctl daemon-reload && systemctl enable --now daypass-signer.service"
            }
        }
    }
}

impl UnitFile {
    /// The text, with this program in its commands.
    ///
    /// # Errors
    /// Returns code 2 if systemd would read the path as something else.
    pub(super) fn text(&self, program: &Path) -> Result<String, Failure> {
        let path = program.to_str().unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
        if !path.starts_with('/') || path.ends_with('/') || !path.chars().all(is_plain) {
            let message = format!(
                "invalid --program {:?}: give an absolute path of letters, digits and ./_+-, such as {DEFAULT_PROGRAM}",
                clean(&program.display().to_string())
            );
            return Err(Failure::new(Code::Usage, message));
        }
        let lines = self.text.lines().map(|line| match line.split_once('=') {
            Some(("ExecStart" | "ExecReload", _)) => line.replacen(DEFAULT_PROGRAM, path, 1) + "\n",
            _ => format!("{line}\n"),
        });
        Ok(lines.collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_unit_of_the_folder_is_part_of_the_program() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd");
        let there: BTreeSet<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .filter(|text| !text.starts_with("#!"))
            .collect();
        let files = [SERVER, HOST, SIGNER].into_iter().flatten();
        let ours: BTreeSet<_> = files
            .map(|file| file.text(Path::new(DEFAULT_PROGRAM)).unwrap())
            .collect();
        assert_eq!(ours, there);
    }

    #[test]
    fn units_run_the_program_that_is_there() {
        for file in [SERVER, HOST, SIGNER].into_iter().flatten() {
            let text = file.text(Path::new("/usr/bin/daypass")).unwrap();
            let commands = text.lines().filter(|line| line.starts_with("Exec"));
            for command in commands.filter(|line| line.contains("daypass")) {
                assert!(command.contains("=/usr/bin/daypass "), "{command}");
            }
        }
    }

    /// All signers have the same sandbox.
    #[test]
    fn the_template_of_signers_is_the_unit_of_the_signer_with_the_name_of_the_instance() {
        let settings = |path: &str| {
            let file = SIGNER.iter().find(|file| file.path.ends_with(path));
            let lines = file.unwrap().text.lines();
            let lines = lines.filter(|line| !line.starts_with('#') && !line.is_empty());
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let plain = settings("/daypass-signer.service").into_iter();
        let named = plain.map(|line| match line.split_once('=') {
            Some(("Documentation" | "Description", _)) => line.replace("Signer of", "Signer %i of"),
            _ => line.replace("daypass-signer", "daypass-%i-signer"),
        });
        assert_eq!(
            settings("/daypass-signer@.service"),
            named.collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_path_that_systemd_would_read_otherwise_is_refused() {
        let file = &SERVER[0];
        for path in [
            "daypass",
            "/opt/day pass",
            "/opt/%h",
            "/opt/a\nUser=root",
            "/opt/",
            "",
        ] {
            assert!(file.text(Path::new(path)).is_err(), "{path:?}");
        }
    }
}
