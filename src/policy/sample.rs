//! A sample grant, for unit tests of other modules.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::{Grant, Restriction};
use crate::ssh::options::Extension;

impl Grant {
    pub(crate) fn sample(
        principals: &[&str],
        command: Option<&str>,
        source: Option<&[&str]>,
        extensions: &[Extension],
    ) -> Self {
        let principals = principals.iter().map(|&name| name.to_owned()).collect();
        let extensions = extensions.iter().cloned().collect();
        let restriction = Restriction {
            command: command.map(str::to_owned),
            source: source.map(|list| list.iter().map(|net| net.parse().unwrap()).collect()),
            ..Restriction::default()
        };
        let full = Self::full("shell", principals, extensions, Duration::from_secs(3600));
        if restriction == Restriction::default() {
            return full;
        }
        full.narrow(&restriction).unwrap()
    }
}
