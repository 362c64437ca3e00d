//! Turns `[web]` into [`web::Settings`]. No error holds a secret.

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
