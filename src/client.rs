//! For applications in Rust that register themselves: a small face of the client side in `agent`.
//!
//! ```no_run
//! # async fn example() -> Result<(), zonebeat::client::Lost> {
//! let beating = zonebeat::client::Instance::new("search", "a1", 8080)
//!     .server("http://192.0.2.53:8053")
//!     .site("lon")
//!     .metadata("version", "2.4.1")
//!     .start()
//!     .map_err(|error| zonebeat::client::Lost::Unusable(error.to_string()))?;
//! // ... serve; nothing here waits for zonebeat ...
//! beating.leave().await
//! # }
//! ```
//!
//! [`Instance::start`] returns at once. A task on the caller's tokio runtime registers, beats when the server says,
//! registers again when it is no longer known, tries every server in turn while none answers, and goes on for ever: the
//! service lives on without us. It ends only when a server refuses ([`Beating::lost`] waits for that), when
//! [`Beating::leave`] is called, or when the [`Beating`] is dropped; both take the instance out of the answers, within
//! three seconds or by its lease. `examples/register.rs` is a whole service; `docs/clients.md` has other languages.

use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent::beat::{self, Event, LoneInstance};
use crate::agent::servers::Servers;
use crate::agent::{Client, parse_server};
use crate::model::api::Registration;

pub use crate::model::api::Registered;

/// One running endpoint of a service, as it is to be registered.
#[derive(Debug, Clone, Default)]
#[must_use = "it registers nothing until it is started"]
pub struct Instance {
    service: String,
    id: String,
    servers: Vec<String>,
    token: Option<String>,
    registration: Registration,
}

impl Instance {
    /// An instance of `service` that listens on `port`. Its id is stable over restarts and nobody else's: the host's
    /// name and the port do. Without an address it is reached at the one that the server sees.
    pub fn new(service: impl Into<String>, id: impl Into<String>, port: u16) -> Self {
        let registration = Registration { port: port.into(), ..Registration::default() };
        Self { service: service.into(), id: id.into(), registration, ..Self::default() }
    }

    /// A server to ask; the first one first, further ones when it does not answer. `http://127.0.0.1:8053` without any.
    pub fn server(mut self, url: impl Into<String>) -> Self {
        self.servers.push(url.into());
        self
    }

    /// The token to write with.
    pub fn token(mut self, secret: impl Into<String>) -> Self {
        self.token = Some(secret.into());
        self
    }

    /// An address that it is reached at; several are possible.
    pub fn address(mut self, address: IpAddr) -> Self {
        self.registration.addresses.get_or_insert_default().push(address.to_string());
        self
    }

    /// The protocol label; `tcp` without it.
    pub fn proto(mut self, proto: impl Into<String>) -> Self {
        self.registration.proto = Some(proto.into());
        self
    }

    /// The data centre or region that it runs in.
    pub fn site(mut self, site: impl Into<String>) -> Self {
        self.registration.site = Some(site.into());
        self
    }

    /// A label that selects a subset; several are possible.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.registration.tags.push(tag.into());
        self
    }

    /// A fact for the TXT record; several are possible.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.registration.metadata.insert(key.into(), value.into());
        self
    }

    /// How long it may be silent before it leaves the answers, in whole seconds; 15 s without it.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.registration.lease_seconds = Some(i64::try_from(lease.as_secs()).unwrap_or(i64::MAX));
        self
    }

    /// Begins to register and beat, on the tokio runtime that this is called in.
    ///
    /// # Errors
    ///
    /// A server's URL or the token cannot be sent. Whether a server takes the registration shows later.
    pub fn start(self) -> Result<Beating, Unusable> {
        let servers = self.servers.iter().map(|url| parse_server(url)).collect::<Result<Vec<_>, _>>();
        let servers = Servers::new(servers.map_err(Unusable)?);
        // The loop has waits of its own between attempts, so that each attempt asks every server once.
        let client = Client::new(servers, self.token.as_deref(), 1).map_err(Unusable)?;
        let epoch = format!("{:016x}", getrandom::u64().unwrap_or_else(|_| std::process::id().into()));
        let registration = Registration { epoch: Some(epoch), ..self.registration };
        let transport = LoneInstance { client, service: self.service, id: self.id, registration };
        let stop = CancellationToken::new();
        let (news, status) = watch::channel(Status::default());
        tokio::spawn(live(transport, stop.clone(), news));
        Ok(Beating { status, stop })
    }
}

/// A URL or a token that no request can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// Why a registration ended although nobody asked it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// A server refused it: the word of the problem, and the sentence for people.
    #[error("{word}: {detail}")]
    Refused {
        /// The stable word, as in `name-owned`.
        word: String,
        /// What was wrong, and what would be accepted.
        detail: String,
    },
    /// Another process registered the same id.
    #[error("another process has registered this id; give each process its own")]
    TakenOver,
    /// It could not leave in time, and is out of the answers when its lease has run out.
    #[error("it could not leave: {0}")]
    NotLeft(String),
    /// It could not be started, or its task was ended with the runtime.
    #[error("{0}")]
    Unusable(String),
}

