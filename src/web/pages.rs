//! HTML. The templates escape every value; no page has a script or a style of its own.

mod frame;
mod list;
mod request;
mod sign_in;

pub(super) use frame::message;
pub(super) use list::list;
pub(super) use request::request;
pub(super) use sign_in::{sign_in, signed_out};
