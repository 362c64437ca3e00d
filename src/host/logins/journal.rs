//! sshd's entries in the systemd journal, by `journalctl`.

use std::{process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{
    part::{Line, MOST_BYTES, MOST_LOGINS, Part, is_login},
    place::{At, Place},
};
use crate::{
    host::Error,
    ssh::sshd_log::{LONGEST_LINE, PROGRAMS},
};

/// Time for one reading.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of `journalctl`'s complaint that are shown at most.
const LONGEST_COMPLAINT: u64 = 1024;

/// The fields of an entry that are read. The journal always adds cursor and time.
const FIELDS: &str = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_HOSTNAME,_UID";

/// Entries of other accounts, which may log in sshd's name, use up no room.
const ROOT: &str = "_UID=0";

/// Reads the entries after the place.
///
/// # Errors
/// Returns [`Error::Sshd`] if there is no journal, or it cannot be read.
pub(super) async fn read(place: &Place) -> Result<Part, Error> {
    let (from, cursor) = match &place.at {
        At::Cursor(cursor) => (format!("--cursor={cursor}"), Some(cursor.as_str())),
        At::Since(since) => (format!("--since=@{}", since.get()), None),
        At::Offset { .. } => (format!("--since=@{}", place.until.get()), None),
    };
    let programs = PROGRAMS.iter().map(|name| format!("--identifier={name}"));
    let words: Vec<String> = programs
        .chain([from, FIELDS.to_owned(), ROOT.to_owned()])
        .collect();
    let mut part = Part {
        at: place.at.clone(),
        ..Part::default()
    };
    let mut first = First::None;
    let mut child = start(&words)?;
    let reading = entries(&mut child, cursor, (&mut part, &mut first));
    match timeout(PATIENCE, reading).await {
        Ok(read) => read?,
        Err(_) if part.at == place.at => return Err(failed("it does not answer")),
        // A gap before what was read in time counts all the same.
        Err(_) => part.has_more = true,
    }
    match (first, cursor) {
        (First::None, None) => expect_journal().await?,
        (First::None, Some(_)) => {
            // The entry of the place is gone, and with it perhaps later ones.
            expect_journal().await?;
            part.is_gap = true;
            part.at = At::Since(place.until);
        }
        (First::Other, Some(_)) => part.is_gap = true,
        (First::Other | First::Expected, _) => {}
    }
    Ok(part)
}

/// The first entry.
enum First {
    None,
    /// That of the cursor.
    Expected,
    Other,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "__CURSOR")]
    cursor: String,
}

/// Takes the entries in, up to the bounds.
async fn entries(
    child: &mut Child,
    cursor: Option<&str>,
    (part, first): (&mut Part, &mut First),
) -> Result<(), Error> {
    let output = child
        .stdout
        .take()
        .ok_or_else(|| failed("it says nothing"))?;
    let mut output = BufReader::new(output);
    let (mut bytes, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = output.read_until(b'\n', &mut line).await;
        let read = read.map_err(Error::file("journalctl"))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        let Ok(entry) = serde_json::from_slice::<Entry>(&line) else {
            continue;
        };
        let is_place = cursor == Some(entry.cursor.as_str());
        if matches!(first, First::None) {
            *first = match is_place {
                true => First::Expected,
                false => First::Other,
            };
        }
        part.at = At::Cursor(entry.cursor);
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        if !is_place && text.len() <= LONGEST_LINE && is_login(text) {
            part.lines.push(Line {
                bytes: text.to_vec(),
                end: part.at.clone(),
            });
        }
        if bytes >= MOST_BYTES || part.lines.len() >= MOST_LOGINS {
            part.has_more = true;
            // Dropping it ends it.
            return Ok(());
        }
    }
    expect_success(child).await
}

fn start(words: &[String]) -> Result<Child, Error> {
    let mut command = Command::new("journalctl");
    command
        .args(["--no-pager", "--quiet", "--output=json"])
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().map_err(|error| {
        failed(&format!(
            "it cannot be run ({error}); without systemd, name sshd's log: --logins=/var/log/auth.log"
        ))
    })
}

async fn expect_success(child: &mut Child) -> Result<(), Error> {
    let mut said = String::new();
    if let Some(errors) = child.stderr.take() {
        let mut errors = errors.take(LONGEST_COMPLAINT);
        let _ = errors.read_to_string(&mut said).await;
    }
    let status = child.wait().await.map_err(Error::file("journalctl"))?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(said.trim())),
    }
}

/// Checks that the journal has an entry of some program that can be read here.
async fn expect_journal() -> Result<(), Error> {
    let mut child = start(&["--lines=1".to_owned(), FIELDS.to_owned()])?;
    let mut output = child
        .stdout
        .take()
        .ok_or_else(|| failed("it says nothing"))?;
    let mut byte = [0];
    let read = timeout(PATIENCE, output.read(&mut byte)).await;
    let read = read.map_err(|_| failed("it does not answer"))?;
    match read.map_err(Error::file("journalctl"))? {
        0 => Err(failed(
            "this machine has no journal, or this account may not read it (group systemd-journal); if sshd logs to a \
             file, name it: --logins=/var/log/auth.log",
        )),
        _ => Ok(()),
    }
}

fn failed(why: &str) -> Error {
    Error::Sshd(format!("failed to read sshd's logins by journalctl: {why}"))
}
