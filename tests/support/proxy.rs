//! An HTTP proxy on loopback that tunnels (CONNECT) to the port that it is asked for on this
//! machine, for any host name, or refuses as a test says.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What it does with `CONNECT`.
#[derive(Clone, Copy)]
pub enum Manner {
    Tunnel,
    /// Tunnels for this user alone, in the form of the header `Proxy-Authorization`.
    For(&'static str),
    /// Answers with these bytes and closes.
    Answer(&'static str),
}

/// A proxy, and the heads of the requests that it got.
pub struct Proxy {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = heads.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, manner, kept.clone()));
            }
        });
        Self { url, heads, task }
    }

    /// The first lines of the requests so far.
    pub fn asked(&self) -> Vec<String> {
        let heads = self.heads.lock();
        let lines = heads
            .iter()
            .map(|head| head.lines().next().unwrap_or_default());
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else {
            return;
        };
        head.push(char::from(byte));
    }
    heads.lock().push(head.clone());
    let refusal = match manner {
        Manner::Tunnel => None,
        Manner::For(user) if head.contains(&format!("Basic {user}\r\n")) => None,
        Manner::For(_) => {
            Some("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        }
        Manner::Answer(text) => Some(text),
    };
    if let Some(refusal) = refusal {
        let _ = stream.write_all(refusal.as_bytes()).await;
        return;
    }
    let port = head.split([':', ' ']).nth(2).unwrap().parse().unwrap();
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let accepted = b"HTTP/1.1 200 Connection established\r\n\r\n";
    stream.write_all(accepted).await.unwrap();
    let _ = copy_bidirectional(&mut stream, &mut server).await;
}
