//! The memory over restarts, and what an operator makes of it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use tempfile::TempDir;

use super::*;
use crate::ledger::checkpoint::Signer;

fn signer(seed: u8) -> Signer {
    Signer::new("daypass.example.com/ledger", &[seed; 32]).unwrap()
}

fn ledger() -> Verifier {
    signer(7).verifier()
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn head(size: u64) -> (Head, String) {
    let root = [u8::try_from(size).unwrap(); 32];
    (Head { size, root }, signer(7).sign(size, root))
}

fn open(folder: &TempDir) -> Memory {
    Memory::open(folder.path(), &ledger()).unwrap()
}

/// A memory that has seen these heads.
fn seen(folder: &TempDir, sizes: &[u64]) -> Seen {
    let mut memory = open(folder);
    for size in sizes {
        let (head, note) = head(*size);
        memory.remember(head, &note).unwrap();
    }
    *memory.seen()
}

#[test]
fn what_is_remembered_is_there_after_a_restart() {
    let folder = folder();
    begin(folder.path()).unwrap();
    assert_eq!(open(&folder).seen().head, Head::empty());
    assert_eq!(seen(&folder, &[3, 9]).head.size, 9);
    assert_eq!(open(&folder).seen().head, head(9).0);
    let mode = fs::metadata(folder.path().join(CHECKPOINT)).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_signer_does_not_begin_a_memory_by_itself_nor_a_second_one() {
    let folder = folder();
    let missing = Memory::open(folder.path(), &ledger()).unwrap_err();
    assert!(matches!(missing, Error::Missing(_)), "{missing}");
    assert!(matches!(
        accept(folder.path(), &ledger(), None),
        Err(Error::Missing(_))
    ));
    begin(folder.path()).unwrap();
    seen(&folder, &[3]);
    assert!(matches!(begin(folder.path()), Err(Error::NotNew(_))));
    assert_eq!(open(&folder).seen().head.size, 3);
}

#[test]
fn a_memory_is_one_signers() {
    let folder = folder();
    begin(folder.path()).unwrap();
    let memory = open(&folder);
    assert!(matches!(
        Memory::open(folder.path(), &ledger()),
        Err(Error::Locked(_))
    ));
    let accepted = accept(folder.path(), &ledger(), None);
    assert!(matches!(accepted, Err(Error::Locked(_))));
    // A look beside it is no use of it.
    assert_eq!(look(folder.path(), &ledger()).unwrap().seen, *memory.seen());
    drop(memory);
    open(&folder);
}

#[test]
fn another_ledgers_or_a_changed_checkpoint_is_refused() {
    let folder = folder();
    begin(folder.path()).unwrap();
    seen(&folder, &[3]);
    let other = Memory::open(folder.path(), &signer(8).verifier()).unwrap_err();
    assert!(matches!(other, Error::Checkpoint { .. }), "{other}");
    let path = folder.path().join(CHECKPOINT);
    let text = fs::read_to_string(&path).unwrap();
    for changed in [
        text.replacen("\n3\n", "\n2\n", 1),
        String::new(),
        "nothing".to_owned(),
    ] {
        fs::write(&path, &changed).unwrap();
        let refused = Memory::open(folder.path(), &ledger()).unwrap_err();
        assert!(matches!(refused, Error::Checkpoint { .. }), "{refused}");
    }
    fs::write(&path, &text).unwrap();
    fs::write(folder.path().join(FLOOR), "many\n").unwrap();
    let refused = Memory::open(folder.path(), &ledger()).unwrap_err();
    assert!(matches!(refused, Error::Floor(_)), "{refused}");
}

#[test]
fn an_alarm_stays_until_an_operator_answers_it() {
    let folder = folder();
    begin(folder.path()).unwrap();
    seen(&folder, &[9]);
    let mut memory = open(&folder);
    memory.raise("the first").unwrap();
    memory.raise("the second").unwrap();
    assert_eq!(memory.alarm(), Some("the first"));
    drop(memory);
    assert_eq!(open(&folder).alarm(), Some("the first"));

    let kept = accept(folder.path(), &ledger(), None).unwrap();
    assert_eq!((kept.head.size, kept.floor), (9, 0));
    assert_eq!(open(&folder).alarm(), None);
}

#[test]
fn after_another_history_no_serial_of_the_old_one_is_signed_again() {
    let folder = folder();
    begin(folder.path()).unwrap();
    seen(&folder, &[9]);
    let (_, older) = head(5);
    let accepted = accept(folder.path(), &ledger(), Some(&older)).unwrap();
    assert_eq!((accepted.head.size, accepted.floor), (5, 9));
    assert_eq!(*open(&folder).seen(), accepted);
    // A second acceptance does not lower it.
    let accepted = accept(folder.path(), &ledger(), Some(&head(4).1)).unwrap();
    assert_eq!((accepted.head.size, accepted.floor), (4, 9));
    let foreign = signer(8).sign(20, [0; 32]);
    let refused = accept(folder.path(), &ledger(), Some(&foreign)).unwrap_err();
    assert!(matches!(refused, Error::Checkpoint { .. }), "{refused}");
    assert_eq!(open(&folder).seen().head.size, 4);
}

/// The floor was set back to 0, and serials whose passes may be out were signed again.
#[test]
fn a_lost_or_damaged_checkpoint_does_not_lower_the_floor() {
    for damage in [None, Some("nothing")] {
        let folder = folder();
        begin(folder.path()).unwrap();
        seen(&folder, &[9]);
        accept(folder.path(), &ledger(), Some(&head(5).1)).unwrap();
        let path = folder.path().join(CHECKPOINT);
        match damage {
            None => fs::remove_file(&path).unwrap(),
            Some(text) => fs::write(&path, text).unwrap(),
        }
        let accepted = accept(folder.path(), &ledger(), Some(&head(6).1)).unwrap();
        assert_eq!((accepted.head.size, accepted.floor), (6, 9), "{damage:?}");
        assert_eq!(*open(&folder).seen(), accepted);
    }
}

#[test]
fn a_lost_memory_begins_at_a_checkpoint_that_the_operator_trusts() {
    let folder = folder();
    let accepted = accept(folder.path(), &ledger(), Some(&head(9).1)).unwrap();
    assert_eq!((accepted.head.size, accepted.floor), (9, 0));
    assert_eq!(open(&folder).seen().head.size, 9);
}

#[test]
fn a_folder_that_cannot_be_written_remembers_nothing_and_signs_nothing() {
    let folder = folder();
    begin(folder.path()).unwrap();
    let mut memory = open(&folder);
    // The new file's name is taken by a folder, for root too.
    fs::create_dir(folder.path().join("checkpoint.new")).unwrap();
    let (head, note) = head(3);
    memory.remember(head, &note).unwrap_err();
    assert_eq!(memory.seen().head, Head::empty());
    fs::remove_dir(folder.path().join("checkpoint.new")).unwrap();
    memory.remember(head, &note).unwrap();
}
