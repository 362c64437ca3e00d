//! Turns `[[issuer]]` into [`Settings`]. `identity` checks the values; the file's line is added
//! here.

use std::ops::Range;

use toml::Spanned;

use super::{
    error::Problem,
    files::{ca_certificates, path},
    limits::duration,
    raw,
    surroundings::Surroundings,
};
use crate::{
    identity::{
        Settings, SettingsError, SignIn, check_settings,
        sign_in::{DEFAULT_SESSION, SESSION_BOUNDS},
    },
    modes,
};

/// Bytes of a client secret's file at most.
const LONGEST_SECRET: u64 = 4096;

/// Bytes of an issuer's roots at most: every client gets them.
const LONGEST_ROOTS: usize = 64 * 1024;

/// The scopes of a person's sign-in if the file does not set them.
const DEFAULT_SCOPES: [&str; 2] = ["openid", "email"];

pub(super) fn settings(
    issuers: &[raw::Issuer],
    around: &Surroundings,
) -> Result<Vec<Settings>, Problem> {
    if issuers.is_empty() {
        return Err(Problem::new(
            0..0,
            "there is no [[issuer]]: add the OIDC provider whose people may sign in",
        ));
    }
    let settings = issuers.iter().map(|issuer| one(issuer, around));
    let settings = settings.collect::<Result<Vec<_>, _>>()?;
    match check_settings(&settings) {
        Ok(()) => Ok(settings),
        Err(error) => Err(located(issuers, error)),
    }
}

fn one(raw: &raw::Issuer, around: &Surroundings) -> Result<Settings, Problem> {
    let client_id = raw.client_id.get_ref();
    let audiences = raw.audiences.as_ref().map(Spanned::get_ref);
    let scopes = raw.scopes.as_ref().map(Spanned::get_ref);
    Ok(Settings {
        name: raw.name.get_ref().clone(),
        url: raw.url.get_ref().clone(),
        client_id: client_id.clone(),
        audiences: audiences.map_or_else(|| vec![client_id.clone()], Vec::clone),
        scopes: scopes.map_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec(), Vec::clone),
        algorithms: raw.algorithms.get_ref().clone(),
        key_without_id: raw.key_without_id,
        binding: *raw.binding.get_ref(),
        device_flow: raw.device_flow,
        interactive: raw.interactive,
        ca_certificates: roots(raw, around)?,
        label: raw.label.as_ref().map(|label| label.get_ref().clone()),
        string_booleans: raw.string_booleans,
        sign_in: sign_in(raw, around)?,
    })
}

fn sign_in(raw: &raw::Issuer, around: &Surroundings) -> Result<SignIn, Problem> {
    let ports = raw.redirect_ports.as_ref().map(Spanned::get_ref);
    let parameters = raw.authorization_parameters.as_ref().map(Spanned::get_ref);
    Ok(SignIn {
        client_secret: client_secret(raw, around)?,
        redirect_ports: ports.cloned().unwrap_or_default(),
        redirect_host: raw.redirect_host,
        parameters: parameters.cloned().unwrap_or_default(),
        refresh: raw
            .refresh
            .as_ref()
            .is_some_and(|refresh| *refresh.get_ref()),
        session: duration("session", &raw.session, DEFAULT_SESSION, SESSION_BOUNDS)?,
    })
}

/// The text of the file, without the line's end. Every client gets it, so it may be readable by
/// all users, but written by its owner alone.
fn client_secret(raw: &raw::Issuer, around: &Surroundings) -> Result<Option<String>, Problem> {
    let Some(file) = &raw.client_secret_file else {
        return Ok(None);
    };
    let path = path(file, around)?;
    let text = modes::read_trusted_text(&path, LONGEST_SECRET).map_err(|problem| {
        let message = format!("client_secret_file {}: {problem}", path.display());
        Problem::new(file.span(), message)
    });
    let text = around.or_stand_in(text.map(Some), || None)?;
    Ok(text.map(|text| text.trim_end().to_owned()))
}

fn roots(raw: &raw::Issuer, around: &Surroundings) -> Result<Option<Vec<u8>>, Problem> {
    let Some(file) = &raw.ca_file else {
        return Ok(None);
    };
    let pem = ca_certificates(file, around)?;
    if pem.len() <= LONGEST_ROOTS {
        return Ok(Some(pem));
    }
    Err(Problem::new(
        file.span(),
        "ca_file holds more than 64 KiB of certificates, and every client gets them: name a file \
         with the root of this issuer alone",
    ))
}

/// The fault with its place in the file.
fn located(issuers: &[raw::Issuer], error: SettingsError) -> Problem {
    match error {
        SettingsError::Invalid {
            index,
            key,
            problem,
            ..
        } => {
            let at = issuers.get(index).map(|issuer| span(issuer, key));
            Problem::new(at.unwrap_or_default(), problem)
        }
        SettingsError::Certificates { .. } => Problem::new(0..0, error.to_string()),
    }
}

