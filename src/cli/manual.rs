//! The manual: one page for each topic, from one source, for `daypass help TOPIC` and as man pages.
//!
//! The text of each command and its options stands in the command's own file, not here.

mod markup;
mod roff;
mod text;

#[cfg(test)]
mod tests;

pub(super) use text::{paragraphs, wrapped};

use super::{Failure, failure::Code};

/// A page of the manual.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: &'static str,
    source: &'static str,
}

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
    "providers",
    "policy",
    "host",
    "bastion",
    "plain-ssh",
    "scripts",
    "requests",
    "emergency",
    "locks",
    "ledger",
    "webhooks",
    "security",
    "files",
    "exit-codes",
];

/// The topic of this name.
pub(super) fn find(name: &str) -> Option<&'static Topic> {
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
        Ok(text::render(&self.page()?))
    }

    /// File name and text of the man page.
    ///
    /// # Errors
    /// As [`Topic::text`].
    pub(super) fn man_page(&self) -> Result<(String, String), Failure> {
        let others = TOPICS.iter().filter(|topic| topic.name != self.name);
        let others = others.map(|topic| format!("daypass-{}(7)", topic.name));
        let see_also: Vec<_> = std::iter::once("daypass(1)".to_owned())
            .chain(others)
            .collect();
        let page = roff::render(self.name, &self.page()?, &see_also);
        Ok((format!("daypass-{}.7", self.name), page))
    }

    fn page(&self) -> Result<markup::Page<'static>, Failure> {
        markup::parse(self.source).map_err(|fault| {
            Failure::new(Code::Failure, format!("manual page {}: {fault}", self.name))
        })
    }
}
