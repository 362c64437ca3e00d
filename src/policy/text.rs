//! The text of a policy file: read into its raw values, and errors with the line of a value.

use std::ops::Range;

use toml::Spanned;

use super::{Error, file::File};

/// Largest policy file, in bytes.
const MAX_FILE: usize = 1024 * 1024;

/// The file's text, for errors with a line.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    text: &'a str,
    origin: &'a str,
    lines: &'a [usize],
}

/// The offset of each line of a text, found once: a policy of ten thousand roles asks for as many.
pub(super) fn lines(text: &str) -> Vec<usize> {
    let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    let next = ends.map(|(end, _)| end + 1);
    std::iter::once(0).chain(next).collect()
}

impl<'a> Text<'a> {
    /// `lines` are the text's own, by [`lines`].
    pub(super) fn new(text: &'a str, origin: &'a str, lines: &'a [usize]) -> Self {
        Self {
            text,
            origin,
            lines,
        }
    }

    /// Reads the file.
    pub(super) fn read(self) -> Result<File, Error> {
        if self.text.len() > MAX_FILE {
            return Err(self.error(
                0..0,
                format!("the file is larger than {MAX_FILE} bytes; split it up"),
            ));
        }
        let document = toml::Deserializer::parse(self.text).map_err(|error| {
            self.error(error.span().unwrap_or_default(), one_line(error.message()))
        })?;
        let file: File = serde_path_to_error::deserialize(document).map_err(|error| {
            let path = without_spans(&error.path().to_string());
            let inner = error.into_inner();
            let message = one_line(inner.message());
            let span = inner.span().unwrap_or_default();
            self.error(
                span,
                if path == "." {
                    message
                } else {
                    format!("{path}: {message}")
                },
            )
        })?;
        Ok(file)
    }

    /// An error about the value at `span`.
    pub(super) fn error(self, span: Range<usize>, message: impl Into<String>) -> Error {
        Error::Invalid {
            origin: self.origin.to_owned(),
            line: self.line(&span),
            message: message.into(),
        }
    }

    /// The line of a span, counted from 1.
    pub(super) fn line(self, span: &Range<usize>) -> usize {
        self.lines.partition_point(|line| *line <= span.start)
    }

    /// Parses a value. Errors get the value's line.
    pub(super) fn parse<T, R>(
        self,
        value: &Spanned<T>,
        read: impl FnOnce(&T) -> Result<R, String>,
    ) -> Result<R, Error> {
        read(value.get_ref()).map_err(|message| self.error(value.span(), message))
    }

    /// [`Text::parse`] for each value of a list.
    pub(super) fn parse_all<T, R, C: FromIterator<R>>(
        self,
        values: &[Spanned<T>],
        read: impl Fn(&T) -> Result<R, String>,
    ) -> Result<C, Error> {
        values
            .iter()
            .map(|value| self.parse(value, &read))
            .collect()
    }
}

/// The path of a value without serde's own segments, which [`Spanned`] adds.
fn without_spans(path: &str) -> String {
    path.replace(".$__serde_spanned_private_value", "")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_each_offset_is_the_number_of_ends_before_it() {
        for text in ["", "\n", "a\n\nb", "a = 1\r\nb = \"ä\n\"\n"] {
            let starts = lines(text);
            let whole = Text::new(text, "policy.toml", &starts);
            for at in 0..=text.len() {
                let ends = text.bytes().take(at).filter(|byte| *byte == b'\n').count();
                assert_eq!(whole.line(&(at..at)), ends + 1, "{text:?} at {at}");
            }
        }
    }

    /// A mistake showed `$__serde_spanned_private_value`.
    #[test]
    fn a_value_of_the_wrong_kind_is_named_as_it_is_written() {
        for (text, says) in [
            ("[limits]\nttl = 8", "limits.ttl: "),
            ("[audit]\nallow = 1", "audit.allow: "),
            (
                "[[host]]\nallow = \"true\"\nnames = 1\ngroup = \"web\"",
                "host[0].names: ",
            ),
            (
                "[[host]]\nallow = \"true\"\nnames = [1]\ngroup = \"web\"",
                "host[0].names[0]: ",
            ),
            (
                "[[role]]\nname = \"x\"\nallow = \"true\"\nprincipals = [[]]",
                "role[0].principals[0]: ",
            ),
        ] {
            let starts = lines(text);
            let refused = Text::new(text, "policy.toml", &starts).read();
            let said = refused.err().map(|it| it.to_string()).unwrap_or_default();
            assert!(said.contains(says) && !said.contains("serde"), "{said}");
        }
    }
}
