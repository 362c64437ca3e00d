//! SoftHSM: a PKCS#11 token in files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::prelude::*;
use ssh_key::{PrivateKey, PublicKey, public::Ed25519PublicKey};

use super::{command::must, files::write_secret};

pub const PIN: &str = "4711-secret";

/// SoftHSM's module with its own configuration.
const FOR_THIS_PROCESS: &str = r#"
#include <dlfcn.h>
#include <stdlib.h>
unsigned long C_GetFunctionList(void **out) {
    setenv("SOFTHSM2_CONF", CONFIGURATION, 1);
    void *module = dlopen(MODULE, RTLD_NOW);
    return ((unsigned long (*)(void **))dlsym(module, "C_GetFunctionList"))(out);
}
"#;

/// SoftHSM with a token of its own.
pub struct SoftHsm {
    pub configuration: PathBuf,
    pub module: PathBuf,
}

impl SoftHsm {
    pub fn new(folder: &Path) -> Self {
        let tokens = folder.join("tokens");
        fs::create_dir(&tokens).unwrap();
        let configuration = folder.join("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nlog.level = ERROR\n",
            tokens.display()
        );
        fs::write(&configuration, text).unwrap();
        let module = PathBuf::from("/usr/lib/softhsm/libsofthsm2.so");
        assert!(
            module.exists(),
            "SoftHSM is missing: apt-get install softhsm2"
        );
        let token = Self {
            configuration,
            module,
        };
        token.util(&[
            "--init-token",
            "--free",
            "--label",
            "daypass-ca",
            "--so-pin",
            "so-pin-1",
        ]);
        token
    }

    fn util(&self, words: &[&str]) -> String {
        let words = [words, &["--pin", PIN]].concat();
        must(
            "softhsm2-util",
            &words,
            &[("SOFTHSM2_CONF", &self.configuration)],
        )
    }

    /// The variable by which a process finds the token.
    pub fn variable(&self) -> String {
        format!("SOFTHSM2_CONF={}", self.configuration.display())
    }

    pub fn lines(&self, token: &str) -> String {
        let module = self.module.display();
        format!(
            "file = \"ca_key.pub\"\npkcs11 = \"{module}\"\ntoken = \"{token}\"\npin_file = \"pin\""
        )
    }

    /// Makes a key in the token by `openssl genpkey` with these options. Its public half is a file:
    /// `ca_key.pub` in `folder`, and the answer.
    pub fn import(&self, folder: &Path, words: &[&str]) -> String {
        let pem = folder.join("made.pem");
        let path = pem.to_str().unwrap();
        must(
            "openssl",
            &[&["genpkey", "-out", path], words].concat(),
            &[],
        );
        self.put(path, "A1");
        let der = folder.join("made.der");
        let words = [
            "pkey",
            "-in",
            path,
            "-pubout",
            "-outform",
            "DER",
            "-out",
            der.to_str().unwrap(),
        ];
        must("openssl", &words, &[]);
        fs::remove_file(&pem).unwrap();
        let der = fs::read(&der).unwrap();
        let public = match der.len() {
            // RFC 8410: the last 32 bytes are the key. ssh-keygen -D lists no such keys.
            44 => {
                let point =
                    <[u8; 32]>::try_from(der.last_chunk::<32>().unwrap().as_slice()).unwrap();
                PublicKey::from(Ed25519PublicKey(point))
                    .to_openssh()
                    .unwrap()
            }
            _ => {
                let module = self.module.to_str().unwrap();
                let variables = [("SOFTHSM2_CONF", self.configuration.as_path())];
                let shown = must("ssh-keygen", &["-D", module], &variables);
                shown.lines().next().unwrap().to_owned()
            }
        };
        fs::write(folder.join("ca_key.pub"), format!("{public}\n")).unwrap();
        public
    }

    /// Imports a private key from a PEM file, under this id.
    fn put(&self, pem: &str, id: &str) {
        let words = ["--import", pem, "--token", "daypass-ca", "--label", "ca"];
        self.util(&[&words[..], &["--id", id]].concat());
    }

    /// Imports an Ed25519 key under this id.
    pub fn put_key(&self, key: &PrivateKey, id: &str) {
        // RFC 8410, section 7: the DER of a private key ends in its seed.
        let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        let seed = key.key_data().ed25519().unwrap().private.to_bytes();
        let text = BASE64_STANDARD.encode([&head[..], &seed].concat());
        let pem = self.configuration.with_file_name("put.pem");
        let text = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        write_secret(&pem, &text);
        self.put(pem.to_str().unwrap(), id);
        fs::remove_file(&pem).unwrap();
    }

    /// A module that sets the variable in the process that loads it: one in which tests run.
    pub fn module_for_this_process(&self) -> PathBuf {
        let (source, made) = (
            self.configuration.with_file_name("module.c"),
            self.configuration.with_file_name("module.so"),
        );
        fs::write(&source, FOR_THIS_PROCESS).unwrap();
        let defined = |name: &str, path: &Path| format!("-D{name}=\"{}\"", path.display());
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&made)
            .args([
                defined("MODULE", &self.module),
                defined("CONFIGURATION", &self.configuration),
            ])
            .arg(&source)
            .status();
        assert!(built.expect("cc is missing: apt-get install gcc").success());
        made
    }
}
