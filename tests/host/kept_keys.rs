//! Rotation of CA keys that are in an ssh-agent, in a PKCS#11 token, behind `daypass signer` or in
//! files: the same story on each, with a host that joined, its real sshd, and users who log in.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use ssh_key::{Certificate, HashAlg, PrivateKey};

use super::{
    ca::Pass,
    host::Host,
    rotation::{keys, log_in},
    sshd::{Sshd, log},
    support::{
        agent::Agent,
        api::ask,
        command::{DAYPASS, Done},
        env::TestEnv,
        files::{self, write_key, write_secret},
        https,
        laptop::Laptop,
        server::Process,
        signer::SignerFiles,
        softhsm::{PIN, SoftHsm},
    },
    users::Site,
};

/// What the signers may sign: what the policy grants.
const CEILING: &str =
    "[[ceiling]]\nprincipals = [\"deploy\"]\nttl = \"1h\"\nextensions = [\"pty\"]\n";

/// The section of the key that a site has at its start.
const FIRST: &str = "[[ca.key]]\nfile = \"ca_key\"\nstate = \"active\"\n";

/// Where a private key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    File,
    Agent,
    Token,
    Signer,
}

/// A CA key, and the program that keeps it.
struct CaKey {
    /// Its lines of `[[ca.key]]`, without the state.
    lines: String,
    fingerprint: String,
    /// The file with its public half.
    public: PathBuf,
    keeper: Keeper,
}

enum Keeper {
    None,
    Agent(Agent),
    Signer(SignerFiles, Option<Process>),
}

impl CaKey {
    fn section(&self, state: &str) -> String {
        format!("[[ca.key]]\n{}\nstate = \"{state}\"\n\n", self.lines)
    }

    fn signer(&mut self) -> (&SignerFiles, &mut Option<Process>) {
        match &mut self.keeper {
            Keeper::Signer(files, process) => (files, process),
            Keeper::None | Keeper::Agent(_) => panic!("no signer keeps it"),
        }
    }

    /// Stops its signer.
    async fn stop(&mut self) {
        let (_, process) = self.signer();
        process.take().expect("it runs").stop().await;
    }

    fn start(&mut self) {
        let (files, process) = self.signer();
        let started = files.spawn(&[]);
        *process = Some(started);
    }

    /// Tells its signer, if it has one, of the CA's other keys and of the administrators' keys.
    async fn knows(&mut self, others: &[&PathBuf], administrators: &[&str]) {
        if !matches!(self.keeper, Keeper::Signer(..)) {
            return;
        }
        let (files, process) = self.signer();
        if let Some(process) = process.take() {
            process.stop().await;
        }
        let path = files.path("signer.toml");
        let text = fs::read_to_string(&path).unwrap();
        let is_kept = |line: &&str| !line.starts_with("others") && !line.starts_with("admin");
        let text: Vec<&str> = text.lines().filter(is_kept).collect();
        let known = format!("others = {others:?}\nadministrators = {administrators:?}\n[key]");
        fs::write(&path, text.join("\n").replace("[key]", &known)).unwrap();
        self.start();
    }
}

/// A site, a host that joined, and a laptop whose user signed in.
struct Story {
    site: Site,
    host: Host,
    sshd: Sshd,
    laptop: Laptop,
    /// The token, once a key is in one. A process has one module.
    token: Option<SoftHsm>,
}

impl Story {
    /// The site's own key is moved to this place before anything begins.
    async fn start(place: Place) -> (Self, CaKey) {
        let mut site = Site::start().await;
        let key = site.env.folder().join("world/ca_key");
        let key = PrivateKey::read_openssh_file(&key).unwrap();
        let mut token = None;
        let old = keep(&site.env, place, "old", key, &mut token).await;
        site.env.edit("daypass.toml", FIRST, &old.section("active"));
        fs::remove_file(site.env.folder().join("world/ca_key")).unwrap();
        site.env.restart().await;
        let host = site.host("web-1").await;
        let sshd = Sshd::start(&host);
        site.env.terminal("carol").sign_in("carol").await;
        let names = "Host web-1\n    HostName 127.0.0.1\n    HostKeyAlias web-1\n";
        let laptop = site.laptop(&sshd, names).await;
        let story = Self {
            site,
            host,
            sshd,
            laptop,
            token,
        };
        (story, old)
    }

