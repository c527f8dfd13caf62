//! DNS over TCP (RFC 7766): pipelining, answers out of order, zone transfers, and limits on everything.
//!
//! # Shape
//!
//! One accept loop per listen address ([`accept`]) asks [`clients`] whether the client may have one more
//! connection. A connection is one task in two halves ([`connection`]): the reader cuts the stream into messages,
//! lets the [`Respond`] answer each at once and queues the answers; the writer ([`writer`]) takes everything that
//! is queued and writes it in one piece. Answers that are streams of messages (zone transfers, [`transfer`];
//! explanations, [`explanation`]) are made on a thread that may block, and wait in a queue of their own behind all
//! others: a query overtakes a transfer of the same connection.
//!
//! # Limits
//!
//! All of [`super::limits::TcpLimits`]. What a connection can hold is a message that is not complete yet, the
//! answers that the client has not read (bounded in number and octets, then nothing more is read from it) and
//! three messages of a transfer: some hundred kilobytes at the very most, about one in the usual case. A client
//! that takes nothing of what waits for it loses its connection after `write_stall`, and within a second when
//! others need the place ([`stall`]).
//!
//! # Stop
//!
//! After the stop nothing new is accepted, apart from what the kernel has accepted already; connections answer what has
//! arrived, write it, and end. What is left after the drain time, such as a transfer, is cut off.
//!
//! UPDATE messages are answered later than they come ([`Action::Later`]); queries overtake them. The encrypted
//! transports come in as another [`Carry`] than [`Plain`] and share seats, limits and the end.

mod accept;
mod answer;
mod clients;
mod connection;
mod explanation;
mod frames;
mod stall;
mod transfer;
mod writer;

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

use super::decode::Origin;

pub(super) use accept::{Door, Plain, Service, serve};
pub(super) use answer::Answerer;
pub(super) use clients::{Admission, Seat};
pub(super) use connection::{LAST_WORDS, LINGER, QUIET, STREAM_AHEAD, ask, make_all, serve as serve_messages};
pub(super) use stall::Watched;
pub(super) use transfer::Unsendable;
pub(super) use writer::framed;

/// Serves the connections of one listener: messages straight on the stream, or within a protocol around them.
pub(super) trait Carry<R>: Send + Sync + 'static {
    /// Serves one connection to its end.
    fn carry(
        &self,
        stream: TcpStream,
        client: IpAddr,
        admission: Admission,
        service: Arc<Service<R>>,
    ) -> BoxFuture<'static, ()>;
}

/// Decides what happens with one message from a client.
pub(super) trait Respond: Send + Sync + 'static {
    /// Writes the response into `out`, which has room for the largest message, or says what else to do. Does not wait.
    fn respond(&self, message: &[u8], origin: Origin, out: &mut [u8]) -> Action;
}

/// What happens with one message.
pub(super) enum Action {
    /// The first octets of `out` are the response.
    Reply(usize),
    /// The response is made when something else is done, and is one message.
    Later(BoxFuture<'static, Vec<u8>>),
    /// The response takes its time to make: many messages, or one.
    Stream(Box<dyn MakeMessages>),
    /// The client does not speak DNS: its connection ends when everything before has been answered.
    Close,
}

/// Makes the messages of a response, one by one, on a thread that may block.
pub(super) trait MakeMessages: Send {
    /// Writes the next message into `message`, which it clears.
    fn next_message(&mut self, message: &mut Vec<u8>) -> Made;

    /// Hears that all messages were taken.
    fn all_taken(&mut self) {}
}

/// What became of the next message of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It is there.
    Message,
    /// The one before was the last.
    End,
    /// It cannot be made. The connection ends: the client must not wait for the rest, nor take it for complete.
    Broken,
}

#[cfg(feature = "fuzzing")]
pub use frames::messages;

#[cfg(test)]
mod tests;
