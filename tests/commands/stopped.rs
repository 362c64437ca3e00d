//! Commands beside another one that is stopped, as by Ctrl-Z, while it has a lock.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::support::{command::Terminal, files::folder};

/// Bound on each step; only a hang reaches it.
const SOON: Duration = Duration::from_secs(50);

/// A stopped command that had the lock on the state folder blocked all others for ever, without a
/// word.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_for_a_stopped_one_names_it_and_goes_on_when_that_is_killed() {
    let folder = folder();
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let terminal = Terminal {
        home: folder.path().to_owned(),
        state: folder.path().join("state"),
        variables: vec![("DAYPASS_SERVER".to_owned(), url)],
    };
    let mut holder = terminal
        .command(&["login", "--print-audience"])
        .spawn()
        .unwrap();
    let id = holder.id().unwrap();
    let pid = Pid::from_raw(id.cast_signed()).unwrap();
    let lock = terminal.file("lock");
    let named = format!("pid {id}, since ");
    let locked = async {
        while !fs::read_to_string(&lock).is_ok_and(|text| text.starts_with(&named)) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, locked).await.unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let mut waiting = terminal.command(&["logout"]).spawn().unwrap();
    let mut lines = BufReader::new(waiting.stderr.take().unwrap()).lines();
    let told = timeout(SOON, lines.next_line()).await.unwrap().unwrap();
    let told = told.unwrap_or_default();
    let begin = format!("note: another daypass command ({named}");
    let end = format!(" has {}; waiting for it, 58 s at most", lock.display());
    assert!(told.starts_with(&begin) && told.ends_with(&end), "{told}");
    holder.kill().await.unwrap();
    let ended = timeout(SOON, waiting.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(lines.next_line().await.unwrap(), None, "one line");
}
