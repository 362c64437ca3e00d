//! npm's oidc-provider in a process of its own (`tests/oidc-provider/server.mjs`).

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The secret of the client `daypass-page`, with characters that HTTP Basic must encode.
pub const PAGE_SECRET: &str = "page-secret:100%+more&";

/// A running provider. It ends when its stdin closes, which it does with this process.
pub struct Provider {
    url: String,
    _process: Child,
}

impl Provider {
    /// Starts one that signs ID tokens with `algorithm` (RS256, ES256 or EdDSA).
    pub async fn start(algorithm: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
        assert!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "oidc-provider is missing: npm ci --prefix tests/oidc-provider (tests/run does it)"
        );
        let own = folder.join("node_modules/node/bin/node");
        let node = if own.is_file() { own } else { "node".into() };
        let mut process = Command::new(node)
            .arg(folder.join("server.mjs"))
            .arg(algorithm)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node is missing: apt-get install nodejs npm");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines.next_line().await.unwrap();
        // It also prints notices, and ends if they cannot be written.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            url: url.expect(
                "oidc-provider ended: run `node tests/oidc-provider/server.mjs` to see why",
            ),
            _process: process,
        }
    }

    /// The issuer identifier.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Replaces its keys.
    pub async fn rotate(&self) {
        self.order("rotate").await;
    }

    /// Registers the confidential client `daypass-page`, whose secret is [`PAGE_SECRET`], with this
    /// redirect URI. Its keys are other ones afterwards.
    pub async fn register_page(&self, redirect: &str) {
        let bytes = redirect.as_bytes();
        let redirect: String = url::form_urlencoded::byte_serialize(bytes).collect();
        self.order(&format!("page?{redirect}")).await;
    }

    async fn order(&self, path: &str) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(format!("{}/{path}", self.url)).send().await;
        assert_eq!(answer.unwrap().status().as_u16(), 204);
    }
}
