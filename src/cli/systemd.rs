//! `daypass systemd`: the units, from the program itself.

mod units;

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{Failure, Global, failure::Code, output::clean, table::table};
use units::{DEFAULT_PROGRAM, Part, UnitFile};

/// Print or install the systemd units of a server, a host or a signer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print the files, each with its path.
    Print {
        /// The units of which machine.
        part: Part,
        /// The program that the units run.
        #[arg(long, value_name = "FILE", default_value = DEFAULT_PROGRAM)]
        program: PathBuf,
    },
    /// Write the files to /etc.
    ///
    /// A file that differs is replaced, and its former text is kept beside it as *.old. Changes
    /// that you make with `systemctl edit` are files of their own, and stay.
    Install {
        /// The units of which machine.
        part: Part,
        /// The program that the units run. By default this one, in /usr/local/bin or /usr/bin.
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// Write below this folder, for an image or a package.
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
}

impl Args {
    /// Runs the command.
    ///
    /// # Errors
    /// Returns code 2 if the units could not run the program, and 1 if a file cannot be written.
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        match self.action {
            Action::Print { part, program } => print(global, part, &program),
            Action::Install {
                part,
                program,
                root,
            } => {
                let program = program.map_or_else(installed_program, Ok)?;
                install(global, part, &program, &root)
            }
        }
    }
}

fn print(global: &Global, part: Part, program: &Path) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Printed {
        path: &'static str,
        text: String,
    }
    let mut files = Vec::new();
    for file in part.files() {
        let (path, text) = (file.path, file.text(program)?);
        files.push(Printed { path, text });
    }
    global.print(&files, |_| {
        let texts = files
            .iter()
            .map(|file| format!("# {}\n{}", file.path, file.text));
        texts.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    })
}

fn install(global: &Global, part: Part, program: &Path, root: &Path) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Installed {
        path: PathBuf,
        result: Written,
    }
    let mut files = Vec::new();
    for file in part.files() {
        let text = file.text(program)?;
        let path = below(root, file.path);
        let result = match packaged(root, file) {
            Some(_) => Written::Packaged,
            None => write(&path, &text).map_err(|error| {
                let message = format!("failed to write {}: {error}", path.display());
                Failure::new(Code::Failure, message)
            })?,
        };
        files.push(Installed { path, result });
    }
    global.print(&files, |_| {
        let row = |file: &Installed| vec![file.result.as_str().to_owned(), show(&file.path)];
        let rows: Vec<_> = files.iter().map(row).collect();
        format!("{}\n\n{}", table(&rows), part.next())
    })
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Written {
    New,
    Unchanged,
    /// The former text is beside it.
    Replaced,
    /// A package has the file elsewhere; a copy in /etc would hide the package's next one.
    Packaged,
}

impl Written {
    fn as_str(self) -> &'static str {
        match self {
            Self::New => "written",
            Self::Unchanged => "unchanged",
            Self::Replaced => "replaced, the former is *.old",
            Self::Packaged => "not written, a package has it",
        }
    }
}

/// Writes a file that systemd may read at any time.
fn write(path: &Path, text: &str) -> io::Result<Written> {
    let result = match fs::read(path) {
        Ok(former) if former == text.as_bytes() => return Ok(Written::Unchanged),
        Ok(_) => {
            let mut old = path.as_os_str().to_owned();
            old.push(".old");
            fs::rename(path, old)?;
            Written::Replaced
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Written::New,
        Err(error) => return Err(error),
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(result)
}

/// The path of the same file from a package, if there is one.
fn packaged(root: &Path, file: &UnitFile) -> Option<PathBuf> {
    let path = below(root, &file.path.replacen("/etc/", "/usr/lib/", 1));
    path.exists().then_some(path)
}

/// This program's path, where services can reach it.
fn installed_program() -> Result<PathBuf, Failure> {
    let this = std::env::current_exe()?.canonicalize()?;
    let is_this = |path: &&Path| path.canonicalize().is_ok_and(|path| path == this);
    let usual = [DEFAULT_PROGRAM, "/usr/bin/daypass"];
    let found = usual.iter().map(Path::new).find(is_this);
    found.map(Path::to_owned).ok_or_else(|| {
        let message = format!(
            "the units need a program that stays, and this one is {0}; put it where it belongs first, or name another with --program: install -m 755 {0} {DEFAULT_PROGRAM}",
            show(&this)
        );
        Failure::new(Code::Usage, message)
    })
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn show(path: &Path) -> String {
    clean(&path.display().to_string()).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_replaced_only_if_it_differs_and_the_former_is_kept() {
        let here = tempfile::tempdir().unwrap();
        let path = below(here.path(), "/etc/systemd/system/daypass.service");
        assert_eq!(write(&path, "one").unwrap(), Written::New);
        assert_eq!(write(&path, "one").unwrap(), Written::Unchanged);
        assert_eq!(write(&path, "two").unwrap(), Written::Replaced);
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let former = path.with_extension("service.old");
        assert_eq!(fs::read_to_string(former).unwrap(), "one");
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn a_packages_unit_is_not_hidden_by_a_copy() {
        let here = tempfile::tempdir().unwrap();
        let file = &Part::Server.files()[0];
        assert_eq!(packaged(here.path(), file), None);
        let path = below(here.path(), "/usr/lib/systemd/system/daypass.service");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(packaged(here.path(), file), Some(path));
    }

    #[test]
    fn a_program_that_does_not_stay_is_not_written_into_units() {
        // The test's own program is in a build folder.
        let failure = installed_program().unwrap_err();
        assert!(failure.message.contains("install -m 755 /"));
    }
}
