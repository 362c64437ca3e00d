//! The client library in this process, over the state folder of [`TestEnv::own_terminal`].

use daypass::{
    client::{
        Client, Settings,
        login::{Method, Request, StepUp, Visit},
    },
    dev::person::Visitor,
};

use super::env::TestEnv;

impl TestEnv {
    pub fn client(&self) -> Client {
        Client::new(Settings {
            server: Some(self.server.url()),
            state_dir: Some(self.own_terminal().state),
            ca_file: Some(self.world().files().tls_ca()),
            say: |_| {},
        })
        .unwrap()
    }

    /// A sign-in by a browser in which this person of the dev world signs in.
    pub fn browser_login(&self, name: &str, step_up: StepUp) -> Request {
        let person = Visitor::new(name, self.password());
        let visit: Visit = Box::new(move |url| {
            let person = person.clone();
            Box::pin(async move { person.browse(&url).await.map_err(|error| error.to_string()) })
        });
        Request {
            method: Method::Browser(visit),
            key: None,
            issuer: None,
            into_agent: false,
            loopback_only: true,
            step_up,
        }
    }
}
