//! Connections to a server of ours, as clients and hosts make them: through a proxy if the
//! environment names one, and, at the first contact, by the fingerprint of a private certificate.
//!
//! Nothing here is about what is said on a connection.

mod fault;
mod fingerprint;
mod first_contact;
mod loopback;
mod mutual;
mod proxy;
mod race;
mod roots;
mod stream;

pub(crate) use fault::{CertificateFault, certificate_fault};
pub use fingerprint::CertificateFingerprint;
pub(crate) use first_contact::{first_contact, recognizable};
pub(crate) use loopback::is_loopback;
pub use mutual::{MutualTls, MutualTlsError};
pub(crate) use proxy::proxy_between;
pub(crate) use race::race;
pub(crate) use roots::parse_roots;
pub(crate) use stream::{OpenError, Stream, open, open_and};
