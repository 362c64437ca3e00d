//! Access that the user asked for with a request or as an emergency: which of it a later command
//! uses, without naming its number.
//!
//! The file `requested.json` lists the requests that this machine opened, and the passes that came
//! of them or of emergencies. A request can only be redeemed with the key that opened it, so the
//! list of this machine is the whole list. It is a hint and no authority: the server says whether a
//! request is approved, and a pass on disk is checked as always.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use ssh_key::Certificate;

use super::{
    Client, Error, Signed,
    cache::{PassFiles, REQUESTED},
    choose::PassRequest,
    clock::now,
    logins::logins,
    requests::RequestView,
    state::State,
};
use crate::proto::v1;

/// The lock on the list: a command without the folder's lock may change it, too.
const TURN: &str = "requested.lock";

/// Most entries; the oldest one is dropped. The server allows 32 open requests.
const MOST: usize = 64;

/// One request, or the pass of a request or an emergency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// The request; 0 for an emergency.
    id: u64,
    role: String,
    host: Option<String>,
    params: BTreeMap<String, String>,
    reason: Option<String>,
    ttl_seconds: Option<u64>,
    source_addresses: Vec<String>,
    /// The logins that the pass opens.
    logins: Vec<String>,
    /// The private key's path of the pass in the state folder; none while the request is open.
    pass: Option<PathBuf>,
    /// Unix seconds after which the entry says nothing any more.
    ends: u64,
    /// For an ask without a host: whether the role is for a host, as the server said.
    #[serde(default)]
    hosts: BTreeMap<String, bool>,
}

/// Whether a command means the access of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    No,
    Yes,
    /// The request may be approved by now, or the role may be for the host.
    AskServer,
}

/// How far a request is.
enum Progress {
    Approved,
    Waits,
    Ended,
}

/// Access that the user has asked for before and that a command means.
pub(super) enum Found {
    /// A pass on disk.
    Pass(PassFiles, Box<Certificate>),
    /// An approved request: its own ask, to be redeemed.
    Approved(PassRequest),
    /// Nothing yet; the request with this number still waits.
    Waits(u64),
    /// Nothing.
    Nothing,
}

impl Client {
    /// The usable pass of a request or an emergency that `pass_request` means, the newest first. No
    /// network.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the list cannot be read.
    pub(super) fn requested_pass(
        &self,
        pass_request: &PassRequest,
    ) -> Result<Option<(PassFiles, Certificate)>, Error> {
        let entries = load(&self.state)?;
        let fitting = entries.iter().rev();
        let mut fitting = fitting.filter(|entry| entry.fits(pass_request) == Fit::Yes);
        Ok(fitting.find_map(Entry::usable))
    }

    /// Whether the server may have more for `pass_request` than is on disk. No network.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the list cannot be read.
    pub(super) fn must_ask(&self, pass_request: &PassRequest) -> Result<bool, Error> {
        let time = now();
        let entries = load(&self.state)?;
        Ok(entries
            .iter()
            .any(|entry| entry.ends > time && entry.fits(pass_request) == Fit::AskServer))
    }

    /// The access that `pass_request` means and that was asked for before. Forgets requests that
    /// have ended, and tells the user.
    ///
    /// # Errors
    /// Returns the error if the server does not answer.
    pub(super) async fn asked_before(
        &self,
        signed: &Signed,
        pass_request: &PassRequest,
    ) -> Result<Found, Error> {
        let mut waits = Found::Nothing;
        if pass_request.request.is_some() || pass_request.emergency {
            return Ok(waits);
        }
        for mut entry in load(&self.state)?.into_iter().rev() {
            let is_over = entry.ends <= now() || (pass_request.fresh && entry.pass.is_some());
            if is_over || entry.fits(pass_request) == Fit::No {
                continue;
            }
            if entry.pass.is_none() {
                match self.progress(signed, &entry).await? {
                    Progress::Approved => {}
                    Progress::Waits => {
                        waits = Found::Waits(entry.id);
                        continue;
                    }
                    Progress::Ended => continue,
                }
            }
            if entry.learn_host(signed, pass_request).await? {
                self.remember_entry(entry.clone()).await?;
            }
            match (entry.fits(pass_request), &entry.pass) {
                (Fit::No, _) => {}
                (Fit::Yes | Fit::AskServer, None) => {
                    return Ok(Found::Approved(entry.redemption(pass_request)));
                }
                (Fit::Yes | Fit::AskServer, Some(_)) => {
                    if let Some((files, certificate)) = entry.usable() {
                        return Ok(Found::Pass(files, Box::new(certificate)));
                    }
                }
            }
        }
        Ok(waits)
    }