    /// A new key at this place, which the server's configuration does not name yet.
    async fn make(&mut self, place: Place, name: &str) -> CaKey {
        let key = files::new_key();
        keep(&self.site.env, place, name, key, &mut self.token).await
    }

    /// Gives the server this key.
    async fn add(&mut self, key: &CaKey) {
        let section = key.section("staged");
        let before = "[ledger]\n";
        let more = format!("{section}{before}");
        self.site.env.edit("daypass.toml", before, &more);
        self.site.env.restart().await;
    }

    async fn keys(&self, words: &str) -> Done {
        keys(&self.site.env, words).await
    }

    /// `daypass admin keys WORDS` as the administrator, which must succeed.
    async fn orders(&self, words: &str) {
        self.keys(words).await.success();
    }

    /// The state of a key as it is listed, or `-`.
    async fn state(&self, key: &CaKey) -> String {
        let listed = self.keys("").await.success();
        let keys = listed["keys"].as_array().unwrap().iter();
        let mut keys = keys.filter(|it| it["fingerprint"] == *key.fingerprint);
        let state = keys
            .next()
            .map(|it| it["state"].as_str().unwrap().to_owned());
        state.unwrap_or_else(|| "-".to_owned())
    }

    /// A pass for the host, which this key must have signed; and it logs in.
    async fn pass(&self, by: &CaKey) -> Pass {
        let alice = self.site.env.user("alice", &["sre"]);
        let mut wanted = ask("shell");
        wanted.host = "web-1".to_owned();
        let issued = alice.issue(wanted).await.unwrap();
        let certificate = Certificate::from_openssh(&issued.certificate).unwrap();
        let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
        assert_eq!(signer.to_string(), by.fingerprint);
        let pass = Pass {
            key: alice.key_text(),
            certificate,
        };
        assert!(self.takes(&pass), "{}", log(&self.host));
        pass
    }

    fn takes(&self, pass: &Pass) -> bool {
        self.sshd.takes(pass)
    }

    async fn sync(&self) -> serde_json::Value {
        self.host.json(&["sync"]).await
    }

    /// The keys whose signatures stand beside the list of CA keys, in their order.
    async fn signers_of_the_list(&self) -> Vec<String> {
        let (url, ca) = self.site.env.world().server();
        let get = https::client(&ca).get(format!("{url}/ca.pub")).send();
        let answer = get.await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let headers = answer.headers().get_all("daypass-signature").iter();
        let values: Vec<String> = headers.map(|it| it.to_str().unwrap().to_owned()).collect();
        let body = answer.bytes().await.unwrap();
        values.iter().map(|it| signed_by(it, &body)).collect()
    }

    /// Demands that an order is refused with these words, and that nothing was changed.
    async fn refused(&self, words: &str, (code, reason): (i32, &str), says: &[&str]) {
        let before = self.keys("").await.success();
        let error = self.keys(words).await.exits(words, code).error();
        assert_eq!(error["reason"], reason, "{error}");
        let message = error["message"].as_str().unwrap();
        for words in says {
            assert!(message.contains(words), "{words:?} is not in {message:?}");
        }
        assert_eq!(self.keys("").await.success(), before, "nothing was changed");
    }
}

/// Puts a key into its place.
async fn keep(
    env: &TestEnv,
    place: Place,
    name: &str,
    key: PrivateKey,
    token: &mut Option<SoftHsm>,
) -> CaKey {
    let folder = env.folder().join(name);
    fs::create_dir(&folder).unwrap();
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let public = folder.join("ca_key.pub");
    fs::write(&public, key.public_key().to_openssh().unwrap()).unwrap();
    let file = format!("file = {public:?}");
    let (lines, keeper) = match place {
        Place::File => {
            write_key(&folder.join("ca_key"), &key);
            (format!("file = {:?}", folder.join("ca_key")), Keeper::None)
        }
        Place::Agent => {
            let agent = Agent::start(&folder).await;
            write_key(&folder.join("ca_key"), &key);
            agent.add(&folder.join("ca_key"));
            // For an agent that is started later.
            fs::rename(folder.join("ca_key"), folder.join("kept")).unwrap();
            let socket = &agent.socket;
            (format!("{file}\nagent = {socket:?}"), Keeper::Agent(agent))
        }
        Place::Token => {
            let token = token.get_or_insert_with(|| {
                let token = SoftHsm::new(env.folder());
                token.module_for_this_process();
                write_secret(&env.folder().join("pin"), PIN);
                token
            });
            token.put_key(&key, if name == "old" { "A1" } else { "B2" });
            let (module, pin) = (env.folder().join("module.so"), env.folder().join("pin"));
            let lines = format!("pkcs11 = {module:?}\ntoken = \"daypass-ca\"\npin_file = {pin:?}");
            (format!("{file}\n{lines}"), Keeper::None)
        }
        Place::Signer => {
            let ledger = env.authority().store.verifier().to_string();
            let signer = SignerFiles::prepare(&folder, &ledger, "file = \"ca_key\"", CEILING);
            write_key(&signer.path("ca_key"), &key);
            signer.must(&["accept", "--new"]);
            let process = signer.spawn(&[]);
            let lines = format!("{file}\nsigner = {:?}", signer.socket());
            (lines, Keeper::Signer(signer, Some(process)))
        }
    };
    CaKey {
        lines,
        fingerprint,
        public,
        keeper,
    }
}

