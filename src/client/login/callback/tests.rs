use super::*;
use crate::client::{login::claims::issuer, server_info::Binding};

async fn open() -> (Callback, SocketAddr, Expected) {
    let issuer = issuer(Binding::Nonce, false);
    let callback = Callback::open(&issuer).await.unwrap();
    let address = callback.host.parse().unwrap();
    let expected = Expected {
        url: callback.redirect_url(),
        state: "right".to_owned(),
        issuer: "https://id".to_owned(),
    };
    (callback, address, expected)
}

async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A child process that another test has forked holds a copy of the listener until it runs its
/// own program, so a closed port may still answer for a moment.
async fn is_closed_soon(address: SocketAddr) -> bool {
    tokio::time::timeout(Duration::from_secs(10), async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .is_ok()
}

fn get(address: SocketAddr, target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

#[tokio::test]
async fn the_one_redirect_gives_the_code_and_closes_the_port() {
    let (callback, address, expected) = open().await;
    let silent = TcpStream::connect(address).await.unwrap();
    let waiting = tokio::spawn(async move { callback.wait(&expected).await });

    let other_path = send(address, &get(address, "/favicon.ico")).await;
    assert!(other_path.starts_with("HTTP/1.1 404"));
    let post = get(address, "/callback?code=c&state=right").replace("GET", "POST");
    assert!(send(address, &post).await.starts_with("HTTP/1.1 405"));
    let rebound = "GET /callback?code=c&state=right HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert!(send(address, rebound).await.starts_with("HTTP/1.1 400"));

    let hit = send(
        address,
        &get(address, "/callback?code=the%2Dcode&state=right"),
    )
    .await;
    assert!(hit.starts_with("HTTP/1.1 200"));
    assert_eq!(waiting.await.unwrap().unwrap(), "the-code");
    drop(silent);
    assert!(is_closed_soon(address).await, "the port is closed");
}

#[tokio::test]
async fn an_invalid_redirect_ends_the_login_and_the_page_shows_nothing_of_it() {
    let script = "%3Cscript%3Ealert(1)%3C/script%3E";
    let cases = [
        ("a wrong state", "code=c&state=wrong".to_owned()),
        ("no state", "code=c".to_owned()),
        ("two states", "code=c&state=right&state=wrong".to_owned()),
        ("no code", "state=right".to_owned()),
        ("two codes", "code=c&code=d&state=right".to_owned()),
        (
            "another issuer",
            "code=c&state=right&iss=https://evil".to_owned(),
        ),
        (
            "a script in the description",
            format!("error=access_denied&error_description={script}&state=right"),
        ),
        (
            "a script as the error",
            format!("error={script}&state=right"),
        ),
        (
            "a code beside an error",
            "error=x&code=c&state=right".to_owned(),
        ),
    ];
    for (case, query) in cases {
        let (callback, address, expected) = open().await;
        let waiting = tokio::spawn(async move { callback.wait(&expected).await });
        let page = send(address, &get(address, &format!("/callback?{query}"))).await;
        assert!(page.starts_with("HTTP/1.1 400"), "{case}");
        assert!(
            !page.contains("script>") && !page.contains("alert"),
            "{case}"
        );
        let error = waiting.await.unwrap().unwrap_err();
        assert_eq!(error.exit_code(), 3, "{case}");
        // The terminal quotes the description; a code that is not one is left out.
        let shown = error.to_string().contains("\"<script>alert(1)</script>\"");
        assert_eq!(shown, case.ends_with("description"), "{case}: {error}");
        assert!(is_closed_soon(address).await, "{case}");
    }
}

#[tokio::test]
async fn registered_ports_are_tried_in_order_and_a_taken_one_is_skipped() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = (taken.local_addr().unwrap().port(), taken);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut issuer = issuer(Binding::Nonce, false);
    issuer.redirect_ports = vec![taken.0, port];
    let callback = Callback::open(&issuer).await.unwrap();
    assert_eq!(
        callback.redirect_url(),
        format!("http://127.0.0.1:{port}/callback")
    );
    drop(callback);

    issuer.redirect_ports = vec![taken.0];
    let error = Callback::open(&issuer).await.unwrap_err().to_string();
    assert!(
        error.contains(&taken.0.to_string()) && error.contains("--paste"),
        "{error}"
    );
    let pasted = Callback::open_or_paste(&issuer).await.unwrap();
    assert!(pasted.redirect_url().contains(&taken.0.to_string()));
}

#[tokio::test]
async fn localhost_is_heard_at_both_addresses() {
    let mut issuer = issuer(Binding::Nonce, false);
    issuer.redirect_host = "localhost".to_owned();
    let callback = Callback::open(&issuer).await.unwrap();
    let url = callback.redirect_url();
    assert!(url.starts_with("http://localhost:"), "{url}");
    let port: u16 = callback.port().parse().unwrap();
    let expected = Expected {
        url,
        state: "right".to_owned(),
        issuer: "https://id".to_owned(),
    };
    let last = callback.listeners.last().unwrap().local_addr().unwrap();
    let waiting = tokio::spawn(async move { callback.wait(&expected).await });
    let request =
        format!("GET /callback?code=c&state=right HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    assert!(send(last, &request).await.starts_with("HTTP/1.1 200"));
    assert_eq!(waiting.await.unwrap().unwrap(), "c");
}
