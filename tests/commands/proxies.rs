//! HTTPS_PROXY and its relatives between a laptop and the server.

use std::{fs, time::Duration};

use crate::support::{
    api::Api,
    command::{Done, Terminal},
    env::TestEnv,
    files,
    proxy::{Manner, Proxy},
    server::{Process, ServerFiles},
};

/// No resolver knows it: only a proxy reaches it.
const NAME: &str = "ca.example.test";

/// A server that calls itself by a name that is not on loopback.
struct World {
    files: ServerFiles,
    _process: Process,
    terminal: Terminal,
    server: String,
}

impl World {
    async fn start() -> Self {
        let files = TestEnv::new().prepare().await;
        files::edit(
            &files.configuration(),
            "name = \"localhost\"",
            &format!("name = \"{NAME}\""),
        );
        let names = ["localhost", NAME].map(str::to_owned);
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(files.path("tls.pem"), made.cert.pem()).unwrap();
        fs::write(files.path("tls.key"), made.signing_key.serialize_pem()).unwrap();
        // The ledger carries the server's name.
        fs::remove_dir_all(files.path("state")).unwrap();
        let mut process = files.spawn_with(&[], &["--new-ledger"]);
        let deadline = std::time::Instant::now() + Duration::from_secs(120);
        while Api::try_open(&files.url(), made.cert.pem().as_bytes())
            .await
            .is_none()
        {
            assert!(process.0.try_wait().unwrap().is_none(), "{}", files.log());
            assert!(std::time::Instant::now() < deadline, "{}", files.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let port = files.url().rsplit_once(':').unwrap().1.to_owned();
        let terminal = Terminal {
            home: files.folder().to_owned(),
            state: files.path("laptop"),
            variables: Vec::new(),
        };
        Self {
            _process: process,
            terminal,
            server: format!("https://{NAME}:{port}"),
            files,
        }
    }

    /// Asks the server what it says of itself, with these variables.
    async fn ask(&self, variables: &[(&str, &str)]) -> Done {
        self.ask_at(&self.server, variables).await
    }

    async fn ask_at(&self, server: &str, variables: &[(&str, &str)]) -> Done {
        let mut command = self.terminal.command(&["login", "--print-audience"]);
        command.env("DAYPASS_SERVER", server);
        command.env("DAYPASS_CA_FILE", self.files.path("tls.pem"));
        for name in ["HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "HTTP_PROXY"] {
            command.env_remove(name);
            command.env_remove(name.to_lowercase());
        }
        command.envs(variables.iter().copied());
        Done::of(command).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_goes_through_the_proxy_of_the_environment() {
    let (world, proxy) = (World::start().await, Proxy::start(Manner::Tunnel).await);
    let tunnelled = format!("CONNECT {} HTTP/1.1", &world.server["https://".len()..]);
    for (count, name) in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .enumerate()
    {
        let done = world.ask(&[(name, &proxy.url)]).await;
        // It is reached: what is missing is an issuer for machines.
        assert!(!done.stderr.contains("failed to reach"), "{name}: {done:?}");
        assert_eq!(proxy.asked(), vec![tunnelled.clone(); count + 1], "{name}");
    }
    let password = Proxy::start(Manner::For("YWxpY2U6czNjcmV0")).await;
    let with_user = password.url.replace("http://", "http://alice:s3cret@");
    let done = world.ask(&[("HTTPS_PROXY", &with_user)]).await;
    assert!(!done.stderr.contains("failed to reach"), "{done:?}");
    // Not for this server, and never for loopback.
    let direct = world
        .ask(&[("HTTPS_PROXY", &proxy.url), ("NO_PROXY", ".example.test")])
        .await;
    assert_eq!(direct.code, 6, "{direct:?}");
    let loopback = world.files.url();
    let done = world.ask_at(&loopback, &[("ALL_PROXY", &proxy.url)]).await;
    assert!(!done.stderr.contains("failed to reach"), "{done:?}");
    assert_eq!(proxy.asked().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_proxy_names_the_proxy_and_its_variable() {
    let world = World::start().await;
    for (manner, said) in [
        (
            Manner::Answer("HTTP/1.1 403 Forbidden by policy\r\nContent-Length: 0\r\n\r\n"),
            "403 Forbidden by policy",
        ),
        (Manner::For("x"), "wants a user name and a password (407)"),
        (
            Manner::Answer("<!DOCTYPE html><html>Please sign in to the Wi-Fi</html>"),
            "does not answer as an HTTP proxy",
        ),
        (
            Manner::Answer(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>Please sign in</html>",
            ),
            "does not answer as an HTTP proxy",
        ),
        (Manner::Answer(""), "does not answer as an HTTP proxy"),
    ] {
        let proxy = Proxy::start(manner).await;
        let done = world.ask(&[("HTTPS_PROXY", &proxy.url)]).await;
        assert_eq!(done.code, 6, "{said}: {done:?}");
        let named = format!("{} (HTTPS_PROXY)", proxy.url);
        assert!(
            done.stderr.contains(said) && done.stderr.contains(&named),
            "{said}: {done:?}"
        );
    }
    let done = world.ask(&[("all_proxy", "http://127.0.0.1:1")]).await;
    let said = "failed to reach the proxy http://127.0.0.1:1 (all_proxy)";
    assert!(done.code == 6 && done.stderr.contains(said), "{done:?}");
    let done = world
        .ask(&[("HTTPS_PROXY", "socks5://127.0.0.1:1080")])
        .await;
    assert!(
        done.stderr.contains("HTTPS_PROXY does not name a proxy"),
        "{done:?}"
    );
}
