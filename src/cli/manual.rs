//! The manual: one page for each topic, from one source, for `daypass help TOPIC` and as man pages.
//! The keys of the two files come from the types that read them.
//!
//! The text of each command and its options stands in the command's own file, not here.

mod markup;
mod roff;
mod text;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod tests;

pub(super) use text::{paragraphs, wrapped};

use std::fmt::Write as _;

use super::{Failure, failure::Code};
use crate::{
    config, policy,
    reference::{Key, Section},
};

/// A page of the manual.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: &'static str,
    source: &'static str,
}

/// A page about a file, of section 5.
#[derive(Debug)]
struct FilePage {
    topic: &'static str,
    /// Name of the man page.
    name: &'static str,
    /// The sections and keys of the file.
    reference: fn() -> Vec<Section>,
}

const FILES: &[FilePage] = &[
    FilePage {
        topic: "configuration",
        name: "daypass.toml",
        reference: config::reference,
    },
    FilePage {
        topic: "signer",
        name: "daypass-signer.toml",
        reference: config::signer_reference,
    },
    FilePage {
        topic: "policy",
        name: "daypass-policy",
        reference: policy::reference,
    },
];

macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        &[$(Topic { name: $name, source: include_str!(concat!("manual/", $name, ".md")) }),*]
    };
}

/// In the order in which a new user needs them.
pub(super) const TOPICS: &[Topic] = topics![
    "how-it-works",
    "server",
    "configuration",
    "signer",
    "providers",
    "policy",
    "host",
    "hosts",
    "bastion",
    "plain-ssh",
    "scripts",
    "requests",
    "web",
    "emergency",
    "locks",
    "ledger",
    "ledger-key",
    "webhooks",
    "security",
    "files",
    "exit-codes",
];

/// The topic of this name.
pub(super) fn find(name: &str) -> Option<&'static Topic> {
    let name = match name {
        "config" | "daypass.toml" => "configuration",
        "signer.toml" => "signer",
        "policy.toml" => "policy",
        name => name,
    };
    TOPICS.iter().find(|topic| topic.name == name)
}

/// A line for each topic: its name, and what it is about.
pub(super) fn list() -> String {
    let width = TOPICS.iter().map(|topic| topic.name.len()).max();
    let width = width.unwrap_or_default();
    let line = |topic: &Topic| wrapped(&format!("  {:width$}  ", topic.name), topic.about());
    TOPICS.iter().map(line).collect()
}

impl Topic {
    /// Subject of the page, from its title.
    pub(super) fn about(&self) -> &'static str {
        let title = self.source.lines().next().unwrap_or_default();
        title.split_once(": ").map_or(title, |(_, about)| about)
    }

    /// The page for a terminal.
    ///
    /// # Errors
    /// Returns the fault if the page is not of the manual's markup; a test reads them all.
    pub(super) fn text(&self) -> Result<String, Failure> {
        let source = self.markup();
        Ok(text::render(&self.page(&source)?))
    }

    /// The man page's name and section, as other pages refer to it: `daypass-host(7)`.
    pub(super) fn man_reference(&self) -> String {
        let (name, section) = self.man_name();
        format!("{name}({section})")
    }

    /// File name and text of the man page.
    ///
    /// # Errors
    /// As [`Topic::text`].
    pub(super) fn man_page(&self) -> Result<(String, String), Failure> {
        let (name, section) = self.man_name();
        let others = TOPICS.iter().filter(|topic| topic.name != self.name);
        let see_also: Vec<_> = std::iter::once("daypass(1)".to_owned())
            .chain(others.map(Self::man_reference))
            .collect();
        let source = self.markup();
        let page = roff::render((&name, section), &self.page(&source)?, &see_also);
        Ok((format!("{name}.{section}"), page))
    }

    fn man_name(&self) -> (String, &'static str) {
        match self.file() {
            Some(file) => (file.name.to_owned(), "5"),
            None => (format!("daypass-{}", self.name), "7"),
        }
    }

    fn file(&self) -> Option<&'static FilePage> {
        FILES.iter().find(|file| file.topic == self.name)
    }

    /// The page's source, with the keys of its file.
    fn markup(&self) -> String {
        let mut source = self.source.to_owned();
        let sections = self.file().map(|file| (file.reference)());
        for section in sections.unwrap_or_default() {
            let _ = write!(
                source,
                "\n## {}\n\n{}\n\n",
                section.heading,
                section.about.trim()
            );
            for key in section.keys {
                source.push_str(&entry(key));
            }
        }
        source
    }

    fn page<'a>(&self, source: &'a str) -> Result<markup::Page<'a>, Failure> {
        markup::parse(source).map_err(|fault| {
            Failure::new(Code::Failure, format!("manual page {}: {fault}", self.name))
        })
    }
}

/// The entry of a key.
fn entry(key: &Key) -> String {
    let required = if key.is_required { ", required" } else { "" };
    let (name, kind, about) = (key.name, key.kind, key.about.trim());
    format!("- `{name}` ({kind}{required}): {about}\n")
}
