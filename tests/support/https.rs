//! The server's plain HTTPS side: `/ca.pub`, `/krl`, `/healthz`, `/metrics`.

use daypass::ssh::krl::Krl;

/// An HTTPS client that trusts `ca` (PEM) alone.
pub fn client(ca: &str) -> reqwest::Client {
    client_with(ca, reqwest::Client::builder())
}

/// The same, on a builder of the test's choice.
pub fn client_with(ca: &str, builder: reqwest::ClientBuilder) -> reqwest::Client {
    // Another test of this process may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(ca.as_bytes()).unwrap();
    builder.tls_certs_only([root]).no_proxy().build().unwrap()
}

/// The revocation list that the server publishes.
pub async fn krl(url: &str, ca: &str) -> Krl {
    let answer = client(ca).get(format!("{url}/krl")).send().await.unwrap();
    Krl::parse(&answer.bytes().await.unwrap()).unwrap()
}