    /// Remembers a request that this machine has opened.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the list cannot be written.
    pub(crate) async fn remember_request(&self, view: &RequestView) -> Result<(), Error> {
        let principals: Vec<String> = view.page.permissions.principals.iter().cloned().collect();
        let asked = &view.page.ask;
        self.remember_entry(Entry {
            id: view.id,
            role: asked.role.clone(),
            host: asked.host.clone(),
            params: asked.params.clone(),
            reason: asked.reason.clone(),
            ttl_seconds: asked.ttl_seconds,
            source_addresses: asked.source_addresses.clone(),
            logins: owned(logins(&principals)),
            pass: None,
            ends: view.expires_at.get(),
            hosts: BTreeMap::new(),
        })
        .await
    }

    /// Remembers the pass for `ask` if it is of a request or of an emergency.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the list cannot be written.
    pub(super) async fn remember_pass(
        &self,
        ask: &v1::Ask,
        files: &PassFiles,
        certificate: &Certificate,
    ) -> Result<(), Error> {
        if ask.request == 0 && !ask.emergency {
            return Ok(());
        }
        let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let entries = load(&self.state)?;
        let known = entries
            .into_iter()
            .find(|it| it.id == ask.request && it.id != 0);
        self.remember_entry(Entry {
            id: ask.request,
            role: ask.role.clone(),
            host: some(&ask.host),
            params: ask.params.clone().into_iter().collect(),
            reason: some(&ask.reason),
            ttl_seconds: Some(ask.ttl_seconds).filter(|ttl| *ttl != 0),
            source_addresses: ask.source_addresses.clone(),
            logins: owned(logins(certificate.valid_principals())),
            pass: Some(files.key().to_owned()),
            ends: certificate.valid_before(),
            hosts: known.map(|known| known.hosts).unwrap_or_default(),
        })
        .await
    }

    /// Forgets a request that has ended, or that was redeemed to a place of the user's.
    ///
    /// # Errors
    /// Returns [`Error::File`] if the list cannot be written.
    pub(crate) async fn forget_request(&self, id: u64) -> Result<(), Error> {
        // An emergency has no request.
        if id == 0 {
            return Ok(());
        }
        let _turn = self.state.lock_on(TURN, self.settings().say).await?;
        let mut entries = load(&self.state)?;
        let before = entries.len();
        entries.retain(|entry| entry.id != id);
        if entries.len() == before {
            return Ok(());
        }
        save(&self.state, &entries)
    }

    /// How far the request of `entry` is. One that has ended is forgotten.
    async fn progress(&self, signed: &Signed, entry: &Entry) -> Result<Progress, Error> {
        let ended = match signed.request(entry.id).await {
            Ok(view) => match view.is_approved() {
                Ok(true) => return Ok(Progress::Approved),
                Ok(false) => return Ok(Progress::Waits),
                Err(ended) => ended,
            },
            Err(gone @ Error::Denied { .. }) => gone,
            Err(error) => return Err(error),
        };
        self.say(&format!("daypass: {ended}"));
        self.forget_request(entry.id).await?;
        Ok(Progress::Ended)
    }

    async fn remember_entry(&self, new: Entry) -> Result<(), Error> {
        let _turn = self.state.lock_on(TURN, self.settings().say).await?;
        let mut entries = load(&self.state)?;
        let time = now();
        entries.retain(|old| {
            let is_same = match new.id {
                0 => old.pass == new.pass,
                id => old.id == id,
            };
            !is_same && old.ends > time
        });
        entries.push(new);
        let excess = entries.len().saturating_sub(MOST);
        entries.drain(..excess);
        save(&self.state, &entries)
    }
}

