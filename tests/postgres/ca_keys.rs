//! Rotation of CA keys at two servers of one ledger: one order counts, both sign with the new key,
//! and a server that lacks it issues nothing.

use std::fs;

use base64::prelude::*;
use daypass::{ledger::event::CaKeyStep, proto::v1::ca_key::State};
use ssh_key::{Certificate, PublicKey, SshSig};

use super::{
    cluster::Cluster,
    daemons::{Daemon, pair_with},
    support::{api::ask, files, https},
};

const NEXT: &str = "[[ca.key]]\nfile = \"next_key\"\nstate = \"staged\"\n";

fn carol(daemon: &Daemon) -> super::support::user::TestUser {
    daemon.user("carol", &["security"])
}

/// The fingerprint of the key that signs a new pass, or the reason why there is none.
async fn signs(daemon: &Daemon) -> Result<String, String> {
    let pass = daemon.user("alice", &["sre"]).issue(ask("shell")).await;
    let pass = pass.map_err(|refusal| refusal.reason)?;
    let certificate = Certificate::from_openssh(&pass.certificate).unwrap();
    let key = certificate.signature_key();
    Ok(key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
}

/// The list of CA keys with the headers of its signatures, and the keys that made them.
async fn signed_list(daemon: &Daemon) -> ((Vec<u8>, Vec<String>), Vec<String>) {
    let client = https::client(daemon.files.tls_ca());
    let url = format!("{}/ca.pub", daemon.files.url());
    let answer = client.get(url).send().await.unwrap();
    let headers = answer.headers().get_all("daypass-signature").iter();
    let headers: Vec<String> = headers.map(|it| it.to_str().unwrap().to_owned()).collect();
    let body = answer.bytes().await.unwrap().to_vec();
    let signer = |header: &String| {
        let blob = BASE64_STANDARD.decode(header).unwrap();
        let signature: SshSig = ssh_encoding::Decode::decode(&mut &blob[..]).unwrap();
        let key = PublicKey::from(signature.public_key().clone());
        let namespace = daypass::ssh::sshsig::Namespace::CaKeys.as_str();
        key.verify(namespace, &body, &signature).unwrap();
        key.fingerprint(ssh_key::HashAlg::Sha256).to_string()
    };
    let signers = headers.iter().map(signer).collect();
    ((body, headers), signers)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_agree_on_the_key_that_signs_and_one_that_lacks_it_issues_nothing_and_says_which() {
    let database = Cluster::shared().database().await;
    let addresses = [database.address(), database.address()];
    let next = files::new_key();
    let text = next.to_openssh(ssh_key::LineEnding::LF).unwrap();
    let daemons = pair_with(&addresses, NEXT, &[("next_key", &text)]).await;
    let [first, mut second] = daemons;
    let new = next.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    let old = carol(&first).ca_key_in(State::Active).await;
    assert_eq!(carol(&second).ca_key_in(State::Staged).await, new);
    assert_eq!(signs(&first).await, Ok(old.clone()));

    // Two administrators at once, at two servers: the same order counts once.
    let (one_user, other_user) = (carol(&first), carol(&second));
    let (a, b) = tokio::join!(
        one_user.order_ca_key(CaKeyStep::Activate, &new, ""),
        other_user.order_ca_key(CaKeyStep::Activate, &new, ""),
    );
    let refused = [&a, &b].into_iter().filter_map(|it| it.as_ref().err());
    let refused: Vec<&str> = refused.map(|it| it.reason.as_str()).collect();
    let is_known = |reason: &&str| ["ORDER_STALE", "CA_KEY_STATE"].contains(reason);
    assert!(
        refused.len() == 1 && refused.iter().all(is_known),
        "{a:?} {b:?}"
    );
    for daemon in [&first, &second] {
        assert_eq!(signs(daemon).await, Ok(new.clone()));
        let keys = daemon.get("/ca.pub").await.1;
        assert_eq!(keys, first.get("/ca.pub").await.1, "the same bytes");
    }
    // A host may ask another server the next time: the key that retires signs on both, too.
    let (list, signers) = signed_list(&first).await;
    assert_eq!(signers, [new.clone(), old.clone()]);
    assert_eq!(signed_list(&second).await, (list, signers));

    // The other server starts without the key that signed before, which is fine, and then the way
    // back names a key that it lacks.
    let path = second.files.configuration();
    let whole = fs::read_to_string(&path).unwrap();
    let without = whole
        .replace("\"ca_key\"", "\"next_key\"")
        .replace(NEXT, "");
    fs::write(&path, &without).unwrap();
    second.process.kill();
    second.again().await;
    assert_eq!(signs(&second).await, Ok(new.clone()));
    let administrator = carol(&first);
    let back = administrator.order_ca_key(CaKeyStep::Activate, &old, "");
    back.await.unwrap();
    assert_eq!(signs(&first).await, Ok(old.clone()));
    assert_eq!(signs(&second).await, Err("CA_UNAVAILABLE".to_owned()));
    let (code, said) = second.get("/readyz").await;
    let said = String::from_utf8(said).unwrap();
    assert_eq!(code, 503);
    let words =
        format!("CA key {old}: administrators activated it, and this server does not have it");
    assert!(said.contains(&words), "{said}");
    // Hosts get no list from it that they could not trust.
    assert_eq!(second.get("/ca.pub").await.0, 503);

    // It starts again without the key, for another of its keys could sign, and issues nothing.
    second.process.kill();
    second.again().await;
    assert_eq!(signs(&second).await, Err("CA_UNAVAILABLE".to_owned()));
    let log = second.files.log();
    let words = format!("this server does not have the CA key {old}");
    assert!(log.contains(&words), "{log}");
    assert!(log.contains("The active key is lost"), "{log}");
    second.process.kill();
    fs::write(&path, &whole).unwrap();
    second.again().await;
    assert_eq!(signs(&second).await, Ok(old));
    // Its configuration says that the same key is active, so there is nothing to warn of; the other
    // one is said to be staged, and by the ledger it is retiring.
    let log = second.files.log();
    assert!(
        log.contains("is staged, and by the administrators' orders"),
        "{log}"
    );
}
