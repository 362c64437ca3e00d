//! What a test sees of the server beside its answers: this program's log, and the ledger.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock},
};

use daypass::{
    proto::status::Details,
    server::log::{Destination, Format, subscriber},
};
use parking_lot::Mutex;
use tonic::{Code, Status};

use crate::support::{
    api::Caller,
    env::{EnvOptions, TestEnv},
    user::TestUser,
};

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = subscriber(
        Format::Json,
        "info",
        (Destination::Plain, move || writer.clone()),
    )
    .unwrap();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    log
});

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that this program logged.
pub fn log() -> String {
    String::from_utf8(LOG.0.lock().clone()).unwrap()
}

/// A logged environment.
pub async fn start(options: EnvOptions) -> TestEnv {
    LazyLock::force(&LOG);
    options.start().await
}

/// A person of the dev world, in their own groups. The secret behind the commitment is known, to
/// be looked for.
pub fn person(env: &TestEnv, name: &str) -> TestUser {
    let caller = Caller {
        secret: vec![9; 32],
        ..Caller::new()
    };
    let token = env.issuer().id_token(name, Some(&caller.commitment()));
    TestUser {
        name: name.to_owned(),
        caller,
        token,
        api: env.api.clone(),
    }
}

/// The ledger's size, without a call.
pub fn size(env: &TestEnv) -> u64 {
    env.authority().store.size()
}

/// The newest event.
pub async fn last(env: &TestEnv) -> serde_json::Value {
    let store = &env.authority().store;
    let entries = store.entries(store.size() - 1, 1).await.unwrap();
    serde_json::from_slice(&entries[0].1).unwrap()
}

/// A refusal's code and reason.
pub fn refusal(status: &Status) -> (Code, String) {
    let reason = Details::of(status).map(|details| details.reason);
    (status.code(), reason.unwrap_or_default())
}
