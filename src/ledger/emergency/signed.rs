//! The signed content of an emergency, parsed from the message bytes.
//!
//! Signers must be shown this and nothing else. Pure.

use ssh_key::PublicKey;

use crate::ssh::{
    sshsig::Namespace,
    wire::{self, Reader},
};

/// No ask has more parameters.
pub(super) const MOST_PARAMS: u32 = 64;

/// Largest number of addresses or extensions of an ask.
const MOST: u32 = 256;

/// An emergency as it was signed ([`super::message`]).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signed {
    /// The registered key of the person who gets the pass.
    pub holder: PublicKey,
    /// The server's name.
    pub server: String,
    /// The subject key of the pass.
    pub key: PublicKey,
    /// The role.
    pub role: String,
    /// The host; empty for none.
    pub host: String,
    /// Values for the role's parameters.
    pub params: Vec<(String, String)>,
    /// The reason.
    pub reason: String,
    /// Requested lifetime in seconds; 0 for the role's own.
    pub ttl_seconds: u64,
    /// Requested source addresses; empty for the role's own.
    pub source_addresses: Vec<String>,
    /// Requested extensions; empty for the role's own.
    pub extensions: Vec<String>,
}

impl Signed {
    /// Parses a signed message. Returns `None` if it is not an emergency or has trailing bytes.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let [domain, holder, possession] = wire::parts(message)?;
        let [_, server, _challenge, key, ask] = wire::parts(possession)?;
        let mut ask = Ask(Reader::new(ask));
        let signed = Self {
            holder: PublicKey::from_bytes(holder).ok()?,
            server: String::from_utf8(server.to_vec()).ok()?,
            key: PublicKey::from_bytes(key).ok()?,
            role: ask.text()?,
            host: ask.text()?,
            params: ask.many(MOST_PARAMS, |ask| Some((ask.text()?, ask.text()?)))?,
            reason: ask.text()?,
            ttl_seconds: ask.0.u64()?,
            source_addresses: ask.many(MOST, Ask::text)?,
            extensions: ask.many(MOST, Ask::text)?,
        };
        let redeems = ask.0.u64()?;
        let is_emergency = ask.0.rest() == [1];
        (domain == Namespace::Emergency.as_bytes() && redeems == 0 && is_emergency)
            .then_some(signed)
    }
}

/// A reader over an ask's canonical bytes (`proto::ask_bytes`).
struct Ask<'a>(Reader<'a>);

impl Ask<'_> {
    fn text(&mut self) -> Option<String> {
        self.0.text().map(str::to_owned)
    }

    fn many<T>(
        &mut self,
        most: u32,
        mut one: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.0.u32()?;
        if count > most {
            return None;
        }
        (0..count).map(|_| one(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, prelude::*};

    use super::*;

    /// Bytes of an almost valid message: the right strings with wrong lengths.
    fn nearly() -> impl Strategy<Value = Vec<u8>> {
        let text = || collection::vec(any::<u8>(), 0..40);
        let length = prop_oneof![4 => Just(None), 1 => any::<u32>().prop_map(Some)];
        let string = (text(), length).prop_map(|(text, length)| {
            let own = u32::try_from(text.len()).unwrap_or(u32::MAX);
            [&length.unwrap_or(own).to_be_bytes(), text.as_slice()].concat()
        });
        let ask = collection::vec(string.clone(), 0..8).prop_map(|parts| parts.concat());
        (collection::vec(string, 0..8), ask, text()).prop_map(|(parts, ask, rest)| {
            let domain = u32::try_from(Namespace::Emergency.as_str().len())
                .unwrap_or(0)
                .to_be_bytes();
            let (parts, domain) = (
                parts.concat(),
                [&domain, Namespace::Emergency.as_bytes()].concat(),
            );
            [domain, parts, ask, rest].concat()
        })
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_are_read_as_more_than_they_hold(message in nearly()) {
            if let Some(signed) = Signed::read(&message) {
                let texts = signed.server.len() + signed.role.len() + signed.reason.len();
                prop_assert!(texts <= message.len());
            }
        }
    }
}
