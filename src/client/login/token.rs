//! An ID token from a file, or from a command that fetches one. Never from an argument: other users
//! can read those.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{io::AsyncReadExt, process::Command};
use zeroize::Zeroizing;

use crate::client::Error;

/// Bytes that are read at most; the server's own limit is 16 KiB.
const LARGEST: u64 = 64 * 1024;
/// Time for a command that fetches a token.
const PATIENCE: Duration = Duration::from_secs(60);

/// The source of an ID token.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file; `-` is standard input.
    File(PathBuf),
    /// A shell command that prints it. `{audience}` in the command, and `$DAYPASS_AUDIENCE` in its
    /// environment, are the audience to ask for.
    Command(String),
}

/// Reads the token, without surrounding white space.
///
/// # Errors
/// Returns the error if the file cannot be read, or the command fails or takes too long.
pub(super) async fn read(source: &Source, audience: &str) -> Result<Zeroizing<String>, Error> {
    match source {
        Source::Command(command) => run(command, audience).await,
        Source::File(path) => read_file(path).await,
    }
}

/// Reads the token in a file, or on standard input (`-`), without surrounding white space.
///
/// # Errors
/// Returns the error if the file cannot be read.
pub(crate) async fn read_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let read = match path.as_os_str() == "-" {
        true => bounded(tokio::io::stdin()).await,
        false => {
            let file = tokio::fs::File::open(path).await;
            bounded(file.map_err(Error::file(path))?).await
        }
    };
    let text = read.map_err(|error| Error::other(format!("failed to read the token: {error}")))?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

async fn run(command: &str, audience: &str) -> Result<Zeroizing<String>, Error> {
    // The server names the audience and a shell reads it, so only the plain characters of a URL are
    // allowed.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._~:/@#=+-".contains(c);
    if !audience.chars().all(plain) || audience.starts_with(['-', '#', '~']) {
        return Err(Error::Untrusted(format!(
            "the audience {audience:?} cannot be part of a command"
        )));
    }
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command.replace("{audience}", audience))
        .env("DAYPASS_AUDIENCE", audience)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::other(format!("failed to run the token command: {error}")))?;
    let stdout = child.stdout.take();
    let work = async {
        let text = match stdout {
            Some(stdout) => bounded(stdout).await?,
            None => Zeroizing::new(String::new()),
        };
        Ok::<_, std::io::Error>((text, child.wait().await?))
    };
    let done = tokio::time::timeout(PATIENCE, work).await;
    let done = done.map_err(|_| {
        Error::TimedOut(format!(
            "the token command did not end within {} s",
            PATIENCE.as_secs()
        ))
    })?;
    match done {
        Ok((text, status)) if status.success() => Ok(Zeroizing::new(text.trim().to_owned())),
        Ok((_, status)) => Err(Error::other(format!("the token command failed ({status})"))),
        Err(error) => Err(Error::other(format!("the token command failed: {error}"))),
    }
}

async fn bounded(reader: impl tokio::io::AsyncRead + Unpin) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    reader.take(LARGEST).read_to_string(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    async fn output(command: &str, audience: &str) -> Result<String, Error> {
        let source = Source::Command(command.to_owned());
        read(&source, audience).await.map(|text| text.to_string())
    }

    #[tokio::test]
    async fn a_command_gets_the_audience_in_its_words_and_its_environment() {
        let audience = "https://daypass.example.com#abc-_1";
        for command in [
            "echo '{audience}'",
            "echo {audience}",
            "echo \"$DAYPASS_AUDIENCE\"",
        ] {
            assert_eq!(output(command, audience).await.unwrap(), audience);
        }
    }

    #[tokio::test]
    async fn an_audience_cannot_add_words_to_the_command() {
        for audience in ["a;id", "a b", "$(id)", "a'b", "-x", "#x", "a\nb"] {
            assert!(output("echo {audience}", audience).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_gives_no_token() {
        assert!(output("echo token; exit 3", "a").await.is_err());
    }
}
