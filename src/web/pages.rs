//! HTML. The templates escape every value; no page has a script or a style of its own.

mod access;
mod audit;
mod event;
mod frame;
mod hosts;
mod list;
mod passkey;
mod request;
mod sign_in;
mod timeline;

pub(super) use access::{Access, access, locked};
pub(super) use audit::{Found, audit};
pub(super) use event::{EventView, event};
pub(super) use frame::{message, nothing};
pub(super) use hosts::{HostRow, HostsView, hosts};
pub(super) use list::list;
pub(super) use passkey::passkey;
pub(super) use request::request;
pub(super) use sign_in::{sign_in, signed_out};
pub(super) use timeline::{Chart, timeline};
