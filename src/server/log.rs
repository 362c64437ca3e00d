//! Log of the program: structured lines of text or JSON. No value can start a new line.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
};

use serde::Deserialize;
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

pub(crate) use crate::ssh::printable::is_active;

/// Format of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text, for people and journald.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Receiver of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A terminal, a file or another program.
    Plain,
    /// journald: each line begins with its priority (sd-daemon(3)), which journald takes off, so
    /// that `journalctl -p err` works.
    Journal,
}

/// Priority of a failure (syslog(3), LOG_ERR), in the form of sd-daemon(3).
pub(crate) const ERROR_PRIORITY: &str = "<3>";

/// The destination of this process's stderr. systemd names the journal's socket in
/// `JOURNAL_STREAM`, as `DEVICE:INODE`; stderr may have been redirected since.
pub(crate) fn destination_of_stderr() -> Destination {
    let named = std::env::var("JOURNAL_STREAM").ok();
    let stderr = fs::metadata("/proc/self/fd/2").ok();
    let stderr = stderr.map(|it| format!("{}:{}", it.dev(), it.ino()));
    match named.is_some() && named == stderr {
        true => Destination::Journal,
        false => Destination::Plain,
    }
}

/// Creates a subscriber that writes to `writer`. `level` is a filter of `tracing` (`info`,
/// `daypass=debug,warn`).
///
/// # Errors
/// If `level` is not such a filter.
pub fn subscriber<W>(
    format: Format,
    level: &str,
    (destination, writer): (Destination, W),
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, tracing_subscriber::filter::ParseError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(level)?)
        .with_ansi(false)
        .with_writer(OneLine(destination, writer));
    Ok(match format {
        Format::Text => Box::new(builder.finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// Writes every event as one line of printable characters, for any content of its fields. Line
/// breaks of any script, escape sequences and text-direction marks become `\uXXXX`, which is also
/// their form in JSON.
struct OneLine<W>(Destination, W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for OneLine<W> {
    type Writer = Escaping<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaping("", self.1.make_writer())
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        let prefix = match self.0 {
            Destination::Plain => "",
            Destination::Journal => priority(*event.level()),
        };
        Escaping(prefix, self.1.make_writer_for(event))
    }
}

/// The priority of a level, as sd-daemon(3) writes it.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => ERROR_PRIORITY,
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// A prefix, and the writer of the line after it.
struct Escaping<W>(&'static str, W);

impl<W: Write> Write for Escaping<W> {
    /// Writes one event. `tracing_subscriber` passes a whole event, its line break last.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if self.0.is_empty() && is_plain_line(event) {
            self.1.write_all(event)?;
            return Ok(event.len());
        }
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let mut escaped = format!("{}{}", self.0, escape(line));
        escaped.push('\n');
        self.1.write_all(escaped.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

/// Whether a line is printable ASCII and ends in its only line break, so that nothing is escaped.
fn is_plain_line(event: &[u8]) -> bool {
    let line = event.strip_suffix(b"\n");
    line.is_some_and(|line| line.iter().all(|byte| matches!(byte, b' '..=b'~')))
}

/// Replaces every [active](is_active) character by `\uXXXX`.
fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_active(character) {
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, value: &str) -> String {
        written(format, Destination::Plain, || {
            tracing::info!(field = %value, debug = ?value, "{value}");
        })
    }

    fn written(format: Format, destination: Destination, log: impl FnOnce()) -> String {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let writer = (destination, move || writer.clone());
        let subscriber = subscriber(format, "debug", writer).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_journal_gets_the_priority_of_each_line_and_others_do_not() {
        for format in [Format::Text, Format::Json] {
            let log = || {
                tracing::error!("<7>one\n<7>two");
                tracing::warn!("three");
                tracing::info!("four");
                tracing::debug!("five");
            };
            let text = written(format, Destination::Journal, log);
            let starts: Vec<&str> = text.lines().map(|line| &line[..3]).collect();
            assert_eq!(starts, ["<3>", "<4>", "<6>", "<7>"], "{text}");
            let plain = written(format, Destination::Plain, log);
            assert!(!plain.lines().any(|line| line.starts_with('<')), "{plain}");
        }
    }

    #[test]
    fn hostile_values_stay_within_one_printable_line() {
        let cases = [
            ("a newline", "a\nb"),
            ("a carriage return", "a\rb"),
            ("an escape sequence", "a\x1b[31mb\x1b]0;title\x07"),
            ("a C1 control", "a\u{9b}31mb"),
            ("a line separator", "a\u{2028}b\u{2029}"),
            ("a right-to-left override", "a\u{202e}b"),
            ("NUL and DEL", "a\0b\x7f"),
            ("quotes and braces", "a\"}\\b"),
        ];
        for format in [Format::Text, Format::Json] {
            for (case, value) in cases {
                let line = logged(format, value);
                let body = line.strip_suffix('\n').unwrap();
                assert!(!body.chars().any(is_active), "{case}: {line:?}");
                if format == Format::Json {
                    let json: serde_json::Value = serde_json::from_str(body).unwrap();
                    assert_eq!(json["field"], value, "{case}");
                }
            }
        }
    }
}
