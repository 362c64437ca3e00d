//! `daypass ledger` at a terminal, in a pipe and under signals.

use std::{fs, net::TcpListener, process::Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    command::{DAYPASS, Done},
    env::TestEnv,
    running::Running,
};

/// Runs `daypass WORDS` as Carol does at a terminal of this width, in this time zone.
async fn on_terminal(env: &TestEnv, columns: u32, zone: &str, words: &str) -> String {
    let line = format!("stty cols {columns}; {DAYPASS} {words}");
    let terminal = env.terminal("carol");
    let mut command = terminal.program("script", &["-qefc", &line, "/dev/null"]);
    command.env("TZ", zone);
    let done = Done::of(command).await.exits(words, 0);
    done.stdout.replace('\r', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_fits_the_terminal_and_has_its_times() {
    let env = TestEnv::new().signed_in(&["bob", "carol"]).start().await;
    let words = ["--comment", "障害が発生しました, and more"];
    let urgent = env.daypass("bob", "request prod --reason INC-9 --emergency");
    let serial = urgent.await.exits("emergency", 0).json()["serial"].clone();
    env.run("carol", &format!("review {serial} --yes"), &words)
        .await
        .exits("review", 0);

    let wide = on_terminal(&env, 400, "Asia/Tokyo", "ledger list").await;
    let (heads, rows) = wide.split_once('\n').unwrap();
    assert!(heads.starts_with("INDEX  TIME  "), "{wide}");
    assert!(rows.lines().all(|row| row.contains(" JST  ")), "{wide}");
    assert!(!wide.contains('…'), "{wide}");
    // At 80 places, the rows were wrapped.
    for width in [100, 80] {
        let narrow = on_terminal(&env, width, "UTC", "ledger list").await;
        assert!(narrow.contains('…'), "{narrow}");
        assert!(width < 100 || narrow.contains("障害"), "{narrow}");
        for line in narrow.lines() {
            // These letters take two places each.
            let wide = line.chars().filter(|it| ('あ'..='龥').contains(it)).count();
            assert!(line.chars().count() + wide <= width as usize, "{narrow}");
        }
    }
    // A pipe gets whole texts and UTC.
    let mut piped = env.terminal("carol").command(&["ledger", "list"]);
    piped.env("TZ", "Asia/Tokyo").env("COLUMNS", "40");
    let piped = Done::of(piped).await.exits("a pipe", 0).stdout;
    assert!(piped.contains("Z  issued"), "{piped}");
    assert!(!piped.contains(" JST") && !piped.contains('…'), "{piped}");
    for format in ["csv", "json"] {
        let words = format!("ledger list --format {format}");
        let text = on_terminal(&env, 40, "Asia/Tokyo", &words).await;
        assert!(!text.contains(" JST") && !text.contains('…'), "{text}");
        assert!(text.contains("発生しました, and more"), "{text}");
    }
    let words = format!("ledger show {serial}");
    let shown = on_terminal(&env, 40, "Europe/Vienna", &words).await;
    let is_local = shown.contains(" CET (") || shown.contains(" CEST (");
    assert!(is_local, "{shown}");
    let proven = format!("\nproven: event {serial} is in the ledger of ");
    let at = |text: &str| {
        shown
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {shown}"))
    };
    assert!(at(&proven) < at("\nrelated, as the server lists them"));
    assert!(at("\nrelated") < at("  reviewed  carol@example.com"));
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_emergency_is_found_with_its_denials_and_reviews() {
    let people = ["bob", "mallory", "carol"];
    let env = TestEnv::new().signed_in(&people).start().await;
    let urgent = async |who: &str, code: i32| {
        let asked = env.daypass(who, "request prod --reason INC-9 --emergency");
        asked.await.exits(who, code)
    };
    let first = urgent("bob", 0).await.json()["serial"].as_u64().unwrap();
    urgent("mallory", 3).await;
    env.daypass("bob", "pass --role logs --param unit=nginx")
        .await
        .exits("an ordinary pass", 0);
    let review = format!("review {first} --yes --comment seen");
    env.daypass("carol", &review).await.exits("review", 0);
    let second = urgent("bob", 0).await.json()["serial"].as_u64().unwrap();
    let found = async |words: &str| {
        let listed = env.daypass("carol", format!("ledger list {words}")).await;
        let listed = listed.exits(words, 0).json();
        let events = listed["events"].as_array().unwrap().clone();
        events
            .iter()
            .map(|event| format!("{} {}", event["index"], event["type"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let (passed, denied) = (format!("{second} issued"), format!("{} denied", first + 1));
    let reviewed = format!("{} reviewed", first + 3);
    let issued = format!("{first} issued");
    let all = found("--event emergency").await;
    assert_eq!(all, [&*passed, &*reviewed, &*denied, &*issued]);
    let open = found("--event emergency --unreviewed").await;
    assert_eq!(open, [&*passed]);
    let denials = found("--event emergency --who mallory").await;
    assert_eq!(denials, [&*denied]);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_is_said_with_the_near_ones() {
    let env = TestEnv::new().signed_in(&["alice", "carol"]).start().await;
    let pass = env.daypass("alice", "pass --role logs --param unit=nginx");
    pass.await.exits("a pass", 0);
    for (case, words, code, said) in [
        (
            "a person",
            "--who alcie",
            0,
            "--who \"alcie\" is unknown here (near: alice",
        ),
        (
            "nothing near",
            "--who zzzzzz",
            0,
            "--who \"zzzzzz\" is unknown here",
        ),
        (
            "a role",
            "--role lgos",
            0,
            "--role \"lgos\" is unknown here (near: logs)",
        ),
        (
            "a kind",
            "--event isued",
            2,
            "unknown kind of event (near: issued); there are: ",
        ),
        ("emergencies", "--event emergancy", 2, "(near: emergency)"),
    ] {
        let done = env.daypass("carol", format!("ledger list {words}")).await;
        let done = done.exits(case, code);
        assert!(
            done.stderr.replace('\\', "").contains(said),
            "{case}: {done:?}"
        );
    }
    for (case, words) in [
        (
            "a known person without such events",
            "--who alice --event locked",
        ),
        ("a known role without such events", "--role prod"),
        ("a person who is found", "--who alice@example.com"),
        ("a key", "--who SHA256:zzzz"),
    ] {
        let done = env.daypass("carol", format!("ledger list {words}")).await;
        assert_eq!(done.exits(case, 0).stderr, "", "{case}");
    }
    env.close().await;
}

/// Lists of this environment do not fit into a pipe (64 KiB).
async fn long() -> TestEnv {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    let alice = env.user("alice", &["sre"]);
    for _ in 0..120 {
        alice.issue(crate::support::api::ask("shell")).await.ok();
    }
    env
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_enough_ends_the_command_in_silence() {
    let env = long().await;
    for words in [
        "ledger list --limit 1000 --format json",
        "ledger list --limit 1000 --format csv",
        "ledger list --limit 1000",
        "ledger export --out -",
    ] {
        let line = format!("{DAYPASS} {words} | head -c 1 >&2; echo ${{PIPESTATUS[0]}}");
        let command = env.terminal("carol").program("bash", &["-c", &line]);
        let done = Done::of(command).await.exits(words, 0);
        assert_eq!(done.stdout, "0\n", "{words}: {done:?}");
        assert_eq!(done.stderr.len(), 1, "{words}: {done:?}");
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_command_whose_reader_has_stopped() {
    let env = long().await;
    let mut command = env.command("carol", "ledger list --limit 1000", &[]);
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    // What is written does not fit, and nothing more is read.
    let stdout = child.stdout.as_mut().unwrap();
    stdout.read_u8().await.unwrap();
    let (code, said) = Running::of(child).interrupted().await;
    assert_eq!((code, said.as_str()), (Some(130), ""));
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_one_of_the_zone_in_which_times_are_shown() {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    // It is another day there than in UTC at some hour, and two days apart from each other.
    let (east, west) = ("Etc/GMT-14", "Etc/GMT+12");
    let first = env.daypass("carol", "ledger show 0").await.exits("show", 0);
    let first = first.json()["at"].as_str().unwrap().to_owned();
    // The day of the first event there.
    let day_in = async |zone: &str| {
        let mut date = env
            .terminal("carol")
            .program("date", &["+%F", "-d", &first]);
        date.env("TZ", zone);
        Done::of(date)
            .await
            .exits("date", 0)
            .stdout
            .trim()
            .to_owned()
    };
    let listed = async |zone: &str, words: &str| {
        on_terminal(&env, 400, zone, &format!("ledger list {words}")).await
    };
    for (zone, offset) in [(east, " +14  "), (west, " -12  ")] {
        let day = day_in(zone).await;
        let shown = listed(zone, &format!("--since {day}")).await;
        let note = format!("note: {day} is the day in {zone}; for UTC add --utc\n");
        assert!(shown.contains(&note), "{shown}");
        assert!(shown.contains("  started  "), "{shown}");
        // Each event's time, and not a letter that a fingerprint may hold too.
        let mut events = (shown.lines()).filter(|line| line.starts_with(char::is_numeric));
        assert!(events.all(|line| line.contains(offset)), "{shown}");
    }
    // The east is 26 hours ahead of the west.
    let (day, other) = (day_in(east).await, day_in(west).await);
    let until = listed(east, &format!("--until {day}")).await;
    assert!(!until.contains("  started  "), "{until}");
    let since = listed(west, &format!("--since {other} --until {day}")).await;
    assert!(since.contains("  started  "), "{since}");
    // `--utc`, pipes and JSON mean days of UTC.
    let day = day_in("UTC").await;
    for words in [
        format!("--since {day} --utc"),
        format!("--since {day} --format json"),
        format!("--since {day} --format csv"),
        format!("--since {day} | cat"),
    ] {
        let shown = listed(east, &words).await;
        assert!(shown.contains("started"), "{words}: {shown}");
        assert!(shown.contains(&format!("{day}T")), "{words}: {shown}");
        assert!(!shown.contains("note:"), "{words}: {shown}");
    }
    let shown = on_terminal(&env, 100, east, "ledger show 0 --utc").await;
    assert!(shown.contains(&format!("at: {day}T")), "{shown}");
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_an_export_without_a_half_file() {
    let mut env = TestEnv::new().signed_in(&["carol"]).start().await;
    let folder = env.folder().join("exports");
    fs::create_dir(&folder).unwrap();
    let out = folder.join("export").display().to_string();
    let port = env.server.port();
    env.server.world_mut().stop_daemon().await.unwrap();
    // It connects, and never answers.
    let hole = TcpListener::bind(("127.0.0.1", port)).unwrap();
    hole.set_nonblocking(true).unwrap();
    let hole = tokio::net::TcpListener::from_std(hole).unwrap();
    for (case, hang_up, signals, expected) in [
        ("SIGTERM", "--default-signal=HUP", vec!["TERM"], 143),
        ("SIGHUP", "--default-signal=HUP", vec!["HUP"], 129),
        ("Ctrl-C", "--default-signal=HUP", vec!["INT"], 130),
        ("nohup", "--ignore-signal=HUP", vec!["HUP", "TERM"], 143),
    ] {
        let words = [hang_up, DAYPASS, "ledger", "export", "--out", &out];
        let running = Running::start(env.terminal("carol").program("env", &words));
        let connection = hole.accept().await.unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{case}");
        let (code, said) = running.ended_by(&signals).await;
        assert_eq!((code, said.as_str()), (Some(expected), ""), "{case}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{case}");
        drop(connection);
    }
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_list_verify_and_export_without_a_half_file() {
    let mut env = TestEnv::new().signed_in(&["carol"]).start().await;
    let folder = env.folder().join("exports");
    fs::create_dir(&folder).unwrap();
    let out = folder.join("export").display().to_string();
    let port = env.server.port();
    env.server.world_mut().stop_daemon().await.unwrap();
    // It connects, and never answers.
    let hole = TcpListener::bind(("127.0.0.1", port)).unwrap();
    hole.set_nonblocking(true).unwrap();
    let hole = tokio::net::TcpListener::from_std(hole).unwrap();
    for words in [
        "ledger list",
        "ledger list --event issued",
        "ledger verify",
        &format!("ledger export --out {out}"),
    ] {
        let running = Running::start(env.command("carol", words, &[]));
        let connection = hole.accept().await.unwrap();
        let (code, said) = running.interrupted().await;
        assert_eq!((code, said.as_str()), (Some(130), ""), "{words}");
        drop(connection);
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_verification_of_a_pipe_that_is_silent() {
    let env = TestEnv::new().signed_in(&["carol"]).start().await;
    let export = Done::of(env.command("carol", "ledger export --out -", &[])).await;
    let start = export.stdout.lines().next().unwrap();
    let mut command = env.command("carol", "ledger verify -", &[]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(start.as_bytes()).await.unwrap();
    let (code, said) = Running::of(child).interrupted().await;
    assert_eq!((code, said.as_str()), (Some(130), ""));
    env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_was_cut_off_is_refused_at_its_place() {
    let env = TestEnv::new().signed_in(&["alice", "carol"]).start().await;
    let pass = env.daypass("alice", "pass --role logs --param unit=nginx");
    pass.await.exits("a pass", 0);
    let export = Done::of(env.command("carol", "ledger export --out -", &[])).await;
    let (whole, file) = (export.stdout, env.folder().join("export"));
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let events = lines.iter().position(|line| *line == "\n").unwrap();
    let upto = |lines: &[&str]| lines.concat();
    let note = upto(&lines[..=events]);
    for (case, text, said) in [
        ("nothing", String::new(), "the export is empty".to_owned()),
        (
            "in the first event",
            lines[0][..20].to_owned(),
            "line 1: no checkpoint follows the events; the export is cut off".to_owned(),
        ),
        (
            "after an event",
            upto(&lines[..2]),
            "line 2: no checkpoint follows the events; the export is cut off".to_owned(),
        ),
        (
            "in an event",
            upto(&lines[..2]) + &lines[2][..30],
            "line 3: no checkpoint follows the events; the export is cut off".to_owned(),
        ),
        (
            "before the checkpoint",
            note.clone(),
            format!(
                "line {}: the checkpoint is not whole; the export is cut off",
                events + 2
            ),
        ),
        (
            "in the checkpoint",
            note.clone() + &lines[events + 1..events + 3].concat(),
            format!(
                "line {}: the checkpoint is not whole; the export is cut off",
                events + 2
            ),
        ),
        (
            "without its signature",
            note + &lines[events + 1..events + 5].concat(),
            format!(
                "line {}: the checkpoint is not whole; the export is cut off",
                events + 2
            ),
        ),
    ] {
        fs::write(&file, text).unwrap();
        let verify = ["ledger", "verify", file.to_str().unwrap()];
        let done = env.terminal("carol").run(&verify).await.exits(case, 1);
        let said = format!("daypass: the ledger does not verify: {said}");
        assert!(done.stderr.starts_with(&said), "{case}: {}", done.stderr);
    }
    env.close().await;
}
