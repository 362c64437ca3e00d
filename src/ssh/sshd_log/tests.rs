//! Lines of the sshd of several distributions and versions, and lines that only look like them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use jiff::tz::TimeZone;
use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const MESSAGE: &str = "Accepted publickey for weblogs from 192.0.2.7 port 41234 ssh2: ED25519-CERT \
    SHA256:kkkk ID alice@example.com/web-logs (serial 42) CA ED25519 SHA256:cccc";

fn login(line: &str) -> CertificateLogin {
    match read(line.as_bytes()) {
        Some(Accepted::ByCertificate(login)) => login,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_login_is_read_in_every_form_of_line() {
    let at = Some(Stamp::At(datetime!(2026-11-29 21:30:01 UTC)));
    let local = Some(Stamp::Local(datetime!(2000-11-29 21:30:01)));
    let forms = [
        (
            format!("Nov 29 21:30:01 web-1 sshd[7]: {MESSAGE}"),
            local,
            true,
        ),
        (
            format!("Nov 29 21:30:01.123456 web-1 sshd-session[7]: {MESSAGE}"),
            local,
            true,
        ),
        (
            format!("<86>Nov 29 21:30:01 web-1 sshd[7]: {MESSAGE}\r"),
            local,
            true,
        ),
        (
            format!("2026-11-29T22:30:01+01:00 web-1 sshd[7]: {MESSAGE}"),
            at,
            true,
        ),
        (
            format!("2026-11-29T22:30:01+0100 web-1 sshd-session[7]: {MESSAGE}"),
            at,
            true,
        ),
        (
            format!("<38>1 2026-11-29T21:30:01Z web-1 sshd 7 - - {MESSAGE}"),
            at,
            true,
        ),
        (
            format!("<38>1 2026-11-29T21:30:01Z web-1 sshd-session 7 - - \u{feff}{MESSAGE}"),
            at,
            true,
        ),
        (
            format!(
                r#"<38>1 2026-11-29T21:30:01Z web-1 sshd 7 - [a@1 b="\"c\] \\"][d e="[f"] {MESSAGE}"#
            ),
            at,
            true,
        ),
        (
            format!(
                r#"{{"__REALTIME_TIMESTAMP":"1795987801000000","_HOSTNAME":"web-1","_UID":"0","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"{MESSAGE}","PRIORITY":"6"}}"#
            ),
            at,
            true,
        ),
        (
            format!(
                r#"{{"__REALTIME_TIMESTAMP":"1795987801000000","_HOSTNAME":"web-1","SYSLOG_IDENTIFIER":"sshd-session","MESSAGE":{:?}}}"#,
                MESSAGE.as_bytes()
            ),
            at,
            true,
        ),
        (MESSAGE.to_owned(), None, false),
    ];
    for (line, time, has_host) in forms {
        let read = login(&line);
        assert_eq!(read.time, time, "{line}");
        assert_eq!(read.host.as_deref(), has_host.then_some("web-1"), "{line}");
        let CertificateLogin {
            login,
            from,
            key,
            key_id,
            serial,
            ca,
            ..
        } = read;
        assert_eq!(
            [&*login, &from, &key, &key_id, &ca],
            [
                "weblogs",
                "192.0.2.7",
                "SHA256:kkkk",
                "alice@example.com/web-logs",
                "SHA256:cccc"
            ],
            "{line}"
        );
        assert_eq!(serial, 42);
    }
}

#[test]
fn the_forms_of_other_log_daemons_and_of_journalctl_are_read() {
    let at = Some(Stamp::At(datetime!(2026-11-29 21:30:01 UTC)));
    let zoneless = Some(Stamp::Zoneless(datetime!(2026-11-29 21:30:01)));
    let local = Some(Stamp::Local(datetime!(2000-11-29 21:30:01)));
    let host = Some("web-1");
    for (from, frame, time, host) in [
        (
            "busybox",
            "Nov 29 21:30:01 web-1 auth.info sshd[7]:",
            local,
            host,
        ),
        (
            "busybox, authpriv",
            "Nov 29 21:30:01 web-1 authpriv.info sshd-session[7]:",
            local,
            host,
        ),
        ("busybox -S", "Nov 29 21:30:01 sshd[7]:", local, None),
        (
            "short-full",
            "Sun 2026-11-29 21:30:01 UTC web-1 sshd[7]:",
            at,
            host,
        ),
        (
            "short-full of a zone",
            "Sun 2026-11-29 21:30:01 CET web-1 sshd[7]:",
            zoneless,
            host,
        ),
        (
            "short-full of an offset",
            "Mon 2026-11-30 03:15:01 +0545 web-1 sshd[7]:",
            at,
            host,
        ),
        (
            "short-full of hours",
            "Sun 2026-11-29 18:30:01 -03 web-1 sshd[7]:",
            at,
            host,
        ),
        (
            "with-unit",
            "Sun 2026-11-29 21:30:01 UTC web-1 ssh@4-10.service[7]:",
            at,
            host,
        ),
        (
            "short-iso",
            "2026-11-29T22:30:01+0100 web-1 sshd[7]:",
            at,
            host,
        ),
        (
            "short-iso of late",
            "2026-11-29T22:30:01+01:00 web-1 sshd[7]:",
            at,
            host,
        ),
        (
            "short-precise",
            "Nov 29 21:30:01.000000 web-1 sshd[7]:",
            local,
            host,
        ),
        ("short-unix", "1795987801.000000 web-1 sshd[7]:", at, host),
        (
            "short-monotonic",
            "[ 1234.567890] web-1 sshd[7]:",
            None,
            host,
        ),
        (
            "short-delta",
            "[ 1234.567890 <    0.000012 >] web-1 sshd[7]:",
            None,
            host,
        ),
        (
            "--no-hostname",
            "Nov 29 21:30:01 sshd-session[7]:",
            local,
            None,
        ),
        (
            "rsyslog, RFC 5424",
            "<38>1 2026-11-29T21:30:01+00:00 web-1 sshd 7 - -",
            at,
            host,
        ),
        ("rsyslog, no time", "<38>1 - web-1 sshd 7 - -", None, host),
        ("logger -s", "<38>Nov 29 21:30:01 sshd[7]:", local, None),
        (
            "logger",
            r#"<38>1 2026-11-29T22:30:01.000000+01:00 web-1 sshd 7 - [timeQuality tzKnown="1"]"#,
            at,
            host,
        ),
        (
            "syslog-ng, ISO",
            "2026-11-29T22:30:01.000+01:00 web-1 sshd[7]:",
            at,
            host,
        ),
        (
            "syslog-ng, full",
            "2026 Nov 29 21:30:01 web-1 sshd[7]:",
            zoneless,
            host,
        ),
        (
            "a template without a zone",
            "2026-11-29T21:30:01 web-1 sshd[7]:",
            zoneless,
            host,
        ),
        (
            "a template with a space",
            "2026-11-29 21:30:01 web-1 sshd[7]:",
            zoneless,
            host,
        ),
        (
            "and with an offset",
            "2026-11-29 22:30:01 +01:00 web-1 sshd[7]:",
            at,
            host,
        ),
        (
            "a year after the day",
            "Nov 29 2026 21:30:01 web-1 sshd[7]:",
            zoneless,
            host,
        ),
        (
            "FreeBSD",
            "Nov 29 21:30:01 <auth.info> web-1 sshd[7]:",
            local,
            host,
        ),
        (
            "illumos",
            "Nov 29 21:30:01 web-1 sshd[7]: [ID 800047 auth.info]",
            local,
            host,
        ),
        (
            "OpenWrt",
            "Sun Nov 29 21:30:01 2026 auth.info sshd[7]:",
            zoneless,
            None,
        ),
        (
            "socklog",
            "2026-11-29T21:30:01 auth.info: Nov 29 21:30:01 sshd[7]:",
            local,
            None,
        ),
    ] {
        let line = format!("{frame} {MESSAGE}");
        let read = login(&line);
        assert_eq!((read.time, read.host.as_deref()), (time, host), "{from}");
        assert_eq!(
            (&*read.key_id, read.serial),
            ("alice@example.com/web-logs", 42)
        );
        // A line of sshd that is not of a login shows that the log is of this host and time.
        let quiet = format!("{frame} Server listening on 0.0.0.0 port 22.");
        let quiet = read_line(quiet.as_bytes()).unwrap();
        assert_eq!((quiet.time, quiet.host.as_deref()), (time, host), "{from}");
        assert_eq!(quiet.accepted, None, "{from}");
    }
    for start in ["\x1e", "data: "] {
        let entry = format!(
            r#"{start}{{"__REALTIME_TIMESTAMP":"1795987801000000","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"{MESSAGE}"}}"#
        );
        assert_eq!(login(&entry).time, at, "{entry}");
    }
}

#[test]
fn a_line_of_sshd_is_known_by_its_frame_or_by_its_words() {
    for (line, is_of_sshd) in [
        ("Server listening on 0.0.0.0 port 22.", true),
        ("Connection closed by 192.0.2.7 port 41234 [preauth]", true),
        (
            "Nov 29 21:30:01 web-1 cron[1]: Server listening on 0.0.0.0",
            false,
        ),
        ("Nov 29 21:30:01 web-1 auth.info su[1]: x", false),
        (
            "Sun 2026-11-29 21:30:01 UTC web-1 session-1.scope[7]: x",
            false,
        ),
        ("hello", false),
        ("", false),
    ] {
        assert_eq!(read_line(line.as_bytes()).is_some(), is_of_sshd, "{line}");
    }
}

#[test]
fn an_offset_is_read_in_each_of_its_forms() {
    for (text, minutes) in [
        ("UTC", Some(0)),
        ("Z", Some(0)),
        ("+02:00", Some(120)),
        ("+0200", Some(120)),
        ("+02", Some(120)),
        ("-03:30", Some(-210)),
        ("-00:30", Some(-30)),
        ("+2", None),
        ("+02:", None),
        ("+02:60", None),
        ("+99:00", None),
        ("02:00", None),
        ("+-2:00", None),
        ("", None),
        ("CET", None),
    ] {
        let read = offset(text).map(|it| it.whole_minutes());
        assert_eq!(read, minutes, "{text}");
    }
}

#[test]
fn a_time_without_a_zone_is_of_the_zone_of_the_log() {
    let now = datetime!(2026-12-01 12:00 UTC);
    let zone = TimeZone::get("Asia/Kathmandu").unwrap();
    for (line, expected) in [
        (
            "Nov 30 03:15:01 h sshd[7]:",
            Some(datetime!(2026-11-29 21:30:01 UTC)),
        ),
        (
            "2024-11-30 03:15:01 h sshd[7]:",
            Some(datetime!(2024-11-29 21:30:01 UTC)),
        ),
        (
            "2026-11-29T21:30:01Z h sshd[7]:",
            Some(datetime!(2026-11-29 21:30:01 UTC)),
        ),
    ] {
        let time = login(&format!("{line} {MESSAGE}")).time.unwrap();
        assert_eq!(time.moment(now, &zone), expected, "{line}");
        assert_eq!(time.has_zone(), line.contains('Z'), "{line}");
    }
}

#[test]
fn the_last_of_february_and_a_day_of_one_digit_are_dates() {
    let day = |text: &str| login(&format!("{text} 01:02:03 h sshd[1]: {MESSAGE}")).time;
    assert_eq!(
        day("Feb 29"),
        Some(Stamp::Local(datetime!(2000-02-29 01:02:03)))
    );
    assert_eq!(
        day("Jan  5"),
        Some(Stamp::Local(datetime!(2000-01-05 01:02:03)))
    );
}

#[test]
fn what_another_program_or_user_logs_is_no_login() {
    for line in [
        format!("Nov 29 21:30:01 web-1 sudo[7]: {MESSAGE}"),
        format!("Nov 29 21:30:01 web-1 sshd[x]: {MESSAGE}"),
        format!("Nov 29 21:30:01 web-1 mallory: sshd[7]: {MESSAGE}"),
        format!(r#"{{"_UID":"1000","SYSLOG_IDENTIFIER":"sshd","MESSAGE":"{MESSAGE}"}}"#),
        format!(r#"{{"_UID":"0","SYSLOG_IDENTIFIER":"app","MESSAGE":"{MESSAGE}"}}"#),
        // A user name that is tried; sshd logs it in a sentence of its own.
        format!("Nov 29 21:30:01 web-1 sshd[7]: Invalid user {MESSAGE} from 192.0.2.7 port 1"),
        "Nov 29 21:30:01 web-1 sshd[7]: Failed publickey for root from 192.0.2.7".to_owned(),
        String::new(),
        "{".to_owned(),
    ] {
        assert_eq!(read(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn a_login_without_a_certificate_is_told_apart() {
    for message in [
        "Accepted publickey for root from 192.0.2.7 port 1 ssh2: ED25519 SHA256:kkkk",
        "Accepted password for root from 192.0.2.7 port 1 ssh2",
        "Accepted keyboard-interactive/pam for root from 192.0.2.7 port 1 ssh2",
    ] {
        assert_eq!(
            read(message.as_bytes()),
            Some(Accepted::Otherwise),
            "{message}"
        );
    }
}

#[test]
fn a_key_id_that_imitates_the_rest_of_the_line_changes_nothing() {
    let hostile = "bob (serial 1) CA ED25519 SHA256:good";
    let line = MESSAGE.replace("alice@example.com/web-logs", hostile);
    let read = login(&line);
    assert_eq!(
        (&*read.key_id, read.serial, &*read.ca),
        (hostile, 42, "SHA256:cccc")
    );
}

#[test]
fn a_certificate_login_that_is_cut_off_or_has_other_fingerprints_is_unreadable() {
    let client = ("weblogs".to_owned(), "192.0.2.7".to_owned(), 41_234);
    let unreadable = Some(Accepted::Unreadable(UnreadableLogin {
        time: None,
        client: Some(client),
    }));
    let start = MESSAGE.find(" ID ").expect("it has a key id");
    for end in start + 4..MESSAGE.find("SHA256:cccc").expect("it has a CA") {
        assert_eq!(
            read(&MESSAGE.as_bytes()[..end]),
            unreadable,
            "{}",
            &MESSAGE[..end]
        );
    }
    let md5 = MESSAGE.replace("SHA256:", "MD5:aa:bb");
    assert_eq!(read(md5.as_bytes()), unreadable);
    let huge = MESSAGE.replace("serial 42", "serial 99999999999999999999");
    assert_eq!(read(huge.as_bytes()), unreadable);
}

#[test]
fn a_backslash_in_a_key_id_is_the_same_key_id() {
    let line = MESSAGE.replace("alice@example.com", r"CORP\\alice");
    let logged = login(&line).key_id;
    assert!(is_key_id(&logged, r"CORP\alice/web-logs"));
    assert!(!is_key_id(&logged, r"CORP\\alice/web-logs"));
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&line);
    }

    #[test]
    fn no_change_of_a_good_line_makes_it_panic(place in 0..400usize, byte in any::<u8>()) {
        let mut line = format!("2026-11-29T22:30:01+0100 web-1 sshd[7]: {MESSAGE}").into_bytes();
        let place = place % line.len();
        line[place] = byte;
        let _ = read(&line);
    }
}

#[test]
fn a_time_without_a_year_is_of_the_last_year_that_it_can_be_of() {
    let vienna = TimeZone::get("Europe/Vienna").unwrap();
    let now = datetime!(2027-01-03 12:00 UTC);
    for (time, expected) in [
        (datetime!(2000-01-03 13:00), datetime!(2027-01-03 12:00 UTC)),
        // The host's clock is ahead.
        (datetime!(2000-01-04 12:00), datetime!(2027-01-04 11:00 UTC)),
        (datetime!(2000-12-31 23:59), datetime!(2026-12-31 22:59 UTC)),
        (datetime!(2000-07-01 12:00), datetime!(2026-07-01 10:00 UTC)),
        (datetime!(2000-02-29 12:00), datetime!(2024-02-29 11:00 UTC)),
    ] {
        assert_eq!(
            Stamp::Local(time).moment(now, &vienna),
            Some(expected),
            "{time}"
        );
    }
}

#[test]
fn a_login_in_a_line_of_an_unknown_form_is_unreadable_and_not_passed_over() {
    for line in [
        format!("2026/11/29 21:30:01 web-1 sshd[7]: {MESSAGE}"),
        format!("2026-11-29T21:30:01Z stdout F {MESSAGE}"),
        format!(r#"{{"message":"{MESSAGE}","program":"sshd"}}"#),
        format!("<38>1 2026-11-29T21:30:01Z web-1 sshd 7 - [a {MESSAGE}"),
    ] {
        let Some(Accepted::Unreadable(read)) = read(line.as_bytes()) else {
            panic!("{line}");
        };
        let client = ("weblogs".to_owned(), "192.0.2.7".to_owned(), 41_234);
        assert_eq!(read.client, Some(client), "{line}");
    }
    let odd = format!(r#"{{"__CURSOR":"s=1","MESSAGE":["{MESSAGE}","b"]}}"#);
    assert_eq!(read(odd.as_bytes()), None, "another user's journal entry");
}

#[test]
fn of_an_hour_that_comes_twice_it_is_the_moment_nearer_to_now() {
    let vienna = TimeZone::get("Europe/Vienna").unwrap();
    let time = Stamp::Local(datetime!(2000-10-25 02:30));
    for now in [
        datetime!(2026-10-25 00:31 UTC),
        datetime!(2026-10-25 01:31 UTC),
    ] {
        let expected = now - time::Duration::minutes(1);
        assert_eq!(time.moment(now, &vienna), Some(expected), "{now}");
    }
}
