//! Log files that grow, are rotated, and are gone; logins in parts that the server takes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    cell::Cell,
    fs,
    io::Write,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_795_987_801);

/// A log file, and the place up to which it was read.
struct Log {
    folder: TempDir,
    place: Place,
    /// The time of the last write.
    second: Cell<u64>,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.log");
        fs::write(&path, "").unwrap();
        let log = LoginLog::File(path);
        let place = begin(&Layout::new(folder.path()), &log, NOW).unwrap();
        Self {
            folder,
            place,
            second: Cell::new(NOW.get()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self, serial: u64) {
        self.append(&format!("{}\n", accepted(serial)));
    }

    fn append(&self, text: &str) {
        let mut options = fs::OpenOptions::new();
        let file = options
            .append(true)
            .create(true)
            .open(self.path("auth.log"));
        let mut file = file.unwrap();
        file.write_all(text.as_bytes()).unwrap();
        // A second later than the write before: the clock of a file system is coarse.
        let second = self.second.get() + 1;
        self.second.set(second);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        file.set_modified(at).unwrap();
    }

    /// The serials since the last time, and whether lines are gone.
    async fn read(&mut self) -> (Vec<u64>, bool) {
        let path = self.path("auth.log");
        let part = log_file::read(&path, &self.place).await.unwrap();
        self.place.at = part.at;
        let zone = TimeZone::UTC;
        let logins = part.lines.iter();
        let logins = logins.filter_map(|line| login(&line.bytes, &BTreeSet::new(), (NOW, &zone)));
        let serials = logins.map(|it| it.certificate.unwrap().serial).collect();
        (serials, part.is_gap)
    }
}

fn accepted(serial: u64) -> String {
    format!(
        "Nov 29 21:30:01 web-1 sshd[7]: Accepted publickey for root from 192.0.2.7 port 1 ssh2: ED25519-CERT \
         SHA256:kkkk ID alice/shell (serial {serial}) CA ED25519 SHA256:cccc"
    )
}

#[tokio::test]
async fn each_whole_line_is_read_once() {
    let mut log = Log::new();
    log.log(1);
    log.append("Nov 29 21:30:02 web-1 sudo: x\n");
    log.log(2);
    assert_eq!(log.read().await, (vec![1, 2], false));
    assert_eq!(log.read().await, (vec![], false));
    let line = accepted(3);
    let (start, end) = line.split_at(60);
    log.append(start);
    assert_eq!(log.read().await, (vec![], false), "half a line");
    log.append(&format!("{end}\n"));
    assert_eq!(log.read().await, (vec![3], false));
    log.append(&format!("{}\n", "x".repeat(200_000)));
    log.log(4);
    assert_eq!(log.read().await, (vec![4], false), "behind a line too long");
}

#[tokio::test]
async fn the_rest_of_a_renamed_file_is_read_before_the_new_one() {
    let mut log = Log::new();
    log.log(1);
    assert_eq!(log.read().await, (vec![1], false));
    log.log(2);
    fs::rename(log.path("auth.log"), log.path("auth.log.1")).unwrap();
    log.log(3);
    assert_eq!(log.read().await, (vec![2, 3], false));
    // Twice between two readings.
    log.log(4);
    fs::rename(log.path("auth.log.1"), log.path("auth.log.2")).unwrap();
    fs::rename(log.path("auth.log"), log.path("auth.log.1")).unwrap();
    log.log(5);
    fs::rename(log.path("auth.log"), log.path("auth.log-20261130")).unwrap();
    log.log(6);
    assert_eq!(log.read().await, (vec![4, 5, 6], false));
}

#[tokio::test]
async fn a_file_that_was_empty_at_its_place_is_known_when_it_is_renamed() {
    let mut log = Log::new();
    assert_eq!(log.read().await, (vec![], false));
    log.log(1);
    fs::rename(log.path("auth.log"), log.path("auth.log.1")).unwrap();
    log.log(2);
    assert_eq!(log.read().await, (vec![1, 2], false));
}

#[tokio::test]
async fn a_file_that_was_copied_and_truncated_is_found_by_its_content() {
    let mut log = Log::new();
    log.log(1);
    assert_eq!(log.read().await, (vec![1], false));
    log.log(2);
    fs::copy(log.path("auth.log"), log.path("auth.log.1")).unwrap();
    fs::write(log.path("auth.log"), "").unwrap();
    // As long as it was, and longer.
    for serial in 30..40 {
        log.log(serial);
    }
    let expected = [2].into_iter().chain(30..40).collect();
    assert_eq!(log.read().await, (expected, false));
}

#[tokio::test]
async fn lines_that_are_gone_are_said_and_the_new_file_is_read() {
    let mut log = Log::new();
    log.log(1);
    assert_eq!(log.read().await, (vec![1], false));
    log.log(2);
    // Compressed at once.
    fs::rename(log.path("auth.log"), log.path("auth.log.1.gz")).unwrap();
    log.log(3);
    assert_eq!(log.read().await, (vec![3], true));
    assert_eq!(log.read().await, (vec![], false));
    fs::remove_file(log.path("auth.log")).unwrap();
    let path = log.path("auth.log");
    let missing = log_file::read(&path, &log.place).await.unwrap_err();
    assert!(missing.to_string().contains("auth.log"), "{missing}");
}

#[tokio::test]
async fn a_long_log_is_read_in_parts() {
    let mut log = Log::new();
    let text: Vec<String> = (0..2500).map(|serial| accepted(serial) + "\n").collect();
    log.append(&text.concat());
    let mut all = Vec::new();
    for expected in [1000, 1000, 500, 0] {
        let (serials, is_gap) = log.read().await;
        assert_eq!((serials.len(), is_gap), (expected, false));
        all.extend(serials);
    }
    assert_eq!(all, (0..2500).collect::<Vec<_>>());
}

#[test]
fn reports_are_as_large_as_the_server_takes() {
    let login = |size: usize| Login {
        logged_at: Some(NOW.get()),
        login: "x".repeat(size),
        ..Login::default()
    };
    let sizes = |logins: &[Login]| {
        reports(logins)
            .iter()
            .map(|it| it.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(&[]), Vec::<usize>::new());
    assert_eq!(sizes(&vec![login(10); 250]), [100, 100, 50]);
    let large = sizes(&vec![login(LONGEST_TEXT); 100]);
    assert!(
        large.iter().all(|it| it * LONGEST_TEXT <= 32 * 1024) && large.iter().sum::<usize>() == 100
    );
}

#[test]
fn the_logins_of_another_ca_are_not_reported_and_hostile_text_is_one_line() {
    let others = ["SHA256:cccc".to_owned()].into();
    let line = accepted(1);
    assert!(login(line.as_bytes(), &others, (NOW, &TimeZone::UTC)).is_none());
    let hostile = line.replace(
        "alice/shell",
        &format!("\u{1b}[2J\u{202e}\u{200b}{}", "x".repeat(5000)),
    );
    let read = login(hostile.as_bytes(), &BTreeSet::new(), (NOW, &TimeZone::UTC)).unwrap();
    let key_id = read.certificate.unwrap().key_id;
    assert!(key_id.len() <= LONGEST_TEXT && !key_id.contains(crate::ssh::printable::is_active));
}

#[test]
fn another_log_is_read_from_the_time_on_up_to_which_the_last_one_was() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    let path = folder.path().join("auth.log");
    fs::write(&path, "x\n").unwrap();
    fs::create_dir_all(layout.logins().parent().unwrap()).unwrap();
    let (journal, file) = (LoginLog::Journal, LoginLog::File(path));
    for (old, new) in [(&journal, &file), (&file, &journal)] {
        let _ = fs::remove_file(layout.logins());
        begin(&layout, old, NOW).unwrap().save(&layout).unwrap();
        let later = UnixSeconds(NOW.get() + 500);
        let place = begin(&layout, new, later).unwrap();
        assert_eq!(
            (&place.log, place.until, place.at),
            (new, NOW, At::Since(NOW))
        );
    }
}

#[tokio::test]
async fn after_each_line_a_reading_goes_on_behind_it() {
    let mut log = Log::new();
    log.log(1);
    log.append("x\n");
    log.log(2);
    fs::rename(log.path("auth.log"), log.path("auth.log.1")).unwrap();
    log.log(3);
    let path = log.path("auth.log");
    let part = log_file::read(&path, &log.place).await.unwrap();
    let rests = [vec![2, 3], vec![3], vec![]];
    assert_eq!(part.lines.len(), rests.len());
    for (line, rest) in part.lines.into_iter().zip(rests) {
        log.place.at = line.end;
        assert_eq!(log.read().await, (rest, false));
    }
}

/// The first boot of a machine has a clock that is ahead.
#[test]
fn a_clock_that_was_put_back_is_a_gap_and_the_log_is_read_from_now_on() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::new(folder.path());
    fs::create_dir_all(layout.logins().parent().unwrap()).unwrap();
    let ahead = UnixSeconds(NOW.get() + 100 * 24 * 3600);
    let journal = LoginLog::Journal;
    let start = begin(&layout, &journal, ahead).unwrap();
    start.save(&layout).unwrap();
    assert_eq!(until(&layout, NOW), Some(NOW), "not the future");
    let path = folder.path().join("auth.log");
    for log in [journal, LoginLog::File(path)] {
        let place = begin(&layout, &log, NOW).unwrap();
        assert_eq!((&place.at, place.until), (&At::Since(NOW), NOW));
        place.save(&layout).unwrap();
        let told = gap(&layout, NOW).unwrap().unwrap();
        assert!(
            told.contains("the clock of this host was put back"),
            "{told}"
        );
        start.save(&layout).unwrap();
    }
    // A place that is no time stays, and so does one of the past.
    let cursor = At::Cursor("s=1".to_owned());
    for (at, until) in [(cursor, ahead), (At::Since(NOW), NOW)] {
        let place = Place {
            at: at.clone(),
            until,
            ..start.clone()
        }
        .not_after(NOW);
        assert_eq!((place.at, place.until, place.gap), (at, NOW, None));
    }
    // So does not a gap that was noticed in the future.
    let noticed = Gap {
        noticed: ahead,
        since: NOW,
    };
    assert!(noticed.is_recent(ahead) && !noticed.is_recent(NOW));
}
