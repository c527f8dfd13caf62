//! Why a request is not done: a stable word for programs, a sentence for people.
//!
//! A refusal is an outcome, not a fault. The edges translate the word once: `api` to an HTTP status, `cli` to an exit
//! code.

use std::fmt;

/// The stable word that ends a problem document's `type` (RFC 9457).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// The body is not JSON, or a field has a value of the wrong kind.
    BadRequest,
    /// A field that no version of this call knows.
    UnknownField,
    /// A label with a character or length that DNS or our policy does not take.
    BadLabel,
    /// Port 0 or beyond 65535.
    BadPort,
    /// A lease shorter or longer than allowed.
    BadLease,
    /// Any other field out of its range.
    BadValue,
    /// An address or target that policy does not let into DNS.
    AddressRefused,
    /// A label that is reserved: `localhost`, `wpad`, a word of the active naming.
    ReservedName,
    /// A service label that is a site, or the other way round; or a site that is not on the list.
    SiteLabel,
    /// The name belongs to another token.
    NameOwned,
    /// The name belongs to no token, so there is no owner to act for it.
    NoOwner,
    /// A static record holds the name.
    StaticName,
    /// No zone takes registrations.
    NoZone,
    /// No such instance; register it.
    UnknownInstance,
    /// No such session; send its full set.
    UnknownSession,
    /// No such service.
    UnknownService,
    /// No such token.
    UnknownToken,
    /// No such page of history: older than what is kept.
    UnknownRevision,
    /// Nothing at this path, or not with this method.
    UnknownCall,
    /// The beat or delete names an incarnation that has been replaced.
    OldIncarnation,
    /// The session's epoch or set hash differs; send its full set.
    OutOfSync,
    /// It still has instances.
    InUse,
    /// It would take a service below its declared `min`.
    Guard,
    /// No token, or one that is not known.
    Unauthorized,
    /// The token's scope does not cover it.
    Forbidden,
    /// The body is larger than allowed.
    TooLarge,
    /// The registry has not been loaded.
    NotReady,
    /// The store does not take writes now.
    StoreUnavailable,
    /// Too many requests are waiting.
    Busy,
    /// A fault of ours.
    Internal,
}

impl Word {
    /// The word as it stands in the problem document.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::UnknownField => "unknown-field",
            Self::BadLabel => "bad-label",
            Self::BadPort => "bad-port",
            Self::BadLease => "bad-lease",
            Self::BadValue => "bad-value",
            Self::AddressRefused => "address-refused",
            Self::ReservedName => "reserved-name",
            Self::SiteLabel => "site-label",
            Self::NameOwned => "name-owned",
            Self::NoOwner => "no-owner",
            Self::StaticName => "static-name",
            Self::NoZone => "no-zone",
            Self::UnknownInstance => "unknown-instance",
            Self::UnknownSession => "unknown-session",
            Self::UnknownService => "unknown-service",
            Self::UnknownToken => "unknown-token",
            Self::UnknownRevision => "unknown-revision",
            Self::UnknownCall => "unknown-call",
            Self::OldIncarnation => "old-incarnation",
            Self::OutOfSync => "out-of-sync",
            Self::InUse => "in-use",
            Self::Guard => "guard",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::TooLarge => "too-large",
            Self::NotReady => "not-ready",
            Self::StoreUnavailable => "store-unavailable",
            Self::Busy => "busy",
            Self::Internal => "internal",
        }
    }
}

/// A request that is not done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub word: Word,
    /// For people: what was wrong, with which value, and what would be accepted.
    pub detail: String,
    /// The instance that was to be registered, if that was refused.
    pub attempt: Option<Box<Attempt>>,
}

/// A registration that was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Service label, as the caller wrote it.
    pub service: String,
    /// Instance label, as the caller wrote it.
    pub id: String,
    /// Who asked, as history names it.
    pub by: String,
    /// What was wrong with this instance.
    pub detail: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(word: Word, detail: impl Into<String>) -> Self {
        Self { word, detail: detail.into(), attempt: None }
    }

    /// The same, of an attempt to register this instance.
    pub fn of(self, service: &str, id: &str) -> Self {
        let (service, id, detail) = (service.to_owned(), id.to_owned(), self.detail.clone());
        Self { attempt: Some(Box::new(Attempt { service, id, by: String::new(), detail })), ..self }
    }

    /// The same, with the author of the attempt if it is one.
    pub fn by(mut self, author: &str) -> Self {
        if let Some(attempt) = &mut self.attempt {
            author.clone_into(&mut attempt.by);
        }
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word.as_str(), self.detail)
    }
}

impl std::error::Error for Refusal {}
