use std::process::Command;

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::*;

fn os(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn takes(name: &str) -> Takes {
    match name {
        "role" | "param" => Takes::Value,
        "wait" => Takes::Maybe(|next| next.ends_with('m')),
        _ => Takes::Nothing,
    }
}

/// A line of words without blanks.
fn parse(line: &str) -> Result<CommandLine, Error> {
    let words: Vec<&str> = line.split(' ').collect();
    CommandLine::parse(&os(&words), takes)
}

fn text(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[test]
fn lines_of_programs_that_run_ssh_are_read_as_ssh_reads_them() {
    for (line, login, words) in [
        ("web-1", None, "-- web-1"),
        ("web-1 id -un", None, "-- web-1 id -un"),
        ("web-1 -- id -un", None, "-- web-1 id -un"),
        // scp, sftp, git, rsync, ansible.
        (
            "-x -oPermitLocalCommand=no -p 2222 -l deploy -s -- web-1 sftp",
            Some("deploy"),
            "-x -o PermitLocalCommand=no -p 2222 -l deploy -s -- web-1 sftp",
        ),
        (
            "-o SendEnv=GIT_PROTOCOL -4 -p 22 git@web-1 git-upload-pack",
            Some("git"),
            "-o SendEnv=GIT_PROTOCOL -4 -p 22 -l git -- web-1 git-upload-pack",
        ),
        (
            "-l deploy web-1 rsync --server -vlogDtpre.iLsfxCIvu . x",
            Some("deploy"),
            "-l deploy -- web-1 rsync --server -vlogDtpre.iLsfxCIvu . x",
        ),
        (
            "-C -o User=deploy -tt web-1 /bin/sh",
            Some("deploy"),
            "-C -o User=deploy -t -t -- web-1 /bin/sh",
        ),
        // The first of several names counts, also behind the host.
        ("-l a db -l b", Some("a"), "-l a -l b -- db"),
        (
            "-oUser=carol -l bob alice@db",
            Some("carol"),
            "-o User=carol -l bob -l alice -- db",
        ),
        ("alice@db -l bob", Some("alice"), "-l alice -l bob -- db"),
        // Options end where the command begins.
        ("db -p 22 id -l bob", None, "-p 22 -- db id -l bob"),
        ("-- db -l bob", None, "-- db -l bob"),
        ("-i -- db -v", None, "-i -- -- db -v"),
        ("-vNfp22 db", None, "-v -N -f -p 22 -- db"),
        ("-tl root db", Some("root"), "-t -l root -- db"),
        ("-Pprod db", None, "-o Tag=prod -- db"),
        ("-P prod db", None, "-o Tag=prod -- db"),
        (
            "-p 1 ssh://dave@[::1]:22 -p 3",
            Some("dave"),
            "-p 1 -l dave -p 22 -p 3 -- ::1",
        ),
        (
            "-L 8080:[::1]:80 -D 1080 -J a,b db",
            None,
            "-L 8080:[::1]:80 -D 1080 -J a,b -- db",
        ),
        ("-V", None, "-V"),
        ("-Q cipher", None, "-Q cipher"),
    ] {
        let line_read = parse(line).unwrap();
        assert_eq!(line_read.login().as_deref(), login, "{line}");
        assert_eq!(text(&line_read.words()), words, "{line}");
        assert!(line_read.own.is_empty(), "{line}");
    }
}

#[test]
fn own_options_stand_where_options_of_ssh_may_and_nowhere_else() {
    for (line, own, words) in [
        ("--role logs -v web-1 id", "--role logs", "-v -- web-1 id"),
        (
            "web-1 --role logs --param unit=nginx -- id",
            "--role logs --param unit=nginx",
            "-- web-1 id",
        ),
        ("web-1 id --role logs", "", "-- web-1 id --role logs"),
        ("-- web-1 --role logs", "", "-- web-1 --role logs"),
        ("--role=logs web-1", "--role=logs", "-- web-1"),
        ("--role -- web-1 -v", "--role --", "-v -- web-1"),
        ("--wait web-1", "--wait", "-- web-1"),
        ("--wait 10m web-1", "--wait 10m", "-- web-1"),
        ("--emergency -p 22 web-1", "--emergency", "-p 22 -- web-1"),
        ("--unknown web-1", "--unknown", "-- web-1"),
        ("-h", "-h", ""),
    ] {
        let line_read = parse(line).unwrap();
        assert_eq!(text(&line_read.own), own, "{line}");
        assert_eq!(text(&line_read.words()), words, "{line}");
    }
}

#[test]
fn a_line_that_ssh_would_refuse_is_refused_before_a_pass_is_asked_for() {
    for (line, expected) in [
        ("-p22x web-1", "invalid port \"22x\""),
        ("-p 0 web-1", "invalid port"),
        ("-p", "-p of ssh needs an argument"),
        ("-Z web-1", "no option -Z"),
        ("-vZ web-1", "no option -Z"),
        ("-l -x web-1", "invalid login name"),
        ("-oUser=$(id) web-1", "invalid login name"),
        ("@web-1", "invalid destination"),
        ("-- -oProxyCommand=x", "invalid host name"),
        ("ssh://web-1/x", "invalid destination"),
    ] {
        let refused = parse(line).unwrap_err();
        assert_eq!(refused.exit_code(), 2, "{line}");
        assert!(refused.to_string().contains(expected), "{line}: {refused}");
    }
    // Of several, ssh looks at the first alone.
    assert!(parse("-p 22 web-1 -p 22x").is_ok());
}

#[test]
fn questions_to_ssh_itself_are_no_login() {
    for line in ["-V", "-Q key", "-G web-1", "-vG web-1 id", "-O exit web-1"] {
        assert!(!parse(line).unwrap().logs_in(), "{line}");
    }
    assert!(parse("web-1 -- -G").unwrap().logs_in());
}

#[test]
fn jump_hosts_are_found_and_taken_away() {
    for (line, jump_hosts, words) in [
        ("-J a,b db", Some("a,b"), "-- db"),
        ("-vJa db -oProxyJump=b", Some("a"), "-v -- db"),
        ("-o ProxyJump=b db", Some("b"), "-- db"),
        ("-o ProxyCommand=x db", None, "-o ProxyCommand=x -- db"),
    ] {
        let mut line_read = parse(line).unwrap();
        assert_eq!(line_read.jump_hosts().as_deref(), jump_hosts, "{line}");
        line_read.remove_jump_hosts();
        assert_eq!(text(&line_read.words()), words, "{line}");
    }
}

/// Words of an option, as users and programs write it.
fn option() -> impl Strategy<Value = Vec<String>> {
    let with = |letters: &'static [&'static str], arguments: &'static [&'static str]| {
        (select(letters), select(arguments), any::<bool>()).prop_map(
            |(letter, argument, joined)| match joined {
                true => vec![format!("-{letter}{argument}")],
                false => vec![format!("-{letter}"), argument.to_owned()],
            },
        )
    };
    prop_oneof![
        subsequence(
            vec!['4', 'A', 'C', 'v', 't', 'T', 'N', 'x', 'k', 'q', 'n', 'a'],
            1..4
        )
        .prop_map(|letters| vec![format!("-{}", letters.iter().collect::<String>())]),
        with(&["p", "vp"], &["22", "2222", "ssh", "22x", "0"]),
        with(&["l", "tl"], &["alice", "bob", "carol"]),
        with(
            &["o"],
            &[
                "User=carol",
                "user dave",
                " User = \"ada\"",
                "Port=2022",
                "Port 2023",
                "Compression=yes"
            ]
        ),
        with(&["L"], &["8080:localhost:80", "[::1]:8081:[::1]:80"]),
        with(&["i", "S", "e"], &["none", "x"]),
    ]
}