/// What is known of a registration.
#[derive(Debug, Clone, Default)]
struct Status {
    registered: Option<Registered>,
    /// Why no server takes it just now.
    trouble: Option<String>,
    not_left: Option<String>,
    ended: Option<Result<(), Lost>>,
}

/// A registration that lives. Dropping it takes the instance out of the answers, without waiting for it.
#[derive(Debug)]
#[must_use = "dropping it takes the instance out of the answers"]
pub struct Beating {
    status: watch::Receiver<Status>,
    stop: CancellationToken,
}

impl Beating {
    /// Waits until a server has taken the registration; DNS answers with it then.
    ///
    /// # Errors
    ///
    /// A server refused it.
    pub async fn registered(&self) -> Result<Registered, Lost> {
        let mut status = self.status.clone();
        let settled = |status: &Status| status.registered.is_some() || status.ended.is_some();
        let status = status.wait_for(settled).await.map_err(|_| gone())?;
        match (&status.ended, &status.registered) {
            (Some(Err(lost)), _) => Err(lost.clone()),
            (_, Some(registered)) => Ok(registered.clone()),
            _ => Err(gone()),
        }
    }

    /// Why no server takes it just now; `None` when one does, or when nothing has been tried yet.
    pub fn trouble(&self) -> Option<String> {
        self.status.borrow().trouble.clone()
    }

    /// Waits until the registration ends by itself, which it does only when a server refuses it or another process
    /// takes its id. Never returns while all is well.
    pub async fn lost(&self) -> Lost {
        match ended(self.status.clone()).await {
            Err(lost) => lost,
            Ok(()) => Lost::Unusable("it has left".to_owned()),
        }
    }

    /// Takes the instance out of the answers; waits for that, three seconds at most.
    ///
    /// # Errors
    ///
    /// It was lost before, or could not leave in time.
    pub async fn leave(self) -> Result<(), Lost> {
        self.stop.cancel();
        ended(self.status.clone()).await
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn ended(mut status: watch::Receiver<Status>) -> Result<(), Lost> {
    let status = status.wait_for(|status| status.ended.is_some()).await.map_err(|_| gone())?;
    status.ended.clone().unwrap_or_else(|| Err(gone()))
}

fn gone() -> Lost {
    Lost::Unusable("its task is gone with the runtime".to_owned())
}

/// The task: beats until it is told to stop, and keeps the status.
async fn live(transport: LoneInstance, stop: CancellationToken, news: watch::Sender<Status>) {
    let end = beat::run(&transport, &stop, |event| news.send_modify(|status| note(status, event))).await;
    news.send_modify(|status| {
        status.ended = Some(match (end, status.not_left.take()) {
            (Err(lost), _) => Err(lost.into()),
            (Ok(()), Some(why)) => Err(Lost::NotLeft(why)),
            (Ok(()), None) => Ok(()),
        });
    });
}

fn note(status: &mut Status, event: Event) {
    match event {
        Event::Registered { enrolled, .. } => {
            status.registered = Some(enrolled.registered);
            status.trouble = None;
        }
        Event::Unreachable(why) => status.trouble = Some(why.to_string()),
        Event::Reachable => status.trouble = None,
        Event::NotLeft(why) => status.not_left = Some(why),
        Event::Returned | Event::Forgotten | Event::Left => {}
    }
}

impl From<beat::Lost> for Lost {
    fn from(lost: beat::Lost) -> Self {
        match lost {
            beat::Lost::Refused(refused) => Self::Refused { word: refused.word, detail: refused.detail },
            beat::Lost::TakenOver(_) => Self::TakenOver,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_sent_is_refused_before_anything_is() {
        let wrong = Instance::new("search", "a1", 80).server("ftp://192.0.2.1").start();
        assert!(wrong.expect_err("no HTTP").to_string().contains("http://192.0.2.1:8053"));
        assert!(Instance::new("search", "a1", 80).token("a\nb").start().is_err());
    }

    #[test]
    fn facts_become_a_registration() {
        let instance = Instance::new("search", "a1", 80)
            .address("192.0.2.7".parse().expect("address"))
            .address("2001:db8::7".parse().expect("address"))
            .tag("canary")
            .metadata("version", "2")
            .lease(Duration::from_secs(30));
        let registration = instance.registration;
        assert_eq!(registration.addresses.as_deref(), Some(&["192.0.2.7".to_owned(), "2001:db8::7".to_owned()][..]));
        assert_eq!((registration.lease_seconds, registration.tags.len()), (Some(30), 1));
    }
}
