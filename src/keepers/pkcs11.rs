//! A CA key in a PKCS#11 token (PKCS#11 v2.40 and later): a smart card, a hardware security module.
//!
//! The module is foreign code that blocks, so it runs on threads of its own. If it hangs, callers
//! get their answer by the deadline, and the bounded queue fills up.

mod object;

use std::{
    collections::HashMap,
    mem::ManuallyDrop,
    path::PathBuf,
    sync::{Arc, LazyLock},
    thread,
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use ssh_key::{Algorithm, PublicKey, Signature, public::KeyData};
use tokio::sync::{mpsc, oneshot};

use super::Way;
use crate::ca::{
    key::{Away, RSA_SHA2_512, Unsigned, ecdsa_signature},
    to_sign::ToSign,
};

/// Sessions with the token, each on a thread.
const SESSIONS: usize = 2;
/// Callers that wait for a session.
const QUEUE: usize = 64;

/// Loaded modules. One is initialized once in a process, and stays.
static MODULES: LazyLock<Mutex<HashMap<PathBuf, Pkcs11>>> = LazyLock::new(Mutex::default);

/// Which key of which token.
pub(crate) struct Place {
    /// The module: a shared library.
    pub(crate) module: PathBuf,
    /// The token's label.
    pub(crate) token: String,
    pub(crate) pin: Option<SecretString>,
    pub(crate) key: PublicKey,
}

/// A key in a token.
pub(crate) struct Token {
    jobs: mpsc::Sender<Job>,
}

/// A question for a thread.
struct Job {
    /// What is to be signed; nothing if the key is only looked for.
    message: Option<Vec<u8>>,
    answer: oneshot::Sender<Result<Option<Signature>, Away>>,
}

impl Token {
    /// Starts the threads. They end with this value.
    pub(crate) fn new(place: Place) -> Self {
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (place, waiting) = (Arc::new(place), Arc::new(Mutex::new(waiting)));
        // A token counts wrong PINs and locks itself, so a wrong one is not tried again.
        let refused = Arc::new(Mutex::new(None));
        for _ in 0..SESSIONS {
            let (place, waiting, refused) = (place.clone(), waiting.clone(), refused.clone());
            thread::spawn(move || work(&place, &waiting, &refused));
        }
        Self { jobs }
    }

    async fn ask(&self, message: Option<Vec<u8>>) -> Result<Option<Signature>, Away> {
        let (answer, answered) = oneshot::channel();
        let job = Job { message, answer };
        let full = |_| Away("the token does not keep up, or its module hangs".to_owned());
        self.jobs.try_send(job).map_err(full)?;
        let ended = |_| Away("the thread of the token's module has ended".to_owned());
        answered.await.map_err(ended)?
    }
}

impl Way for Token {
    async fn sign(&self, to_sign: ToSign<'_>) -> Result<Signature, Unsigned> {
        let signed = self.ask(Some(to_sign.message().to_vec())).await?;
        signed.ok_or_else(|| Away("the token gave no signature".to_owned()).into())
    }

    async fn find(&self) -> Result<(), Away> {
        self.ask(None).await.map(|_| ())
    }
}

fn work(place: &Place, waiting: &Mutex<mpsc::Receiver<Job>>, refused: &Mutex<Option<Away>>) {
    let mut open = None;
    loop {
        let job = waiting.lock().blocking_recv();
        let Some(job) = job else {
            // The process ends now, perhaps with the module already torn down: a session that was
            // closed there has crashed the process.
            let _never_closed = ManuallyDrop::new(open);
            return;
        };
        if job.answer.is_closed() {
            continue;
        }
        let is_old = open.is_some();
        let mut answer = place.answer(&mut open, job.message.as_deref(), refused);
        if answer.is_err() {
            // The next session begins anew: the token may have been taken out.
            open = None;
        }
        if answer.is_err() && is_old && !job.answer.is_closed() {
            // It may be back: no pass fails by a session of the time before.
            answer = place.answer(&mut open, job.message.as_deref(), refused);
        }
        // A caller that has given up meanwhile needs no answer.
        let _ = job.answer.send(answer);
    }
}

/// A session in which the key was found.
struct Open {
    session: Session,
    key: ObjectHandle,
    /// Whether the key wants the PIN for each signature (`CKA_ALWAYS_AUTHENTICATE`; PKCS#11 v2.40,
    /// section 4.9).
    wants_pin: bool,
}

impl Place {
    fn answer(
        &self,
        open: &mut Option<Open>,
        message: Option<&[u8]>,
        refused: &Mutex<Option<Away>>,
    ) -> Result<Option<Signature>, Away> {
        let open = match open {
            Some(open) => open,
            None => open.insert(self.open(refused)?),
        };
        match message {
            Some(message) => Ok(Some(self.sign(open, message, refused)?)),
            None => {
                // The session may live on while the token or the key in it is gone.
                let attributes = [AttributeType::KeyType];
                let attributes = open.session.get_attributes(open.key, &attributes);
                attributes.map_err(|error| self.away("describe its key", &error))?;
                Ok(None)
            }
        }
    }

    fn open(&self, refused: &Mutex<Option<Away>>) -> Result<Open, Away> {
        // One session after the other: two would try a wrong PIN twice.
        let mut refused = refused.lock();
        if let Some(away) = &*refused {
            return Err(away.clone());
        }
        let module = self.module()?;
        let slots = module.get_slots_with_token();
        let slots = slots.map_err(|error| self.away("list its tokens", &error))?;
        let is_ours = |slot: &cryptoki::slot::Slot| {
            let found = module.get_token_info(*slot);
            found.is_ok_and(|it| it.label().trim_end() == self.token)
        };
        let mut ours = slots.into_iter().filter(is_ours);
        let slot = ours.next().ok_or_else(|| {
            let token = &self.token;
            Away(format!(
                "no token of {} is named {token:?}",
                self.module.display()
            ))
        })?;
        if ours.next().is_some() {
            let token = &self.token;
            return Err(Away(format!("two tokens are named {token:?}")));
        }
        let session = module.open_ro_session(slot);
        let session = session.map_err(|error| self.away("open a session", &error))?;
        self.log_in(&session, &mut refused)?;
        let key = self.find(&session)?;
        let attributes = session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]);
        let attributes = attributes.map_err(|error| self.away("describe its key", &error))?;
        let wants_pin = attributes.contains(&Attribute::AlwaysAuthenticate(true));
        Ok(Open {
            session,
            key,
            wants_pin,
        })
    }

    fn module(&self) -> Result<Pkcs11, Away> {
        let mut modules = MODULES.lock();
        if let Some(module) = modules.get(&self.module) {
            return Ok(module.clone());
        }
        let failed = |error: &Error| self.away("load", error);
        let module = Pkcs11::new(&self.module).map_err(|error| failed(&error))?;
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match module.initialize(arguments) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(&error)),
        }
        modules.insert(self.module.clone(), module.clone());
        Ok(module)
    }

    fn log_in(&self, session: &Session, refused: &mut Option<Away>) -> Result<(), Away> {
        let Some(pin) = &self.pin else { return Ok(()) };
        match session.login(UserType::User, Some(&as_pin(pin))) {
            // The other session has logged in already.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(error) => Err(self.pin_failed(&error, refused)),
        }
    }

    /// The error of a PIN that was not taken. Remembers a wrong one.
    fn pin_failed(&self, error: &Error, refused: &mut Option<Away>) -> Away {
        let away = self.away("take the PIN", error);
        let Error::Pkcs11(why, _) = error else {
            return away;
        };
        if !is_about_pin(why) {
            return away;
        }
        let hint = "; it is not tried again before a restart, since tokens lock";
        let away = Away(away.0 + hint);
        *refused = Some(away.clone());
        away
    }

    /// The private half whose public object is our key.
    fn find(&self, session: &Session) -> Result<ObjectHandle, Away> {
        let kind = self.kind()?;
        let class = |class| vec![Attribute::Class(class), Attribute::KeyType(kind)];
        let failed = |error: &Error| self.away("list its keys", error);
        let listed = session.find_objects(&class(ObjectClass::PUBLIC_KEY));
        for public in listed.map_err(|error| failed(&error))? {
            let wanted = [
                AttributeType::Id,
                AttributeType::EcPoint,
                AttributeType::Modulus,
                AttributeType::PublicExponent,
            ];
            let attributes = session.get_attributes(public, &wanted);
            let attributes = attributes.map_err(|error| failed(&error))?;
            if !object::is_of(self.key.key_data(), &attributes) {
                continue;
            }
            let is_id = |it: &&Attribute| matches!(it, Attribute::Id(_));
            let mut template = class(ObjectClass::PRIVATE_KEY);
            template.extend(attributes.iter().find(is_id).cloned());
            let private = session.find_objects(&template);
            if let Some(private) = private.map_err(|error| failed(&error))?.pop() {
                return Ok(private);
            }
        }
        let token = &self.token;
        Err(Away(format!(
            "token {token:?} has no key pair with this public half: give `file` the one that `ssh-keygen -D` prints"
        )))
    }

    fn kind(&self) -> Result<KeyType, Away> {
        match self.key.key_data() {
            KeyData::Ed25519(_) => Ok(KeyType::EC_EDWARDS),
            KeyData::Ecdsa(_) => Ok(KeyType::EC),
            KeyData::Rsa(_) => Ok(KeyType::RSA),
            _ => Err(Away(
                "tokens sign by Ed25519, ECDSA P-256 and RSA".to_owned(),
            )),
        }
    }

    fn sign(
        &self,
        open: &Open,
        message: &[u8],
        refused: &Mutex<Option<Away>>,
    ) -> Result<Signature, Away> {
        let bytes = match open.wants_pin {
            true => self.sign_with_pin(open, message, refused)?,
            false => self.sign_alone(open, message)?,
        };
        let signature = match self.key.key_data() {
            KeyData::Ed25519(_) => Signature::new(Algorithm::Ed25519, bytes).ok(),
            KeyData::Rsa(_) => Signature::new(RSA_SHA2_512, bytes).ok(),
            _ => ecdsa_signature(&bytes),
        };
        signature.ok_or_else(|| Away("the token gave something that is not a signature".to_owned()))
    }

    fn sign_alone(&self, open: &Open, message: &[u8]) -> Result<Vec<u8>, Away> {
        let digest;
        let (mechanism, data) = match self.key.key_data() {
            KeyData::Ed25519(_) => (ed25519(), message),
            KeyData::Rsa(_) => (Mechanism::Sha512RsaPkcs, message),
            // Some tokens do not hash for ECDSA.
            _ => {
                digest = Sha256::digest(message);
                (Mechanism::Ecdsa, digest.as_slice())
            }
        };
        let bytes = open.session.sign(&mechanism, open.key, data);
        bytes.map_err(|error| self.away("sign", &error))
    }

    /// Gives the PIN between the beginning of a signature and its end. The token hashes, since only
    /// signatures in parts leave room for that.
    fn sign_with_pin(
        &self,
        open: &Open,
        message: &[u8],
        refused: &Mutex<Option<Away>>,
    ) -> Result<Vec<u8>, Away> {
        let Some(pin) = &self.pin else {
            let hint = "the key wants the PIN for each signature: set `pin_file`";
            return Err(Away(hint.to_owned()));
        };
        // One session after the other: two would try a wrong PIN twice.
        let mut refused = refused.lock();
        if let Some(away) = &*refused {
            return Err(away.clone());
        }
        let mechanism = match self.key.key_data() {
            KeyData::Ed25519(_) => ed25519(),
            KeyData::Rsa(_) => Mechanism::Sha512RsaPkcs,
            _ => Mechanism::EcdsaSha256,
        };
        let failed = |error: Error| self.away("sign in parts", &error);
        let session = &open.session;
        session.sign_init(&mechanism, open.key).map_err(failed)?;
        let logged_in = session.login(UserType::ContextSpecific, Some(&as_pin(pin)));
        logged_in.map_err(|error| self.pin_failed(&error, &mut refused))?;
        session.sign_update(message).map_err(failed)?;
        session.sign_final().map_err(failed)
    }

    fn away(&self, what: &str, error: &Error) -> Away {
        let module = self.module.display();
        // The crate's texts of return values are whole paragraphs of the standard.
        match error {
            Error::Pkcs11(value, _) => Away(format!("{module} does not {what}: {value:?}")),
            other => Away(format!("{module} does not {what}: {other}")),
        }
    }
}

fn as_pin(pin: &SecretString) -> AuthPin {
    AuthPin::from(pin.expose_secret().to_owned())
}

fn ed25519() -> Mechanism<'static> {
    Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
}

fn is_about_pin(value: &RvError) -> bool {
    matches!(
        value,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
    )
}
