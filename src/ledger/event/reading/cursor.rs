//! Reads the values of compact JSON, one after the other. Pure.
//!
//! It reads less than JSON allows: `None` leaves the text to serde_json. What it reads, serde_json
//! reads alike.

use memchr::memchr2;
use serde::Deserialize;
use time::{Date, Month, OffsetDateTime, Time};

use super::super::Claims;

/// Levels of brackets in a value. serde_json allows 128 in the whole text, so that it never refuses
/// a value that is read here.
const DEEPEST: usize = 16;

/// The rest of a text.
pub(super) struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Skips exactly this text. Inlined, so that the length of a literal is known.
    #[inline]
    pub(super) fn expect(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// Skips this text if it is next.
    #[inline]
    pub(super) fn skip(&mut self, text: &str) -> bool {
        self.expect(text).is_some()
    }

    /// The text value of the member with this beginning.
    #[inline]
    pub(super) fn member(&mut self, name: &str) -> Option<String> {
        self.expect(name)?;
        self.text()
    }

    /// The text value of the member with this beginning, if it is next.
    #[inline]
    pub(super) fn optional(&mut self, name: &str) -> Option<Option<String>> {
        match self.skip(name) {
            true => self.text().map(Some),
            false => Some(None),
        }
    }

    /// A text.
    pub(super) fn text(&mut self) -> Option<String> {
        match self.plain_text() {
            Some(text) => Some(text.to_owned()),
            None => self.json(),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&mut self) -> Option<Vec<String>> {
        self.expect("[")?;
        let mut texts = Vec::new();
        if self.skip("]") {
            return Some(texts);
        }
        loop {
            texts.push(self.text()?);
            if !self.skip(",") {
                self.expect("]")?;
                return Some(texts);
            }
        }
    }

    /// A number that is whole and not negative.
    pub(super) fn number(&mut self) -> Option<u64> {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        let end = self.0.bytes().position(|byte| !is_digit(byte));
        let (digits, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
        let is_whole = !rest.starts_with(['.', 'e', 'E']);
        let is_canonical = digits == "0" || !digits.starts_with('0');
        let number = digits.parse().ok()?;
        self.0 = rest;
        (is_whole && is_canonical).then_some(number)
    }

    /// A time in UTC as RFC 3339 writes it.
    pub(super) fn time(&mut self) -> Option<OffsetDateTime> {
        let mut text = Self(self.plain_text()?.strip_suffix('Z')?);
        let year = text.digits(4)?;
        text.expect("-")?;
        let month = Month::try_from(u8::try_from(text.digits(2)?).ok()?).ok()?;
        text.expect("-")?;
        let day = u8::try_from(text.digits(2)?).ok()?;
        let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()?;
        let [hour, minute, second] = ["T", ":", ":"].map(|before| {
            text.expect(before)?;
            u8::try_from(text.digits(2)?).ok()
        });
        let nanosecond = match text.skip(".") {
            true => {
                let digits = text.0.len();
                let scale =
                    10_u32.checked_pow(u32::try_from(9_usize.checked_sub(digits)?).ok()?)?;
                text.digits(digits)?.checked_mul(scale)?
            }
            false => 0,
        };
        let time = Time::from_hms_nano(hour?, minute?, second?, nanosecond).ok()?;
        text.is_at_end().then(|| date.with_time(time).assume_utc())
    }

    /// So many digits, one or more.
    fn digits(&mut self, count: usize) -> Option<u32> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        are_digits.then(|| digits.parse().ok())?
    }

    /// An object of any content, whose numbers are whole and not negative.
    pub(super) fn claims(&mut self) -> Option<Claims> {
        let start = self.0;
        self.expect("{")?;
        let mut iat = None;
        if !self.skip("}") {
            loop {
                let name = self.name()?;
                let number = self.skip_value(DEEPEST)?;
                // Of several, the last one counts.
                if name == "iat" {
                    iat = number;
                }
                if !self.skip(",") {
                    self.expect("}")?;
                    break;
                }
            }
        }
        let json = start.strip_suffix(self.0)?;
        Some(Claims::as_written(json, iat))
    }

    /// Skips a value. Returns it if it is a number.
    fn skip_value(&mut self, levels: usize) -> Option<Option<u64>> {
        let inside = levels.checked_sub(1)?;
        match self.0.as_bytes().first()? {
            b'"' => self.skip_text()?,
            b'[' => self.skip_all(("[", "]"), |rest| rest.skip_value(inside).map(drop))?,
            b'{' => self.skip_all(("{", "}"), |rest| {
                rest.name()?;
                rest.skip_value(inside).map(drop)
            })?,
            b't' => self.expect("true")?,
            b'f' => self.expect("false")?,
            b'n' => self.expect("null")?,
            _ => return self.number().map(Some),
        }
        Some(None)
    }

    /// Skips what stands between two brackets, with commas between.
    fn skip_all(
        &mut self,
        (open, close): (&str, &str),
        mut one: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.expect(open)?;
        if self.skip(close) {
            return Some(());
        }
        loop {
            one(self)?;
            if !self.skip(",") {
                return self.expect(close);
            }
        }
    }

    fn skip_text(&mut self) -> Option<()> {
        match self.plain_text() {
            Some(_) => Some(()),
            None => self.json::<String>().map(drop),
        }
    }

    /// The name of a member, and its colon.
    fn name(&mut self) -> Option<&'a str> {
        let name = self.plain_text()?;
        self.expect(":")?;
        // serde_json gives names of its own that begin so a meaning.
        (!name.starts_with('$')).then_some(name)
    }

    /// A text, list or object as serde_json reads it. Not for types with brackets in brackets: it
    /// counts levels from here on.
    pub(super) fn json<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(self.0).into_iter();
        let value = values.next()?.ok()?;
        self.0 = self.0.get(values.byte_offset()..)?;
        Some(value)
    }

    /// A text without escapes.
    fn plain_text(&mut self) -> Option<&'a str> {
        let inside = self.0.strip_prefix('"')?;
        let end = memchr2(b'"', b'\\', inside.as_bytes())?;
        let (text, rest) = inside.split_at_checked(end)?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }
}