/// The key that made this signature over a list of CA keys.
fn signed_by(header: &str, body: &[u8]) -> String {
    use base64::Engine as _;
    let blob = base64::engine::general_purpose::STANDARD
        .decode(header)
        .unwrap();
    let signature: ssh_key::SshSig = ssh_encoding::Decode::decode(&mut &blob[..]).unwrap();
    let key = ssh_key::PublicKey::from(signature.public_key().clone());
    let namespace = daypass::ssh::sshsig::Namespace::CaKeys.as_str();
    key.verify(namespace, body, &signature).unwrap();
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// A rotation from one place to another: forward, back, forward, and the end of the old key.
async fn rotate(from: Place, to: Place) {
    let (mut story, mut old) = Story::start(from).await;
    let mut new = story.make(to, "new").await;
    old.knows(&[&new.public], &[]).await;
    new.knows(&[&old.public], &[]).await;
    log_in(&story.laptop, "web-1", &story.host).await;
    let early = story.pass(&old).await;
    story.add(&new).await;

    story.orders(&format!("stage {}", new.fingerprint)).await;
    let report = story.sync().await;
    assert_eq!(report["added_keys"][0], *new.fingerprint, "{report}");
    story.orders(&activate(&new)).await;
    let late = story.pass(&new).await;
    assert!(story.takes(&early), "{}", log(&story.host));
    log_in(&story.laptop, "web-1", &story.host).await;
    // A host takes the list that the new key signs.
    let signers = story.signers_of_the_list().await;
    assert_eq!(signers, [&*new.fingerprint, &*old.fingerprint]);
    story.sync().await;
    let retire = format!("retire {}", old.fingerprint);
    let wait = format!("{retire} --no-wait");
    let until = ["the last pass by", "is valid until 20"];
    story.refused(&wait, (5, "CA_KEY_IN_USE"), &until).await;

    // The way back, and forward again.
    for (signs, retires) in [(&old, &new), (&new, &old)] {
        story.orders(&activate(signs)).await;
        assert_eq!(story.state(retires).await, "retiring");
        story.sync().await;
        story.pass(signs).await;
        assert!(story.takes(&early) && story.takes(&late));
    }

    story
        .orders(&format!("{retire} --anyway --reason moved"))
        .await;
    let report = story.sync().await;
    assert_eq!(report["removed_keys"][0], *old.fingerprint, "{report}");
    assert!(!story.takes(&early) && story.takes(&late));
    assert_eq!(story.signers_of_the_list().await, [&*new.fingerprint]);

    // The old key and its keeper are taken away.
    let (gone, staged) = (old.section("active"), new.section("staged"));
    story.site.env.edit("daypass.toml", &gone, "");
    story
        .site
        .env
        .edit("daypass.toml", &staged, &new.section("active"));
    drop(old);
    story.site.env.restart().await;
    story.pass(&new).await;
    story.sync().await;
    log_in(&story.laptop, "web-1", &story.host).await;
    story.site.env.assert_verifies().await;
    drop(story.sshd);
    story.site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_between_keys_of_ssh_agents_goes_forward_and_back_while_users_log_in() {
    rotate(Place::Agent, Place::Agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_between_keys_of_a_pkcs11_token_goes_forward_and_back_while_users_log_in() {
    rotate(Place::Token, Place::Token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_between_keys_of_signers_goes_forward_and_back_while_users_log_in() {
    rotate(Place::Signer, Place::Signer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_from_a_key_file_to_a_signer_goes_forward_and_back_while_users_log_in() {
    rotate(Place::File, Place::Signer).await;
}

const MISSING: (i32, &str) = (1, "CA_KEY_MISSING");

const UNCHANGED: &str = "Nothing was changed.";

impl Story {
    /// A key that is staged, and that the host trusts.
    async fn staged(&mut self, old: &CaKey, place: Place) -> CaKey {
        let mut new = self.make(place, "new").await;
        new.knows(&[&old.public], &[]).await;
        self.add(&new).await;
        self.orders(&format!("stage {}", new.fingerprint)).await;
        self.sync().await;
        new
    }

    /// The signed head of a ledger that is much larger, as of one that was lost since.
    fn larger_head(&self) -> String {
        let file = self.site.env.folder().join("world/ledger_key");
        let key = PrivateKey::read_openssh_file(&file).unwrap();
        let seed = key.key_data().ed25519().unwrap().private.to_bytes();
        let name = self.site.env.authority().store.verifier().to_string();
        let name = name.split('+').next().unwrap();
        let signer = daypass::ledger::checkpoint::Signer::new(name, &seed).unwrap();
        signer.sign(1_000_000, [7; 32])
    }

    async fn head(&self) -> String {
        let (url, ca) = self.site.env.world().server();
        let get = https::client(&ca).get(format!("{url}/checkpoint")).send();
        get.await.unwrap().text().await.unwrap()
    }
}

fn activate(key: &CaKey) -> String {
    format!("activate {} --no-wait", key.fingerprint)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_does_not_know_the_keys_or_the_administrators_is_no_successor() {
    let (mut story, mut old) = Story::start(Place::Signer).await;
    let mut new = story.make(Place::Signer, "new").await;
    story.add(&new).await;
    let stage = format!("stage {}", new.fingerprint);
    let anyway = format!("activate {} --anyway --reason urgent", new.fingerprint);

    // The key that signs would not sign a list that names the new one.
    let others = "Name its public half in `others` of signer.toml";
    let says = [UNCHANGED, others, &new.fingerprint];
    story.refused(&stage, MISSING, &says).await;
    old.knows(&[&new.public], &[]).await;
    story.orders(&stage).await;
    story.sync().await;
    // The new one would not sign a list that names the old one.
    for words in [&activate(&new), &anyway] {
        let says = [UNCHANGED, others, &old.fingerprint];
        story.refused(words, MISSING, &says).await;
    }
    // It would not sign the document about the administrators' keys.
    new.knows(&[&old.public], &["SHA256:4711"]).await;
    for words in [&activate(&new), &anyway] {
        let set = "it names none. Set `administrators` of signer.toml";
        story.refused(words, MISSING, &[UNCHANGED, set]).await;
    }
    story.pass(&old).await;
    story.sync().await;
    new.knows(&[&old.public], &[]).await;
    story.orders(&activate(&new)).await;
    story.pass(&new).await;
    story.sync().await;
    story.site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_is_away_or_in_alarm_is_not_activated() {
    let (mut story, old) = Story::start(Place::File).await;
    let mut new = story.staged(&old, Place::Signer).await;
    new.stop().await;
    let start = "Once it answers, run the command again";
    let says = [UNCHANGED, start, "does not answer"];
    story.refused(&activate(&new), MISSING, &says).await;
    story.pass(&old).await;

    // It remembers more than the ledger has, as if a backup was restored.
    let (signer, _) = new.signer();
    fs::write(signer.path("head"), story.larger_head()).unwrap();
    let head = signer.path("head").display().to_string();
    signer.must(&["accept", &head]);
    new.start();
    let says = [UNCHANGED, "daypass help signer", "the signer refuses"];
    story.refused(&activate(&new), MISSING, &says).await;
    story.pass(&old).await;
    new.stop().await;
    let (signer, _) = new.signer();
    fs::write(signer.path("head"), story.head().await).unwrap();
    signer.must(&["accept", &head]);
    new.start();
    story.orders(&activate(&new)).await;
    story.sync().await;
    story.site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_agent_has_gone_away_is_not_activated_nor_is_the_way_back() {
    let (mut story, mut old) = Story::start(Place::Agent).await;
    let mut new = story.staged(&old, Place::Agent).await;
    let folder = new.public.parent().unwrap().to_owned();
    let says = [
        UNCHANGED,
        "the ssh-agent at",
        "Once it answers, run the command again",
    ];
    new.keeper = Keeper::None;
    story.refused(&activate(&new), MISSING, &says).await;
    story.pass(&old).await;
    // An agent without the key.
    fs::remove_file(folder.join("agent")).ok();
    new.keeper = Keeper::Agent(Agent::start(&folder).await);
    let says = [UNCHANGED, "does not have it", "ssh-add"];
    story.refused(&activate(&new), MISSING, &says).await;
    story.pass(&old).await;
    // The command works as soon as the agent has it.
    let Keeper::Agent(agent) = &new.keeper else {
        unreachable!()
    };
    agent.add(&folder.join("kept"));
    story.orders(&activate(&new)).await;
    let late = story.pass(&new).await;
    // No way back to a key that is gone: the new one goes on.
    old.keeper = Keeper::None;
    story
        .refused(&activate(&old), MISSING, &[UNCHANGED, "the ssh-agent at"])
        .await;
    story.pass(&new).await;
    assert!(story.takes(&late));
    story.site.env.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retiring_key_that_was_away_signs_the_list_once_it_answers() {
    let (mut story, mut old) = Story::start(Place::Signer).await;
    let mut new = story.make(Place::Signer, "new").await;
    old.knows(&[&new.public], &[]).await;
    new.knows(&[&old.public], &[]).await;
    story.add(&new).await;
    story.orders(&format!("stage {}", new.fingerprint)).await;
    // The host is behind, and trusts the old key alone.
    old.stop().await;
    let anyway = format!("activate {} --anyway --reason urgent", new.fingerprint);
    story.orders(&anyway).await;
    assert_eq!(story.signers_of_the_list().await, [&*new.fingerprint]);
    let (_, _, said) = story.host.fails(&["sync"]).await;
    assert!(said.contains("no CA key that this host trusts"), "{said}");
    old.start();
    let whole = [&*new.fingerprint, &*old.fingerprint];
    let deadline = Instant::now() + Duration::from_secs(60);
    while story.signers_of_the_list().await != whole {
        assert!(Instant::now() < deadline, "the old key does not sign");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let report = story.sync().await;
    assert_eq!(report["added_keys"][0], *new.fingerprint, "{report}");
    story.pass(&new).await;
    story.site.env.close().await;
}

/// What a rehearsal cannot show: passes that are above the new signer's ceiling.
#[tokio::test(flavor = "multi_thread")]
async fn a_signer_with_a_lower_ceiling_refuses_passes_with_words_and_the_way_back_is_open() {
    let (mut story, old) = Story::start(Place::File).await;
    let mut new = story.make(Place::Signer, "new").await;
    let path = new.signer().0.path("signer.toml");
    files::edit(&path, "[\"deploy\"]", "[\"other\"]");
    new.knows(&[&old.public], &[]).await;
    story.add(&new).await;
    story.orders(&format!("stage {}", new.fingerprint)).await;
    story.sync().await;
    story.orders(&activate(&new)).await;
    let done = story.laptop.sh("daypass ssh --fresh web-1 -- id -un").await;
    assert_ne!(done.code, 0, "{done:?}");
    assert!(done.stderr.contains("ceiling"), "{done:?}");
    story.orders(&activate(&old)).await;
    story.pass(&old).await;
    files::edit(&path, "[\"other\"]", "[\"deploy\"]");
    new.knows(&[&old.public], &[]).await;
    story.orders(&activate(&new)).await;
    story.pass(&new).await;
    story.site.env.close().await;
}

/// A backup between two steps.
impl Story {
    async fn back_up(&self) {
        let (dir, config) = (self.at("backup"), self.at("world/daypass.toml"));
        let words = ["backup", &dir, "--without-keys", "--config", &config];
        operator(&words).await.exits("backup", 0);
    }

    fn at(&self, name: &str) -> String {
        self.site.env.folder().join(name).display().to_string()
    }

    /// The server is lost, and the backup is put back.
    async fn lose_and_restore(&mut self) {
        let world = self.site.env.server.world_mut();
        world.stop_daemon().await.unwrap();
        fs::rename(self.at("world/state"), self.at("lost")).unwrap();
        let (dir, config) = (self.at("backup"), self.at("world/daypass.toml"));
        let done = operator(&["restore", &dir, "--config", &config]).await;
        done.exits("restore", 0);
        self.site.env.restart().await;
    }

    /// An administrator accepts the restored ledger, which goes on at `past` at least. Returns the
    /// key of the statement.
    async fn accept(&self, past: &str) -> String {
        let words = ["--reason", "the disk died", "--yes", "--past", past];
        let carol = self.site.env.terminal("carol");
        let words = [&["admin", "accept-restore"], &words[..]].concat();
        let accepted = carol.json(&words).await;
        accepted["key"].as_str().unwrap().to_owned()
    }
}

async fn operator(words: &[&str]) -> Done {
    let mut command = tokio::process::Command::new(DAYPASS);
    command.args(words).stdin(std::process::Stdio::null());
    Done::of(command).await
}

/// The size of the ledger that a stopped signer remembers.
fn remembered(signer: &SignerFiles) -> String {
    let (_, said) = signer.run(&["--check"]);
    let (_, rest) = said.split_once("remembers a ledger of ").expect(&said);
    rest.split(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_from_before_the_activation_goes_on_with_the_old_key_until_it_is_activated_again()
{
    let (mut story, old) = Story::start(Place::File).await;
    let mut new = story.staged(&old, Place::Signer).await;
    story.back_up().await;
    story.orders(&activate(&new)).await;
    story.sync().await;
    let lost = story.pass(&new).await;
    // As the manual says after an activation.
    for (key, before, after) in [(&old, "active", "retired"), (&new, "staged", "active")] {
        let (before, after) = (key.section(before), key.section(after));
        story.site.env.edit("daypass.toml", &before, &after);
    }
    story.lose_and_restore().await;

    // Nothing goes on before an administrator has accepted it.
    let (_, reason, _) = story.host.fails(&["sync"]).await;
    assert_eq!(reason, "LEDGER_RESTORED");
    new.stop().await;
    let past = remembered(new.signer().0);
    new.start();
    let key = story.accept(&past).await;
    story.host.json(&["sync", "--accept-key", &key]).await;
    story.pass(&old).await;
    assert!(!story.takes(&lost), "it is of the lost history");

    // The signer of the new key knows the lost history: its operator decides.
    let says = [UNCHANGED, "the signer refuses", "daypass help signer"];
    story.refused(&activate(&new), MISSING, &says).await;
    new.stop().await;
    let (signer, _) = new.signer();
    fs::write(signer.path("head"), story.head().await).unwrap();
    signer.must(&["accept", signer.path("head").to_str().unwrap()]);
    new.start();
    story.orders(&activate(&new)).await;
    story.sync().await;
    story.pass(&new).await;
    story
        .orders(&format!(
            "retire {} --anyway --reason done",
            old.fingerprint
        ))
        .await;
    let report = story.sync().await;
    assert_eq!(report["removed_keys"][0], *old.fingerprint, "{report}");
    story.pass(&new).await;
    story.site.env.assert_verifies().await;
    story.site.env.close().await;
}

/// The rotation was over when the server was lost, and the backup says that a key signs which the
/// server does not have any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_active_key_is_gone_goes_on_once_the_staged_key_is_activated_again() {
    let (mut story, old) = Story::start(Place::File).await;
    let new = story.staged(&old, Place::File).await;
    story.back_up().await;
    story.orders(&activate(&new)).await;
    story
        .orders(&format!(
            "retire {} --anyway --reason moved",
            old.fingerprint
        ))
        .await;
    let report = story.sync().await;
    assert_eq!(report["removed_keys"][0], *old.fingerprint, "{report}");
    story.pass(&new).await;
    story
        .site
        .env
        .edit("daypass.toml", &old.section("active"), "");
    let (before, after) = (new.section("staged"), new.section("active"));
    story.site.env.edit("daypass.toml", &before, &after);
    story.lose_and_restore().await;

    let key = story.accept("100").await;
    assert_eq!(story.state(&old).await, "active");
    let refused = story.laptop.sh("daypass ssh --fresh web-1 -- id -un").await;
    assert_eq!(refused.code, 6, "{refused:?}");
    // Hosts have reported to the lost server alone, so the command would wait for them.
    let anyway = format!("activate {} --anyway --reason restored", new.fingerprint);
    story.orders(&anyway).await;
    story.host.json(&["sync", "--accept-key", &key]).await;
    let retire = format!("retire {} --anyway --reason restored", old.fingerprint);
    story.orders(&retire).await;
    story.sync().await;
    story.pass(&new).await;
    log_in(&story.laptop, "web-1", &story.host).await;
    story.site.env.assert_verifies().await;
    story.site.env.close().await;
}