impl Entry {
    /// Whether a command means this access: all that it names is the same here. A command that
    /// names only a host, or a host and a login, means the newest that opens them.
    fn fits(&self, pass_request: &PassRequest) -> Fit {
        let same = |said: &Option<String>, is: Option<&String>| {
            said.as_ref().is_none_or(|said| Some(said) == is)
        };
        let login = pass_request.user.as_ref();
        let is_same = same(&pass_request.role, Some(&self.role))
            && same(&pass_request.reason, self.reason.as_ref())
            && (pass_request.params.is_empty() || pass_request.params == self.params)
            && (pass_request.ttl_seconds.is_none() || pass_request.ttl_seconds == self.ttl_seconds)
            && (pass_request.source_addresses.is_empty()
                || pass_request.source_addresses == self.source_addresses)
            && login.is_none_or(|login| self.logins.contains(login))
            && (!pass_request.emergency || self.id == 0);
        let host = match (&pass_request.host, &self.host) {
            (Some(named), Some(own)) if named.eq_ignore_ascii_case(own) => Fit::Yes,
            (Some(_), Some(_)) | (None, Some(_)) => Fit::No,
            (Some(named), None) => match self.hosts.get(&named.to_ascii_lowercase()) {
                Some(true) => Fit::Yes,
                Some(false) => Fit::No,
                None => Fit::AskServer,
            },
            (None, None) if pass_request.role.is_some() => Fit::Yes,
            (None, None) => Fit::No,
        };
        match (is_same, host) {
            (false, _) | (_, Fit::No) => Fit::No,
            (true, Fit::Yes) if self.pass.is_some() => Fit::Yes,
            (true, Fit::Yes | Fit::AskServer) => Fit::AskServer,
        }
    }

    /// The pass on disk, if it can be used.
    fn usable(&self) -> Option<(PassFiles, Certificate)> {
        let files = PassFiles::within(self.pass.as_deref()?.parent()?);
        let certificate = files.valid(now())?;
        Some((files, certificate))
    }

    /// Asks the server whether the role is for the command's host, if the ask named none. Returns
    /// whether something was learned.
    async fn learn_host(
        &mut self,
        signed: &Signed,
        pass_request: &PassRequest,
    ) -> Result<bool, Error> {
        let (Some(host), None) = (&pass_request.host, &self.host) else {
            return Ok(false);
        };
        let key = host.to_ascii_lowercase();
        if self.hosts.contains_key(&key) {
            return Ok(false);
        }
        let roles = signed.roles(Some(host)).await?;
        let is_for = roles.iter().any(|role| role.name == self.role);
        if self.hosts.len() >= MOST {
            self.hosts.clear();
        }
        self.hosts.insert(key, is_for);
        Ok(true)
    }

    /// The ask of the request, with its number and the login of the command.
    fn redemption(&self, pass_request: &PassRequest) -> PassRequest {
        PassRequest {
            role: Some(self.role.clone()),
            host: self.host.clone(),
            user: pass_request.user.clone(),
            params: self.params.clone(),
            reason: self.reason.clone(),
            ttl_seconds: self.ttl_seconds,
            source_addresses: self.source_addresses.clone(),
            request: Some(self.id),
            emergency: false,
            fresh: false,
        }
    }
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// Number and role of each request that this machine opened and that still waits or is approved.
pub(super) fn open_requests(state: &State) -> Vec<(u64, String)> {
    let entries = load(state).unwrap_or_default().into_iter();
    let open = entries.filter(|entry| entry.id > 0 && entry.pass.is_none() && entry.ends > now());
    open.map(|entry| (entry.id, entry.role)).collect()
}

/// The entries, oldest first. A damaged list is an empty one: what it said can be asked for again.
fn load(state: &State) -> Result<Vec<Entry>, Error> {
    let text = state.read(REQUESTED)?;
    let entries = text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(entries.unwrap_or_default())
}

fn save(state: &State, entries: &[Entry]) -> Result<(), Error> {
    let text = serde_json::to_vec(entries).map_err(|error| Error::other(error.to_string()))?;
    state.write(REQUESTED, &text)
}
