//! The browser that a sign-in opens: the command that the user names, `$BROWSER`, or the desktop's.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::client::login::Visit;

/// Browsers that need the terminal for themselves.
const TEXT: [&str; 6] = ["w3m", "lynx", "links", "links2", "elinks", "www-browser"];

/// Whether a browser can be opened for the user: one is named, or there is a display that is not
/// that of a machine far away.
pub(super) fn is_likely() -> bool {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = cfg!(target_os = "macos") || set("DISPLAY") || set("WAYLAND_DISPLAY");
    set("BROWSER") || display && !set("SSH_CONNECTION")
}

/// Opens URLs with `command`; if it is empty, with `$BROWSER` or the desktop's browser. The error
/// says that the user must open it.
pub(super) fn opens(command: &str) -> Visit {
    let named = match command {
        "" => env::var("BROWSER").unwrap_or_default(),
        command => command.to_owned(),
    };
    Box::new(move |url| {
        let named = named.clone();
        Box::pin(async move {
            let opened = tokio::task::spawn_blocking(move || open(&named, &url)).await;
            opened.map_err(|error| error.to_string())?
        })
    })
}

fn open(named: &str, url: &str) -> Result<(), String> {
    if named.trim().is_empty() {
        return webbrowser::open(url).map_err(|error| format!("failed to open a browser: {error}"));
    }
    // $BROWSER is a list with colons, of which the first that works is used.
    let mut last = Err("no browser is named".to_owned());
    for command in named.split(':') {
        last = run(command, url);
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Time in which a browser that cannot open gives up.
const SETTLED: Duration = Duration::from_secs(1);

/// Time between two looks at it.
const LOOK: Duration = Duration::from_millis(50);

/// Starts a browser, and does not wait for its end. One that fails at once has opened nothing.
fn run(command: &str, url: &str) -> Result<(), String> {
    let mut words = argv(command, url).into_iter();
    let program = words.next().ok_or("no browser is named")?;
    let name = Path::new(&program)
        .file_name()
        .and_then(|name| name.to_str());
    let mut command = Command::new(&program);
    command.args(words);
    if !name.is_some_and(|name| TEXT.contains(&name)) {
        // Graphical browsers write their complaints to the terminal.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
    }
    let failed = |error| format!("failed to run the browser {program:?}: {error}");
    let mut child = command.spawn().map_err(failed)?;
    let mut waited = Duration::ZERO;
    while waited < SETTLED {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("the browser {program:?} failed ({status})")),
            None => thread::sleep(LOOK),
        }
        waited += LOOK;
    }
    Ok(())
}

/// The words of a command, without a shell: `%s` is the URL, which else comes last.
fn argv(command: &str, url: &str) -> Vec<String> {
    let words = command.split_whitespace();
    let mut argv: Vec<String> = words.map(|word| word.replace("%s", url)).collect();
    if !command.contains("%s") && !argv.is_empty() {
        argv.push(url.to_owned());
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_command_gets_the_url_as_one_word_and_no_shell() {
        let url = "https://id/a?b=c&d=$(id)";
        for (command, expected) in [
            ("firefox", vec!["firefox", url]),
            (
                "firefox --new-window %s",
                vec!["firefox", "--new-window", url],
            ),
            ("  ", vec![]),
        ] {
            assert_eq!(argv(command, url), expected, "{command}");
        }
        assert!(open("/nonexistent/browser:/nonexistent/other", url).is_err());
        assert!(open("/nonexistent/browser:false:true", url).is_ok());
        assert!(open("false", url).is_err());
    }
}
