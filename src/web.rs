//! The page for approvers: requests in a browser, on the port of the server.
//!
//! It decides nothing. A handler finds the session of the browser's cookie, and calls the gRPC
//! handlers of `server` in this process with the session's ID token: the same checks, limits,
//! records and log lines as for every other caller. A decision counts by the signature of the
//! browser's own key; the cookie alone reads at most. So does a lock on oneself.
//!
//! | file | for |
//! |---|---|
//! | [`settings`] | `[web]`: the address of the page, the clients at the providers |
//! | `routes` | paths, and the headers of every answer |
//! | `sign_in`, `pending` | the authorization code flow; the browser's cookie while it runs |
//! | `exchanges` | bounds of the codes that are brought to a provider |
//! | `sessions`, `cookies` | who is signed in in which browser |
//! | `renewing` | the next token of a session, by its refresh token |
//! | `caller` | a browser with a session: its calls of the gRPC handlers |
//! | `passkey` | a passkey that an administrator is to register |
//! | `reading`, `deciding`, `live` | pages, decisions, the stream of changes |
//! | `access` | the person's own roles, passes and requests; the lock on oneself |
//! | `audit`, `filter`, `event`, `timeline`, `lanes` | the ledger, for those who may read it |
//! | `view`, `pages` | a request for people to read, and HTML |

mod access;
mod audit;
mod caller;
mod cookies;
mod deciding;
mod environment;
mod event;
mod exchanges;
mod fault;
mod files;
mod filter;
mod hosts;
mod lanes;
mod live;
mod origin;
mod pages;
mod passkey;
mod pending;
mod reading;
mod renewing;
mod routes;
mod sessions;
pub(crate) mod settings;
mod sign_in;
mod site;
mod target;
mod timeline;
mod view;

pub(crate) use routes::routes;
pub(crate) use settings::Settings;
pub(crate) use site::Clients;
