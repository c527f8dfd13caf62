//! What can come of a call: a reply, a refusal, or no answer at all.

use std::fmt;
use std::net::SocketAddr;

use hyper::StatusCode;
use url::Url;

use super::servers::shown;
use crate::model::api::Problem;

/// A reply, decoded and as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<T> {
    /// The decoded body.
    pub body: T,
    /// The body as the server wrote it.
    pub text: String,
    /// The server that replied.
    pub server: String,
    /// Where that server answers DNS, if it said so.
    pub dns: Vec<SocketAddr>,
}

/// Why a call has no reply to give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A server understood and said no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No server answered.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// A server's problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The stable word that ends the problem's type.
    pub word: String,
    /// What was wrong, with which value, and what would be accepted.
    pub detail: String,
    /// The server that said it.
    pub server: String,
    /// True when an earlier attempt of the same call got no reply and so may have been applied.
    pub repeated: bool,
}

impl Refused {
    /// Whether it is policy that refuses, and not a request about something that is not there.
    pub fn is_policy(&self) -> bool {
        matches!(self.status, 401 | 403 | 409 | 422)
    }

    /// Reads the problem document of a reply; one without has the word `unknown-call`.
    pub(super) fn from_reply(status: StatusCode, server: &Url, text: &str) -> Self {
        let (word, detail) = match serde_json::from_str::<Problem>(text) {
            Ok(problem) => (last_word(&problem.kind), problem.detail),
            Err(_) => (
                "unknown-call".to_owned(),
                format!("HTTP {status} without a problem document; is this zonebeat's HTTP?"),
            ),
        };
        Self { status: status.as_u16(), word, detail, server: shown(server), repeated: false }
    }
}

/// Reads a refusal as it comes from a server, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub fn read_refusal(status: u16, text: &str) -> Option<Refused> {
    let server = Url::parse("http://192.0.2.1/").ok()?;
    Some(Refused::from_reply(StatusCode::from_u16(status).ok()?, &server, text))
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.word, self.detail, self.server)
    }
}

impl std::error::Error for Refused {}

/// Every server that was asked, with the reason why it gave no answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unreachable {
    /// Server and reason, in the order of asking; the last reason of each.
    pub servers: Vec<(String, String)>,
}

impl Unreachable {
    /// Adds a server, or replaces its reason.
    pub(super) fn note(&mut self, server: String, reason: String) {
        self.servers.retain(|(known, _)| *known != server);
        self.servers.push((server, reason));
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no server answered: ")?;
        for (at, (server, reason)) in self.servers.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{server} ({reason})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreachable {}

/// The word at the end of a problem's type, whatever stands in front of it.
fn last_word(kind: &str) -> String {
    kind.rsplit(['/', '#', ':']).next().unwrap_or(kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_found_whatever_the_type_begins_with() {
        for kind in ["https://zonebeat.example.org/problems/guard", "urn:zonebeat:guard", "/problems#guard", "guard"] {
            assert_eq!(last_word(kind), "guard");
        }
    }

    #[test]
    fn unreachable_names_each_server_once() {
        let mut unreachable = Unreachable::default();
        for reason in ["connection refused", "no reply within 1 s"] {
            unreachable.note("http://192.0.2.1:8053".into(), reason.into());
            unreachable.note("http://192.0.2.2:8053".into(), "connection refused".into());
        }
        let text = "no server answered: http://192.0.2.1:8053 (no reply within 1 s); \
                    http://192.0.2.2:8053 (connection refused)";
        assert_eq!(unreachable.to_string(), text);
    }
}
