//! Modes and owners, and what each gets. The process is a parameter, so no test needs another user.
#![allow(clippy::unwrap_used, reason = "tests: a panic is the failure")]

use super::*;

fn file(mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "text").unwrap();
    chmod(&path, mode);
    (folder, path)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The owner of what this test makes.
fn owner() -> Process {
    Process::current()
}

/// A user who reaches this test's files by their group alone, as a pod does with an `fsGroup`.
fn member() -> Process {
    Process {
        user: owner().user + 1,
        groups: owner().groups,
    }
}

/// A user who has nothing to do with them. (Root's own group counts as trusted.)
fn stranger() -> Process {
    Process {
        user: owner().user + 1,
        groups: BTreeSet::from([u32::MAX - 1]),
    }
}

#[test]
fn a_secret_is_readable_by_its_owner_alone() {
    for mode in [0o600, 0o400, 0o700] {
        let (_folder, path) = file(mode);
        assert_eq!(&*read_secret(&path, 10).unwrap(), "text", "{mode:o}");
    }
    for mode in [0o640, 0o440, 0o604, 0o644, 0o620, 0o601, 0o666, 0o777] {
        let (_folder, path) = file(mode);
        let said = read_secret(&path, 10).unwrap_err().to_string();
        let line = format!(
            "others can read it (mode {mode:03o}): run `chmod 600 {}`",
            path.display()
        );
        assert_eq!(said, line);
    }
}

#[test]
fn a_secret_of_root_and_the_daemons_own_group_is_accepted() {
    let judge = |mode, process: &Process| {
        let (_folder, path) = file(mode);
        let metadata = fs::metadata(&path).unwrap();
        expect_secret(&path, &metadata, process).map_err(|problem| problem.to_string())
    };
    for mode in [0o440, 0o640, 0o400, 0o600] {
        judge(mode, &member()).unwrap();
    }
    for mode in [0o444, 0o460, 0o660, 0o644, 0o441] {
        let said = judge(mode, &member()).unwrap_err();
        assert!(said.contains("run `chmod 440 "), "{mode:o}: {said}");
    }
    judge(0o440, &owner()).unwrap_err();
    let (_folder, path) = file(0o440);
    if fs::metadata(&path).unwrap().gid() != 0 {
        judge(0o440, &stranger()).unwrap_err();
    }
    judge(0o444, &stranger()).unwrap_err();
}

#[test]
fn what_the_daemon_obeys_is_written_by_its_owner_alone() {
    for mode in [0o644, 0o600, 0o755, 0o444] {
        let (_folder, path) = file(mode);
        assert_eq!(read_trusted_text(&path, 10).unwrap(), "text", "{mode:o}");
    }
    for mode in [0o664, 0o646, 0o666, 0o620, 0o602] {
        let (_folder, path) = file(mode);
        let said = read_trusted(&path, 10).unwrap_err().to_string();
        let line = format!(
            "others can write to it (mode {mode:03o}): run `chmod go-w {}`",
            path.display()
        );
        assert_eq!(said, line);
    }
}

#[test]
fn a_folder_that_others_can_write_to_protects_no_file() {
    for mode in [0o777, 0o770, 0o775, 0o703] {
        let (folder, path) = file(0o600);
        chmod(folder.path(), mode);
        for said in [
            read_trusted(&path, 10).unwrap_err().to_string(),
            read_secret(&path, 10).unwrap_err().to_string(),
        ] {
            let line = format!("run `chmod go-w {}`", folder.path().display());
            assert!(
                said.contains("the folder it lies in") && said.ends_with(&line),
                "{mode:o}: {said}"
            );
        }
    }
    let (folder, path) = file(0o600);
    chmod(folder.path(), 0o1777);
    read_trusted(&path, 10).unwrap();
}

#[test]
fn the_folder_behind_a_symbolic_link_is_the_one_that_counts() {
    let (_kept, path) = file(0o600);
    let open = tempfile::tempdir().unwrap();
    let target = open.path().join("target");
    fs::write(&target, "text").unwrap();
    chmod(&target, 0o600);
    let link = path.with_file_name("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    read_trusted(&link, 10).unwrap();
    chmod(open.path(), 0o777);
    read_trusted(&link, 10).unwrap_err();
}

#[test]
fn the_state_folder_is_its_owners_even_if_it_is_sticky() {
    let folder = tempfile::tempdir().unwrap();
    for mode in [0o700, 0o755, 0o750] {
        chmod(folder.path(), mode);
        expect_own_folder(folder.path()).unwrap();
    }
    for mode in [0o770, 0o1777, 0o777, 0o702] {
        chmod(folder.path(), mode);
        let said = expect_own_folder(folder.path()).unwrap_err().to_string();
        let line = format!("run `chmod go-w {}`", folder.path().display());
        assert!(said.ends_with(&line), "{mode:o}: {said}");
    }
    let metadata = |mode| {
        chmod(folder.path(), mode);
        fs::metadata(folder.path()).unwrap()
    };
    assert!(
        !is_open_folder(&metadata(0o2770), &member()),
        "a volume of the pod's fsGroup"
    );
    assert!(is_open_folder(&metadata(0o2777), &member()));
}

#[test]
fn what_is_too_large_or_not_text_is_refused_without_being_read_whole() {
    let (_folder, path) = file(0o600);
    assert!(matches!(read_secret(&path, 3), Err(Problem::TooLarge(3))));
    assert!(matches!(
        read_secret(Path::new("/dev/zero"), 100),
        Err(Problem::TooLarge(100))
    ));
    fs::write(&path, [0xff]).unwrap();
    assert!(matches!(read_secret(&path, 3), Err(Problem::NotText)));
    assert!(matches!(
        read_secret(&path.with_file_name("none"), 3),
        Err(Problem::Io(_))
    ));
}
