//! The forms of bounds, and the values that try them.

/// A key's bounds.
pub(super) struct Bounds {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// The words of the manual.
    pub(super) said: &'static str,
    /// A file without the value.
    base: &'static str,
    /// Where the value comes in.
    place: Place,
    pub(super) values: Values,
}

pub(super) enum Place {
    /// In the place of `@` in lines after the file.
    After(&'static str),
    /// In the place of this text of the file.
    Of(&'static str),
}

/// The values at the bounds and past them.
pub(super) enum Values {
    /// These: loaded, and refused.
    These(&'static [&'static str], &'static [&'static str]),
    /// Texts of 1 to so many bytes, in double quotes.
    Text(usize),
    /// At most so many bytes that begin with this text, in single quotes.
    Padded(&'static str, usize),
    /// Lists of so many items, made by this.
    List(usize, usize, fn(usize) -> String),
    /// At most so many entries of a table.
    Table(usize),
}

/// The bounds of a lifetime.
pub(super) const LIFETIME: Values = Values::These(
    &["\"1s\"", "\"7d\""],
    &["\"0s\"", "\"999ms\"", "\"7d 1s\"", "\"1s 1ms\""],
);

impl Bounds {
    pub(super) const fn of(
        (section, key, said): (&'static str, &'static str, &'static str),
        base: &'static str,
        place: Place,
        values: Values,
    ) -> Self {
        Self {
            section,
            key,
            said,
            base,
            place,
            values,
        }
    }

    /// The file with this value.
    pub(super) fn file(&self, value: &str) -> String {
        match self.place {
            Place::After(lines) => format!("{}{}", self.base, lines.replacen('@', value, 1)),
            Place::Of(text) => self.base.replacen(text, value, 1),
        }
    }
}

impl Values {
    /// Values that load, and values that are refused.
    pub(super) fn tried(&self) -> (Vec<String>, Vec<String>) {
        let text = |length: usize| format!("\"{}\"", "a".repeat(length));
        match *self {
            Self::These(loads, refused) => {
                let owned = |values: &[&str]| values.iter().map(|it| (*it).to_owned()).collect();
                (owned(loads), owned(refused))
            }
            Self::Text(most) => (vec![text(1), text(most)], vec![text(0), text(most + 1)]),
            Self::Padded(start, most) => {
                let padded = |length| format!("'{start:length$}'");
                (vec![padded(most)], vec![padded(most + 1)])
            }
            Self::List(least, most, item) => {
                let list =
                    |count| format!("[{}]", (0..count).map(item).collect::<Vec<_>>().join(", "));
                let few = least.checked_sub(1).map(list);
                let refused = few.into_iter().chain([list(most + 1)]).collect();
                (vec![list(least.max(1)), list(most)], refused)
            }
            Self::Table(most) => {
                let entry = |at| format!("x{at} = \"y\"");
                let table = |count| {
                    format!(
                        "{{ {} }}",
                        (0..count).map(entry).collect::<Vec<_>>().join(", ")
                    )
                };
                (vec![table(0), table(most)], vec![table(most + 1)])
            }
        }
    }
}

pub(super) fn network(at: usize) -> String {
    format!("\"10.0.{at}.0/24\"")
}

pub(super) fn name(at: usize) -> String {
    format!("\"n{at}\"")
}

pub(super) fn port(at: usize) -> String {
    (2000 + at).to_string()
}
