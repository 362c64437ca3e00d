//! The cryptography that one pass contains, bare: aws-lc-rs with parsed keys and nothing around it.
//! Also a bare commit on this disk, a bare TLS handshake, and a bare TLS connection.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
        RsaKeyPair, UnparsedPublicKey,
    },
};
use daypass::identity::issuer::Algorithm;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::clock::{cpu, cpu_of_thread};

/// Bytes of a typical ID token's signed part, of a signed ask, and of a certificate.
const TOKEN: [u8; 700] = [b'e'; 700];
const ASK: [u8; 160] = [b'a'; 160];
const CERTIFICATE: [u8; 420] = [b'c'; 420];

/// Handshakes of one measurement.
const HANDSHAKES: u32 = 3000;

/// CPU time of the parts of one pass.
pub struct Cryptography {
    tokens: [(Algorithm, Duration); 3],
    /// The possession proof, by an Ed25519 key that is parsed anew.
    pub proof: Duration,
    /// One Ed25519 signature over a certificate.
    pub sign: Duration,
    /// Its verification.
    pub check: Duration,
}

impl Cryptography {
    /// Measures each part.
    pub fn measure() -> Self {
        let random = SystemRandom::new();
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, &TOKEN, &mut signature)
            .unwrap();
        let public = rsa.public_key().as_ref();
        let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).unwrap();
        let rs256 = each(|| public.verify_sig(&TOKEN, &signature).unwrap());

        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let signature = p256.sign(&random, &TOKEN).unwrap();
        let public = p256.public_key().as_ref();
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public).unwrap();
        let es256 = each(|| public.verify_sig(&TOKEN, signature.as_ref()).unwrap());

        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let signature = ed25519.sign(&TOKEN);
        let public = ParsedPublicKey::new(&ED25519, ed25519.public_key().as_ref()).unwrap();
        let eddsa = each(|| public.verify_sig(&TOKEN, signature.as_ref()).unwrap());

        let public = UnparsedPublicKey::new(&ED25519, ed25519.public_key().as_ref());
        let (ask, certificate) = (ed25519.sign(&ASK), ed25519.sign(&CERTIFICATE));
        Self {
            tokens: [
                (Algorithm::RS256, rs256),
                (Algorithm::ES256, es256),
                (Algorithm::EdDSA, eddsa),
            ],
            proof: each(|| public.verify(&ASK, ask.as_ref()).unwrap()),
            sign: each(|| {
                std::hint::black_box(ed25519.sign(&CERTIFICATE));
            }),
            check: each(|| public.verify(&CERTIFICATE, certificate.as_ref()).unwrap()),
        }
    }

    /// The verification of a token's signature by this algorithm.
    pub fn token(&self, algorithm: Algorithm) -> Duration {
        let found = self.tokens.iter().find(|(other, _)| *other == algorithm);
        found.map_or(Duration::ZERO, |(_, cost)| *cost)
    }

    /// All that one pass contains.
    pub fn sum(&self, algorithm: Algorithm) -> Duration {
        self.token(algorithm) + self.proof + self.sign + self.check
    }
}

/// CPU time of one call, over half a second of calls.
pub fn each(mut call: impl FnMut()) -> Duration {
    let (before, start, mut count) = (cpu(std::process::id()), Instant::now(), 0_u32);
    while start.elapsed() < Duration::from_millis(500) {
        for _ in 0..100 {
            call();
        }
        count += 100;
    }
    (cpu(std::process::id()) - before) / count
}

/// Median time of a commit of one row with `synchronous=FULL`, in a database in `folder`.
pub async fn commit(folder: &Path) -> Duration {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("bare.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    let table = "CREATE TABLE bare (position INTEGER PRIMARY KEY, event BLOB)";
    sqlx::query(table).execute(&mut connection).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..300 {
        let start = Instant::now();
        let insert = sqlx::query("INSERT INTO bare (event) VALUES ($1)").bind(vec![7_u8; 1000]);
        insert.execute(&mut connection).await.unwrap();
        times.push(start.elapsed());
    }
    connection.close().await.unwrap();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Both sides of TLS 1.3 with the certificate of a server.
pub struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the certificate and its key; `ca` is the PEM text of its root.
    pub fn of(certificate: &Path, key: &Path, ca: &str) -> Self {
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let server = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut server = server.unwrap();
        server.send_tls13_tickets = 0;
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }

    fn client(&self) -> ClientConnection {
        let name = ServerName::try_from("localhost").unwrap();
        ClientConnection::new(self.client.clone(), name).unwrap()
    }
}

/// CPU time of the server's half of a connection over a socket: it is taken, the handshake is made,
/// a byte is read and another one written, and it is closed.
pub fn connection(tls: &Tls) -> Duration {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::scope(|threads| {
        threads.spawn(move || (0..CONNECTIONS).for_each(|_| call(tls, address)));
        let before = cpu_of_thread();
        for _ in 0..CONNECTIONS {
            let (stream, _) = listener.accept().unwrap();
            let server = ServerConnection::new(tls.server.clone()).unwrap();
            let mut stream = StreamOwned::new(server, stream);
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            stream.write_all(&byte).unwrap();
        }
        (cpu_of_thread() - before) / CONNECTIONS
    })
}

fn call(tls: &Tls, address: SocketAddr) {
    let stream = TcpStream::connect(address).unwrap();
    let mut stream = StreamOwned::new(tls.client(), stream);
    let mut byte = [1];
    stream.write_all(&byte).unwrap();
    stream.read_exact(&mut byte).unwrap();
}

/// Connections of one measurement.
const CONNECTIONS: u32 = 3000;

/// CPU time of the server's half of a TLS 1.3 handshake, in memory.
pub fn handshake(tls: &Tls) -> Duration {
    // In batches, because the clock of CPU time is coarse: all hellos, all answers, all ends.
    let pair = |_| (tls.client(), None::<ServerConnection>);
    let mut pairs: Vec<_> = (0..HANDSHAKES).map(pair).collect();
    let mut spent = Duration::ZERO;
    for _ in 0..2 {
        let sent: Vec<_> = pairs.iter_mut().map(|(client, _)| said(client)).collect();
        let before = cpu(std::process::id());
        let mut answers = Vec::new();
        for ((_, slot), sent) in pairs.iter_mut().zip(&sent) {
            let make = || ServerConnection::new(tls.server.clone()).unwrap();
            let connection = slot.get_or_insert_with(make);
            answers.push(answer(connection, sent));
        }
        spent += cpu(std::process::id()) - before;
        for ((client, _), answer) in pairs.iter_mut().zip(&answers) {
            client.read_tls(&mut &answer[..]).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    assert!(pairs.iter().all(|(client, _)| !client.is_handshaking()));
    spent / HANDSHAKES
}

fn said(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fn answer(server: &mut ServerConnection, mut bytes: &[u8]) -> Vec<u8> {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets().unwrap();
    }
    let mut answer = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut answer).unwrap();
    }
    answer
}
