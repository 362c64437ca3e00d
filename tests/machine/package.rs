//! The Debian package, built by `dpkg-deb` from the list in Cargo.toml that cargo-deb reads. The
//! program in it is the one under test.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use tempfile::TempDir;

use super::support::command::DAYPASS;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What all tests of this process share. Their programs are hard links to one file.
struct Shared {
    /// The program under test, without debug information, which is most of it.
    program: PathBuf,
    /// What `packaging/stage` writes.
    stage: PathBuf,
}

/// The folder is that of the last run, made anew: nothing is dropped at the end of a process.
static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("machine-package");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let (program, stage) = (folder.join("daypass"), folder.join("stage"));
    run(Command::new("strip")
        .arg("-o")
        .args([&program, Path::new(DAYPASS)]));
    run(Command::new("/bin/bash")
        .arg(Path::new(ROOT).join("packaging/stage"))
        .args([&program, &stage]));
    Shared { program, stage }
});

/// Puts the program under test into this folder.
pub(super) fn strip(folder: &Path) {
    fs::hard_link(&SHARED.program, folder.join("daypass")).unwrap();
}

/// Builds `daypass_REVISION.deb` of the program in this folder: the version of Cargo.toml with this
/// revision.
pub(super) fn build(folder: &Path, revision: u32) {
    let manifest = manifest();
    let program = folder.join("daypass");
    let tree = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (source, target, mode) in assets(&manifest) {
        let source = match source.strip_prefix("target/package/") {
            Some(path) => SHARED.stage.join(path),
            None if source == "target/release/daypass" => program.clone(),
            None => Path::new(ROOT).join(source),
        };
        let files = matching(&source);
        assert!(!files.is_empty(), "no file is {}", source.display());
        for file in files {
            let mut place = tree.path().join(&target);
            if target.ends_with('/') {
                place.push(file.file_name().unwrap());
            }
            copy(&file, &place, mode);
        }
    }
    write_control(&manifest, &tree.path().join("DEBIAN"), revision);
    run(Command::new("chmod").arg("755").arg(tree.path()));
    run(Command::new("dpkg-deb")
        .args(["--root-owner-group", "-Znone", "--build"])
        .arg(tree.path())
        .arg(folder.join(format!("daypass_{revision}.deb"))));
}

/// Source, target and mode of each asset.
fn assets(manifest: &toml::Table) -> Vec<(String, String, u32)> {
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array();
    let asset = |asset: &toml::Value| {
        let [source, target, mode] = [0, 1, 2].map(|at| asset[at].as_str().unwrap().to_owned());
        (source, target, u32::from_str_radix(&mode, 8).unwrap())
    };
    assets.unwrap().iter().map(asset).collect()
}

fn write_control(manifest: &toml::Table, folder: &Path, revision: u32) {
    let package = &manifest["package"];
    let rules = &package["metadata"]["deb"];
    let scripts = Path::new(ROOT).join(rules["maintainer-scripts"].as_str().unwrap());
    for path in entries(&scripts) {
        copy(&path, &folder.join(path.file_name().unwrap()), 0o755);
    }
    let architecture = run(Command::new("dpkg").arg("--print-architecture"));
    let control = format!(
        "Package: {}\nVersion: {}-{revision}\nArchitecture: {}\nMaintainer: {}\nDescription: {}\n",
        package["name"].as_str().unwrap(),
        package["version"].as_str().unwrap(),
        architecture.trim(),
        rules["maintainer"].as_str().unwrap(),
        package["description"].as_str().unwrap(),
    );
    fs::write(folder.join("control"), control).unwrap();
}

/// The files of a path whose last part may have one `*`.
fn matching(path: &Path) -> Vec<PathBuf> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let Some((start, end)) = name.split_once('*') else {
        return vec![path.to_owned()];
    };
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(start) && name.ends_with(end)
    };
    let paths = entries(path.parent().unwrap());
    paths.into_iter().filter(fits).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn copy(file: &Path, place: &Path, mode: u32) {
    let folder = place.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    fs::copy(file, place).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
}

fn manifest() -> toml::Table {
    let text = fs::read_to_string(Path::new(ROOT).join("Cargo.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaints}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_page_unit_and_completion_is_in_the_package() {
    let stage = &SHARED.stage;
    let listed: BTreeSet<_> = assets(&manifest())
        .into_iter()
        .filter_map(|(source, _, _)| {
            let path = source.strip_prefix("target/package/")?.to_owned();
            Some(matching(&stage.join(path)))
        })
        .flatten()
        .collect();
    let mut made = BTreeSet::new();
    let mut open = vec![stage.clone()];
    while let Some(path) = open.pop() {
        match path.is_dir() {
            true => open.extend(entries(&path)),
            false => drop(made.insert(path)),
        }
    }
    assert_eq!(listed, made);
}

#[test]
fn no_file_of_the_package_is_an_administrators() {
    for (_, target, _) in assets(&manifest()) {
        assert!(target.starts_with("usr/"), "{target}");
    }
}
