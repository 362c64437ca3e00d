//! Turns `[web]` into [`crate::web::Settings`]. No error holds a secret.

use std::net::SocketAddr;

use secrecy::SecretString;
use toml::Spanned;
use zeroize::Zeroizing;

use super::{error::Problem, files, names, raw, surroundings::Surroundings};
use crate::{
    identity,
    web::settings::{Settings, is_usable, origin},
};

/// Bytes of a client secret at most.
const LONGEST: usize = 512;

/// `[web]`, if it is there. `server` is its name and its address.
pub(super) fn settings(
    raw: Option<&Spanned<raw::Web>>,
    server: (&Spanned<String>, &Spanned<String>),
    issuers: &[identity::Settings],
    around: &Surroundings,
) -> Result<Option<Settings>, Problem> {
    let Some(raw) = raw else {
        return Ok(None);
    };
    if !issuers.iter().any(is_usable) {
        return Err(Problem::new(
            raw.span(),
            "[web] needs an [[issuer]] at which people can sign in in a browser: one with binding = \
             \"nonce\"",
        ));
    }
    let web = raw.get_ref();
    names::unique(
        "[[web.client]]",
        "issuer",
        web.client.iter().map(|client| &client.issuer),
    )?;
    let secret = |client| secret(client, issuers, around);
    Ok(Some(Settings {
        origin: match &web.url {
            Some(url) => written(url)?,
            None => usual(server)?,
        },
        secrets: web.client.iter().map(secret).collect::<Result<_, _>>()?,
    }))
}

fn written(url: &Spanned<String>) -> Result<String, Problem> {
    let text = url.get_ref();
    let refuse = |why| Problem::new(url.span(), format!("web url {text:?} {why}"));
    origin(text).map_err(refuse)
}

/// The name of the server, and the port that it listens on.
fn usual((name, listen): (&Spanned<String>, &Spanned<String>)) -> Result<String, Problem> {
    let port = listen.get_ref().parse::<SocketAddr>().map(|it| it.port());
    let host = match name.get_ref() {
        address if address.contains(':') => format!("[{address}]"),
        host => host.clone(),
    };
    let text = format!("https://{host}:{}", port.unwrap_or_default());
    let refuse = |why| Problem::new(name.span(), format!("web url {text:?} {why}: set `url`"));
    origin(&text).map_err(refuse)
}

fn secret(
    client: &raw::WebClient,
    issuers: &[identity::Settings],
    around: &Surroundings,
) -> Result<(String, SecretString), Problem> {
    let issuer = client.issuer.get_ref();
    let mut usable = issuers.iter().filter(|it| is_usable(it));
    if !usable.any(|it| it.name == *issuer) {
        let message = format!(
            "web client {issuer:?} is not the name of an [[issuer]] with binding = \"nonce\""
        );
        return Err(Problem::new(client.issuer.span(), message));
    }
    let text = text(client, around)?;
    Ok((issuer.clone(), SecretString::from(text.as_str())))
}

fn text(client: &raw::WebClient, around: &Surroundings) -> Result<Zeroizing<String>, Problem> {
    let (at, text) = match (&client.secret_file, &client.secret_credential) {
        (Some(file), None) => {
            let text = files::private_file(file, "secret_file", around);
            (file.span(), text)
        }
        (None, Some(name)) => {
            let text = files::private_credential(name, "secret_file", around);
            (name.span(), text)
        }
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::new(
                client.issuer.span(),
                "a [[web.client]] needs exactly one of secret_file and secret_credential",
            ));
        }
    };
    let Some(text) = around.or_stand_in(text.map(Some), || None)? else {
        return Ok(Zeroizing::new("not read".to_owned()));
    };
    let line = text.trim_end();
    let is_secret =
        (1..=LONGEST).contains(&line.len()) && line.bytes().all(|b| b.is_ascii_graphic());
    if !is_secret {
        // The text is not repeated: it may be another secret by mistake.
        let message = "the client secret is refused: the file must hold one line of 1 to 512 \
                       visible ASCII characters";
        return Err(Problem::new(at, message));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use secrecy::ExposeSecret;

    use super::*;
    use crate::config::Config;

    const BASE: &str = "name = \"ca.example.com\"\nlisten = \"127.0.0.1:7443\"\npolicy = \"p\"\n\
        [[ca.key]]\nfile = \"ca\"\nstate = \"active\"\n[ledger]\nkey = \"l\"\n[[issuer]]\n\
        name = \"corp\"\nurl = \"https://id.example.com\"\nclient_id = \"daypass\"\n\
        algorithms = [\"ES256\"]\nbinding = \"nonce\"\n";

    fn read(keys: &str, base: &str) -> Result<Option<Settings>, String> {
        let folder = tempfile::tempdir().unwrap();
        let around = Surroundings {
            folder: folder.path().to_owned(),
            ..Surroundings::default()
        };
        for (name, text) in [("secret", "s3cret\n"), ("two", "one\ntwo\n")] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let text = format!("{base}{keys}");
        let config = Config::parse(&text, "daypass.toml", &around);
        config.map(|it| it.web).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_section_is_enough_and_none_means_no_page() {
        assert!(read("", BASE).unwrap().is_none());
        let web = read("[web]\n", BASE).unwrap().unwrap();
        assert_eq!(web.redirect(), "https://ca.example.com:7443/web/callback");
        let keys = "[web]\nurl = \"https://ca.example.com\"\n[[web.client]]\nissuer = \"corp\"\n\
                    secret_file = \"secret\"\n";
        let web = read(keys, BASE).unwrap().unwrap();
        assert_eq!(web.redirect(), "https://ca.example.com/web/callback");
        assert_eq!(web.secrets[0].1.expose_secret(), "s3cret");
        assert!(!format!("{web:?}").contains("s3cret"));
    }

    #[test]
    fn a_fault_is_told_with_its_line_and_no_secret() {
        let client = |keys: &str| format!("[web]\n[[web.client]]\n{keys}");
        for (keys, expected) in [
            (
                "[web]\nurl = \"http://ca.example.com\"\n".to_owned(),
                ":16: web url",
            ),
            (
                "[web]\nurl = \"https://ca.example.com/x\"\n".to_owned(),
                "has a path",
            ),
            (
                client("issuer = \"other\"\nsecret_file = \"secret\"\n"),
                ":17: web client",
            ),
            (client("issuer = \"corp\"\n"), "needs exactly one of"),
            (
                client("issuer = \"corp\"\nsecret_file = \"missing\"\n"),
                "secret_file",
            ),
            (
                client("issuer = \"corp\"\nsecret_file = \"two\"\n"),
                "one line of",
            ),
        ] {
            let error = read(&keys, BASE).unwrap_err();
            assert!(
                error.contains(expected) && !error.contains("two\n"),
                "{keys}: {error}"
            );
        }
        let machines = BASE.replace("\"nonce\"", "\"audience\"\ninteractive = false");
        let error = read("[web]\n", &machines).unwrap_err();
        assert!(error.contains("people can sign in"), "{error}");
    }
}
