//! The page for approvers: requests in a browser, on the port of the server.
//!
//! It decides nothing. A handler finds the session of the browser's cookie, and calls the gRPC
//! handlers of `server` in this process with the session's ID token: the same checks, limits,
//! records and log lines as for every other caller. A decision counts by the signature of the
//! browser's own key; the cookie alone reads at most.
//!
//! | file | for |
//! |---|---|
//! | [`settings`] | `[web]`: the address of the page, the clients at the providers |
//! | `routes` | paths, and the headers of every answer |
//! | `sign_in`, `pending` | the authorization code flow; the browser's cookie while it runs |
//! | `sessions`, `cookies` | who is signed in in which browser |
//! | `caller` | a browser with a session: its calls of the gRPC handlers |
//! | `reading`, `deciding`, `live` | pages, decisions, the stream of changes |
//! | `view`, `pages` | a request for people to read, and HTML |

mod caller;
mod cookies;
mod deciding;
mod environment;
mod fault;
mod files;
mod live;
mod origin;
mod pages;
mod pending;
mod reading;
mod routes;
mod sessions;
pub(crate) mod settings;
mod sign_in;
mod site;
mod view;

pub(crate) use routes::routes;
pub(crate) use settings::Settings;
pub(crate) use site::Clients;
