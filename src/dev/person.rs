//! A person without a browser: follows an issuer's forms and redirects until the person is signed
//! in.
//!
//! It types a name and a password into every form that asks for them and agrees to everything, so
//! it refuses every URL that is not on loopback. It has no scripts, no styles and no memory beyond
//! one sign-in.

mod cookies;
mod form;

use std::{path::Path, time::Duration};

use reqwest::{Client, Method, Response, header, redirect::Policy};
use url::{Host, Url};

use super::Error;
use cookies::Cookies;
use form::Form;

/// The variable that names the dev world's folder; `DIR/env` exports it.
pub(crate) const WORLD_VARIABLE: &str = "DAYPASS_DEV";
/// The file in the world's folder that holds its people's password.
pub(crate) const PASSWORD_FILE: &str = "password";

/// More pages than any sign-in has.
const STEPS: usize = 20;
/// Deadline for one page.
const PATIENCE: Duration = Duration::from_secs(10);

/// A person who signs in with a browser: it visits the pages of the issuer.
#[derive(Clone)]
pub struct Visitor {
    name: String,
    password: String,
}

/// The end of a walk through the pages.
enum End {
    /// Redirected off the issuer, to the client.
    Client(Url),
    /// A page that asks for nothing more.
    Page,
}

impl Visitor {
    /// A person with a name and a password.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: password.into(),
        }
    }

    /// A person of the dev world whose folder `$DAYPASS_DEV` names.
    ///
    /// # Errors
    /// Returns an error if the variable is not set or the world's password cannot be read.
    pub(crate) fn of_dev_world(name: &str) -> Result<Self, Error> {
        let Some(dir) = std::env::var_os(WORLD_VARIABLE) else {
            return Err(Error::Person(format!(
                "${WORLD_VARIABLE} is not set: run `daypass dev --dir DIR` and, here, `. DIR/env`"
            )));
        };
        let path = Path::new(&dir).join(PASSWORD_FILE);
        let password = std::fs::read_to_string(&path).map_err(|source| Error::File {
            doing: "read",
            path,
            source,
        })?;
        Ok(Self::new(name, password.trim()))
    }

    /// Signs in from an authorization URL, and hands the answer to the client's loopback port as a
    /// browser would.
    ///
    /// # Errors
    /// Returns an error if a URL is not on loopback, the person is not known, or the client answers
    /// with an error.
    pub async fn browse(&self, authorization_url: &str) -> Result<(), Error> {
        let mut browser = Browser::new()?;
        let url = self.end(&mut browser, authorization_url).await?;
        accept(&browser.request(Method::GET, &url, None).await?)
    }

    /// Signs in from an authorization URL in a browser on another machine: returns the address
    /// where it ends, which does not load there.
    ///
    /// # Errors
    /// Returns an error if a URL is not on loopback, or the person is not known.
    pub async fn destination(&self, authorization_url: &str) -> Result<String, Error> {
        let mut browser = Browser::new()?;
        Ok(self.end(&mut browser, authorization_url).await?.into())
    }

    /// The address at the client to which the issuer sends the browser.
    async fn end(&self, browser: &mut Browser, authorization_url: &str) -> Result<Url, Error> {
        match self.walk(browser, authorization_url).await? {
            End::Client(url) => Ok(url),
            End::Page => Err(stuck("the issuer never sent the browser back")),
        }
    }

    /// Signs in at a device flow's verification page (the URL with the code in it, RFC 8628 3.3.1).
    ///
    /// # Errors
    /// As [`Visitor::browse`].
    pub(crate) async fn connect_device(&self, verification_url: &str) -> Result<(), Error> {
        let mut browser = Browser::new()?;
        match self.walk(&mut browser, verification_url).await? {
            End::Page => Ok(()),
            End::Client(url) => Err(stuck(&format!("the issuer sent the browser to {url}"))),
        }
    }

    async fn walk(&self, browser: &mut Browser, start: &str) -> Result<End, Error> {
        let mut url = Url::parse(start).map_err(|_| stuck("not a URL"))?;
        let home = url.origin();
        let mut form: Option<Form> = None;
        for _ in 0..STEPS {
            if url.origin() != home {
                return Ok(End::Client(url));
            }
            let method = form.as_ref().map_or(Method::GET, Form::method);
            let answer = browser.request(method, &url, form.take()).await?;
            if let Some(next) = location(&url, &answer)? {
                url = next;
                continue;
            }
            accept(&answer)?;
            let page = answer.text().await.map_err(|error| failed(&error))?;
            let Some(mut found) = Form::first(&page) else {
                return Ok(End::Page);
            };
            found.fill("login", &self.name);
            found.fill("password", &self.password);
            url = url
                .join(&found.action)
                .map_err(|_| stuck("a form goes nowhere"))?;
            form = Some(found);
        }
        Err(stuck("too many pages"))
    }
}

/// An HTTP client with cookies that goes to loopback only and follows no redirect by itself.
struct Browser {
    client: Client,
    cookies: Cookies,
}

impl Browser {
    fn new() -> Result<Self, Error> {
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self {
            client,
            cookies: Cookies::default(),
        })
    }

    async fn request(
        &mut self,
        method: Method,
        url: &Url,
        form: Option<Form>,
    ) -> Result<Response, Error> {
        demand_loopback(url)?;
        let mut request = self.client.request(method, url.clone());
        if let Some(cookies) = self.cookies.header(url) {
            request = request.header(header::COOKIE, cookies);
        }
        if let Some(form) = form {
            request = request
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.encode());
        }
        let answer = request.send().await.map_err(|error| failed(&error))?;
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            self.cookies.set(url, cookie.to_str().unwrap_or_default());
        }
        Ok(answer)
    }
}

fn demand_loopback(url: &Url) -> Result<(), Error> {
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if loopback && url.scheme() == "http" {
        return Ok(());
    }
    Err(stuck(&format!(
        "{} is not on this machine, and a password is typed by a script on this machine only",
        url.host_str().unwrap_or("this address")
    )))
}

/// The target of a redirect; none for any other answer.
fn location(url: &Url, answer: &Response) -> Result<Option<Url>, Error> {
    if !answer.status().is_redirection() {
        return Ok(None);
    }
    let target = answer.headers().get(header::LOCATION);
    let target = target.and_then(|value| value.to_str().ok());
    let next = target.and_then(|target| url.join(target).ok());
    next.map(Some)
        .ok_or_else(|| stuck("a redirect goes nowhere"))
}

fn accept(answer: &Response) -> Result<(), Error> {
    if answer.status().is_success() {
        return Ok(());
    }
    let (path, status) = (answer.url().path(), answer.status());
    Err(stuck(&format!(
        "{path} answered {status} (is there such a person, and is the password right?)"
    )))
}

fn stuck(why: &str) -> Error {
    Error::Person(why.to_owned())
}

/// A message without the URL, because the URL may carry a code.
fn failed(error: &reqwest::Error) -> Error {
    let mut message = "no answer".to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Error::Person(message)
}
