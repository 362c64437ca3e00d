//! The options of every command, and how results are printed: results on stdout, messages on
//! stderr. Text from a server passes [`clean`] before it reaches a terminal.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use super::{Failure, failure::Code};
use crate::server::log::{Destination, ERROR_PRIORITY, destination_of_stderr, is_active};

/// Format of printed results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text.
    #[default]
    Text,
    /// One JSON document on stdout.
    Json,
    /// Fields for spreadsheets (RFC 4180), by the commands that print lists for auditors.
    Csv,
}

/// Heading of these options in the help of a command, below the command's own.
const EVERYWHERE: &str = "Options of every command";

/// Options every command has.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Print results as `text`, or as one `json` document.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        env = "DAYPASS_FORMAT",
        hide_env_values = true,
        help_heading = EVERYWHERE
    )]
    pub format: Format,
    /// Never ask; fail if an answer is needed.
    #[arg(
        long,
        global = true,
        env = "DAYPASS_NO_INPUT",
        hide_env_values = true,
        help_heading = EVERYWHERE,
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    pub no_input: bool,
}

impl Global {
    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a result: `value` as one line of JSON, or its `text`. Text from a server must have
    /// passed [`clean`].
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written. If its reader has gone, the failure is silent,
    /// with code 0.
    pub(crate) fn print<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Json => write_line(&serde_json::to_string(value)?),
            // A command that can print CSV does so itself; no other one is run with it.
            Format::Text | Format::Csv => write_line(&text(value)),
        }
    }

    /// Prints a message on stderr, in either format. Control characters are made visible.
    pub(crate) fn say(&self, message: &str) {
        say(message);
    }
}

/// Prints a message on stderr. Control characters are made visible.
pub(crate) fn say(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", clean_lines(message));
}

/// Writes `text` and one newline to stdout. Writes nothing for an empty text.
///
/// # Errors
/// As [`Global::print`].
pub(crate) fn write_line(text: &str) -> Result<(), Failure> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return Ok(());
    }
    write_bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes to stdout as they are, such as exports and man pages.
///
/// # Errors
/// As [`Global::print`].
pub(crate) fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    done(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Writes the whole of `from` to stdout.
///
/// # Errors
/// As [`write_bytes`].
pub(crate) fn copy_out(from: &mut impl io::Read) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    done(io::copy(from, &mut stdout).and_then(|_| stdout.flush()))
}

fn done(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::reader_gone()),
        Err(error) => Err(Failure::new(
            Code::Failure,
            format!("failed to write to stdout: {error}"),
        )),
    }
}

/// Prints a failure on stderr, as JSON if that was asked for. Prints nothing for an empty message.
pub fn print_failure(format: Format, failure: &Failure) {
    if failure.message.is_empty() {
        return;
    }
    let text = match format {
        Format::Text | Format::Csv => format!("daypass: {}", clean_lines(&failure.message)),
        Format::Json => failure_json(failure).to_string(),
    };
    let _ = writeln!(
        io::stderr().lock(),
        "{}",
        for_stderr(&text, destination_of_stderr())
    );
}

/// A failure's text as stderr takes it: for the journal, each line begins with its priority.
fn for_stderr(text: &str, destination: Destination) -> Cow<'_, str> {
    match destination {
        Destination::Plain => text.into(),
        Destination::Journal => {
            let lines = text.lines().map(|line| format!("{ERROR_PRIORITY}{line}"));
            lines.collect::<Vec<_>>().join("\n").into()
        }
    }
}

/// Prints a note for the user on stderr, while the command goes on. Text from a server must have
/// passed [`clean`].
pub(crate) fn write_note(note: &str) {
    let _ = writeln!(io::stderr().lock(), "daypass: {note}");
}

fn failure_json(failure: &Failure) -> serde_json::Value {
    serde_json::json!({
        "error": { "code": failure.code, "reason": failure.reason, "message": failure.message }
    })
}

/// Makes text from a server, a certificate or a file safe for one line of a terminal: control
/// characters, line marks and direction marks become `\u{..}`.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    escape(text, is_active)
}

/// As [`clean`], but keeps newlines and tabs.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_active(c) && c != '\n' && c != '\t')
}

fn escape(text: &str, dangerous: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&dangerous) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if dangerous(c) {
            let _ = write!(escaped, "{}", c.escape_unicode());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Makes another person's text safe for one row: long or spaced-out text is quoted, so that it
/// cannot look like several rows.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    let is_spaced = text.trim() != text || text.contains("  ");
    if !is_spaced && text.chars().count() <= LONGEST_ROW {
        return clean(text);
    }
    Cow::Owned(clean(&format!("{text:?}")).into_owned())
}

/// Characters of the longest row without quotes.
const LONGEST_ROW: usize = 100;

/// `text` in bold if stdout is a terminal with colour: NO_COLOR is unset or empty, and TERM is not
/// `dumb`.
pub(crate) fn bold(text: &str) -> Cow<'_, str> {
    if wants_colour() {
        Cow::Owned(format!("\u{1b}[1m{text}\u{1b}[0m"))
    } else {
        Cow::Borrowed(text)
    }
}

fn wants_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stdout().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_some_and(|term| term != "dumb")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_cannot_drive_a_terminal() {
        let cases = [
            (
                "plain text stays as it is",
                "web-1 (näive)",
                "web-1 (näive)",
            ),
            ("an escape sequence", "\u{1b}[2Jx", "\\u{1b}[2Jx"),
            ("a C1 control", "a\u{9b}31m", "a\\u{9b}31m"),
            ("a newline", "a\nb", "a\\u{a}b"),
            ("a carriage return", "a\rb", "a\\u{d}b"),
            ("a direction override", "a\u{202e}b", "a\\u{202e}b"),
            ("a line separator", "a\u{2028}b", "a\\u{2028}b"),
            ("a zero-width space", "a\u{200b}b", "a\\u{200b}b"),
        ];
        for (case, text, expected) in cases {
            assert_eq!(clean(text), expected, "{case}");
        }
        assert_eq!(clean_lines("a\n\tb\u{7}"), "a\n\tb\\u{7}");
    }

    #[test]
    fn a_row_cannot_look_like_two() {
        let spaced = format!("INC-7{}  lets in     bob", " ".repeat(200));
        let long = "x".repeat(101);
        for (text, expected) in [
            ("INC-7: web is slow", "INC-7: web is slow".to_owned()),
            (&*spaced, format!("\"{spaced}\"")),
            ("a  b", "\"a  b\"".to_owned()),
            (" a", "\" a\"".to_owned()),
            (&*long, format!("\"{long}\"")),
            ("a\nb", "a\\u{a}b".to_owned()),
        ] {
            assert_eq!(one_line(text), expected);
        }
    }

    #[test]
    fn a_failure_is_one_json_object() {
        let failure = Failure::new(Code::Denied, "denied: \"x\"\n").because("NOT_ALLOWED");
        assert_eq!(
            failure_json(&failure).to_string(),
            r#"{"error":{"code":3,"message":"denied: \"x\"\n","reason":"NOT_ALLOWED"}}"#
        );
    }
}
