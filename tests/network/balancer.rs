//! A real HAProxy or nginx on loopback, configured as the manual says.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{support::ports::free_port, world::PATIENCE};

const MANUAL: &str = include_str!("../../src/cli/manual/configuration.md");

/// Debian's path of nginx's `stream`; others build it in.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    HaProxy,
    Nginx,
}

/// A load balancer of the test. It ends with the test.
pub struct Balancer {
    child: Child,
    /// It listens there on 127.0.0.1 and on [::1].
    pub port: u16,
    _folder: TempDir,
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Balancer {
    /// Starts it in front of `server`, with the manual's configuration after `change`.
    pub async fn start(
        program: Program,
        server: SocketAddr,
        change: impl Fn(String) -> String,
    ) -> Self {
        // Another process may take the port first. Then the load balancer ends.
        for _ in 0..10 {
            let port = free_port();
            let text = change(program.configuration(port, server));
            if let Some(balancer) = Self::try_start(program, port, &text).await {
                return balancer;
            }
        }
        panic!("{program:?} does not start");
    }

    async fn try_start(program: Program, port: u16, text: &str) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let log = folder.path().join("log");
        let output = fs::File::create(&log).unwrap();
        let child = program
            .command(folder.path(), text)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?}: {error} (tests/run installs it)"));
        let mut balancer = Self {
            child,
            port,
            _folder: folder,
        };
        let until = Instant::now() + PATIENCE;
        while !balancer.listens().await {
            if balancer.child.try_wait().unwrap().is_some() {
                eprintln!("{program:?}: {}", fs::read_to_string(&log).unwrap());
                return None;
            }
            assert!(Instant::now() < until, "{program:?} does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Some(balancer)
    }

    async fn listens(&self) -> bool {
        let v4 = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await;
        let v6 = TcpStream::connect((Ipv6Addr::LOCALHOST, self.port)).await;
        v4.is_ok() && v6.is_ok()
    }
}

impl Program {
    /// The manual's lines, with the addresses of the test.
    fn configuration(self, port: u16, server: SocketAddr) -> String {
        let (v4, v6) = (format!("127.0.0.1:{port}"), format!("[::1]:{port}"));
        let (language, listen) = match self {
            Self::HaProxy => (
                "haproxy",
                vec![("bind :::7443 v4v6", format!("bind {v4},{v6}"))],
            ),
            Self::Nginx => (
                "nginx",
                vec![
                    ("listen 7443;", format!("listen {v4};")),
                    ("listen [::]:7443;", format!("listen {v6};")),
                ],
            ),
        };
        let fence = format!("\n```{language}\n");
        let (_, text) = MANUAL
            .split_once(&fence)
            .expect("the manual has an example");
        let (text, _) = text.split_once("\n```\n").unwrap();
        let server = ("10.0.0.9:7443", server.to_string());
        let replacements = listen.into_iter().chain([server]);
        replacements.fold(text.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from:?} is not in the manual");
            text.replace(from, &to)
        })
    }

    fn command(self, folder: &Path, text: &str) -> Command {
        let file: PathBuf = folder.join("configuration");
        match self {
            Self::HaProxy => {
                fs::write(&file, text.to_owned() + "\n").unwrap();
                let mut command = Command::new("/usr/sbin/haproxy");
                command.arg("-db").arg("-f").arg(file);
                command
            }
            Self::Nginx => {
                let module = match Path::new(STREAM_MODULE).exists() {
                    true => format!("load_module {STREAM_MODULE};\n"),
                    false => String::new(),
                };
                // One process in the foreground, so that its end is the end of all of it.
                let head = "daemon off;\nmaster_process off;\nerror_log stderr;\npid nginx.pid;\nevents {}\n";
                fs::write(&file, format!("{module}{head}{text}\n")).unwrap();
                let mut command = Command::new("/usr/sbin/nginx");
                command.arg("-p").arg(folder).arg("-c").arg(file);
                command.args(["-e", "stderr"]);
                command
            }
        }
    }
}
