//! Replies that are too long to be held: a backup, piece by piece.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::Incoming;

use super::client::Client;
use super::exchange::{Call, reason};
use super::outcome::ClientError;
use super::servers::shown;

/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A reply that is being read.
#[derive(Debug)]
pub struct Download {
    /// The server that replies.
    pub server: String,
    body: Incoming,
}

impl Client {
    /// Begins a backup of the registry.
    pub async fn back_up(&self) -> Result<Download, ClientError> {
        let (server, body) = self.exchange.open(&Call::new(Method::GET, &["v1", "backup"]).once()).await?;
        Ok(Download { server: shown(&server), body })
    }
}

impl Download {
    /// The next octets; none at the end. An error says why there are no more, in words.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            match frame.map_err(|_| format!("nothing came for {} s", PATIENCE.as_secs()))? {
                None => return Ok(None),
                Some(Err(error)) => return Err(reason(&error)),
                Some(Ok(frame)) => {
                    if let Ok(octets) = frame.into_data() {
                        return Ok(Some(octets));
                    }
                }
            }
        }
    }
}