/// The place of an issuer's key in the file. The name's place if the file does not have the key.
fn span(raw: &raw::Issuer, key: &str) -> Range<usize> {
    let span = match key {
        "url" => Some(raw.url.span()),
        "client_id" => Some(raw.client_id.span()),
        "audiences" => raw.audiences.as_ref().map(Spanned::span),
        "scopes" => raw.scopes.as_ref().map(Spanned::span),
        "algorithms" => Some(raw.algorithms.span()),
        "binding" => Some(raw.binding.span()),
        "client_secret_file" => raw.client_secret_file.as_ref().map(Spanned::span),
        "redirect_ports" => raw.redirect_ports.as_ref().map(Spanned::span),
        "authorization_parameters" => raw.authorization_parameters.as_ref().map(Spanned::span),
        "refresh" => raw.refresh.as_ref().map(Spanned::span),
        "session" => raw.session.as_ref().map(Spanned::span),
        "label" => raw.label.as_ref().map(Spanned::span),
        _ => None,
    };
    span.unwrap_or_else(|| raw.name.span())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

    use proptest::prelude::*;

    use super::*;
    use crate::identity::RedirectHost;

    const BASE: &str = "name = \"corp\"\nurl = \"https://id.example.com\"\nclient_id = \"daypass\"\n\
        algorithms = [\"ES256\"]\nbinding = \"nonce\"\n";

    fn read(folder: &Path, keys: &str) -> Result<Settings, String> {
        let around = Surroundings {
            folder: folder.to_owned(),
            ..Surroundings::default()
        };
        let text = format!("{BASE}{keys}");
        let raw: raw::Issuer = toml::from_str(&text).map_err(|error| error.to_string())?;
        match settings(&[raw], &around) {
            Ok(mut all) => Ok(all.remove(0)),
            Err(problem) => Err(problem.in_file(&text, "daypass.toml").to_string()),
        }
    }

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn an_issuer_gets_what_its_provider_demands_of_clients() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("secret"), "GOCSPX-not_secret\n", 0o644);
        let issuer = read(
            folder.path(),
            "client_secret_file = \"secret\"\nredirect_ports = [8250, 8251]\n\
             redirect_host = \"localhost\"\nrefresh = true\nsession = \"8h\"\n\
             authorization_parameters = { access_type = \"offline\", prompt = \"consent\" }\n\
             label = \"preferred_username\"\nstring_booleans = true\n",
        )
        .unwrap();
        let sign_in = issuer.sign_in;
        assert_eq!(sign_in.client_secret.as_deref(), Some("GOCSPX-not_secret"));
        assert_eq!(sign_in.redirect_ports, [8250, 8251]);
        assert_eq!(sign_in.redirect_host, RedirectHost::Name);
        assert_eq!(sign_in.parameters["access_type"], "offline");
        assert!(sign_in.refresh && issuer.string_booleans);
        assert_eq!(sign_in.session, Duration::from_secs(8 * 3600));
        assert_eq!(issuer.label.as_deref(), Some("preferred_username"));
    }

    #[test]
    fn a_fault_of_a_sign_in_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("two"), "one\ntwo\n", 0o644);
        write(&folder.path().join("open"), "x\n", 0o666);
        for (keys, expected) in [
            (
                "redirect_ports = [80]\n",
                "daypass.toml:6: redirect_ports names 80",
            ),
            (
                "refresh = true\nauthorization_parameters = { nonce = \"x\" }\n",
                "daypass.toml:7: authorization_parameters sets \"nonce\"",
            ),
            ("session = \"8d\"\n", "daypass.toml:6: session = \"8d\""),
            ("label = \"\"\n", "daypass.toml:6: label is refused"),
            (
                "client_secret_file = \"missing\"\n",
                "daypass.toml:6: client_secret_file ",
            ),
            (
                "client_secret_file = \"two\"\n",
                "daypass.toml:6: client_secret_file is refused",
            ),
            (
                "client_secret_file = \"open\"\n",
                "daypass.toml:6: client_secret_file ",
            ),
            ("redirect_host = \"0.0.0.0\"\n", "unknown variant"),
        ] {
            let error = read(folder.path(), keys).unwrap_err();
            assert!(error.contains(expected), "{keys}: {error}");
        }
    }

    /// A bundle with a private key is a common mistake, and clients get these roots.
    #[test]
    fn only_certificates_of_a_ca_file_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["id.example.com".to_owned()]).unwrap();
        let certificate = own.cert.pem();
        let both = format!("{}comment\n{certificate}", own.signing_key.serialize_pem());
        write(&folder.path().join("roots.pem"), &both, 0o644);
        let issuer = read(folder.path(), "ca_file = \"roots.pem\"\n").unwrap();
        let kept = String::from_utf8(issuer.ca_certificates.unwrap()).unwrap();
        assert_eq!(kept, certificate.replace("\r\n", "\n"));
        write(&folder.path().join("many.pem"), &both.repeat(200), 0o644);
        let error = read(folder.path(), "ca_file = \"many.pem\"\n").unwrap_err();
        assert!(error.contains("64 KiB"), "{error}");
    }

    /// Parameters that Daypass itself sets in the authorization request.
    const OURS: [&str; 5] = [
        "nonce",
        "state",
        "client_id",
        "redirect_uri",
        "code_challenge",
    ];

    proptest! {
        #[test]
        fn any_settings_of_a_provider_are_read_within_bounds_or_refused(
            keys in "((label|session|redirect_host|client_secret_file) = \"[a-z0-9. \\PC]{0,12}\"\n\
                      |(refresh|string_booleans|device_flow) = (true|false)\n\
                      |redirect_ports = \\[[0-9, ]{0,20}\\]\n\
                      |authorization_parameters = \\{ (nonce|state|prompt|redirect_uri|[a-z_]{0,6}) = \"\\PC{0,9}\" \\}\n){0,5}"
        ) {
            let folder = tempfile::tempdir().unwrap();
            if let Ok(issuer) = read(folder.path(), &keys) {
                let sign_in = issuer.sign_in;
                prop_assert!(SESSION_BOUNDS.contains(&sign_in.session.as_secs()));
                prop_assert!(sign_in.redirect_ports.iter().all(|port| *port >= 1024));
                prop_assert!(OURS.iter().all(|name| !sign_in.parameters.contains_key(*name)));
                prop_assert!(issuer.label.is_none_or(|label| !label.is_empty()));
            }
        }
    }
}