/// Words from the destination on.
fn from_destination() -> impl Strategy<Value = Vec<Vec<String>>> {
    let destinations = select(vec![
        "db",
        "alice@db",
        "a@b@db",
        "ssh://db",
        "ssh://dave@db:2222",
        "ssh://db:2223/",
        "::1",
        "@db",
    ]);
    let ends = select(vec![
        vec![],
        vec!["--"],
        vec!["id"],
        vec!["--", "id", "-l", "x"],
        vec!["id", "-p", "9"],
    ]);
    (any::<bool>(), destinations, vec(option(), 0..3), ends).prop_map(
        |(is_ended, destination, options, end)| {
            let mut groups = vec![];
            if is_ended {
                groups.push(vec!["--".to_owned()]);
            }
            groups.push(vec![destination.to_owned()]);
            groups.extend(options);
            groups.push(end.into_iter().map(str::to_owned).collect());
            groups
        },
    )
}

/// Settings that ssh makes of a command line; none if it refuses it.
fn settings(words: &[OsString]) -> Option<String> {
    let output = Command::new("ssh")
        .args(["-F", "none", "-G"])
        .args(words)
        .env("USER", "ada")
        .output();
    let output = output.unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn ssh_reads_the_rewritten_line_as_it_reads_the_users(
        before in vec(option(), 0..4),
        after in from_destination(),
    ) {
        let words: Vec<OsString> = before.iter().chain(&after).flatten().map(OsString::from).collect();
        let expected = settings(&words);
        match CommandLine::parse(&words, takes) {
            Ok(line) => {
                let rewritten = line.words();
                prop_assert_eq!(&settings(&rewritten), &expected, "{:?}", rewritten);
                let again = CommandLine::parse(&rewritten, takes).unwrap();
                prop_assert_eq!(again.words(), rewritten);
                if let (Some(login), Some(expected)) = (line.login(), expected) {
                    let shown = format!("user {login}\n");
                    prop_assert!(expected.contains(&shown), "{}: {}", shown, expected);
                }
            }
            Err(error) => prop_assert_eq!(expected, None, "{}", error),
        }
    }
}

proptest! {
    #[test]
    fn any_words_are_read_or_refused_and_none_is_lost(
        words in vec("(-|--)?[a-zA-Z=@ -]{0,6}", 0..8),
    ) {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        if let Ok(line) = CommandLine::parse(&words, takes) {
            let rewritten = line.words();
            let again = CommandLine::parse(&rewritten, takes).unwrap();
            prop_assert_eq!(&again.command, &line.command);
            prop_assert_eq!(&again.host, &line.host);
            prop_assert!(again.own.is_empty());
            // The host is a word of its own, and never an option.
            prop_assert!(line.host.is_none_or(|host| !host.starts_with('-')));
        }
    }
}

#[test]
fn an_ssh_that_was_told_to_ask_nothing_is_known_by_every_spelling_of_it() {
    for (line, expected) in [
        ("web-1", false),
        ("-oBatchMode=yes web-1", true),
        ("-o batchmode=true web-1", true),
        ("-o BatchMode=no web-1", false),
        ("-o BatchMode=NO web-1", false),
        ("-o BatchModes=yes web-1", false),
        ("web-1 -oBatchMode=yes", true),
        ("web-1 echo -oBatchMode=yes", false),
    ] {
        assert_eq!(parse(line).unwrap().is_batch(), expected, "{line}");
    }
}
