//! One stream: a query and its response, or its responses (RFC 9250 section 4.2).

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::EdnsCode;
use hickory_server::net::quic::DoqErrorCode;
use quinn::{ReadError, ReadToEndError, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Visit;
use crate::wire::decode::HEADER;
use crate::wire::respond::MAX_TCP;
use crate::wire::tcp::{Action, Made, MakeMessages, Respond, STREAM_AHEAD, ask, framed, make_all};

/// DOQ_UNSPECIFIED_ERROR (RFC 9250 section 8.4), for which hickory has no name.
const UNSPECIFIED: DoqErrorCode = DoqErrorCode::Unknown(5);

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// The client has its answer, or stopped waiting for it.
    Answered,
    /// There was no query.
    Nothing,
    /// The client broke the protocol, and the connection is closed.
    Broken,
}

/// Answers the query of one stream, which has to be there by the deadline.
pub(super) async fn serve<R: Respond>(
    visit: &Visit<R>,
    mut send: SendStream,
    mut receive: RecvStream,
    deadline: Instant,
) -> Done {
    let read = match timeout_at(deadline, receive.read_to_end(2 + MAX_TCP)).await {
        Ok(read) => read,
        Err(_) => {
            let _ = receive.stop(UNSPECIFIED.into()); // fails if the client has ended it already
            return give_up(&mut send, UNSPECIFIED);
        }
    };
    let octets = match read {
        Ok(octets) => octets,
        Err(ReadToEndError::TooLong) => return visit.break_off(b"more than one message on a stream"),
        Err(ReadToEndError::Read(ReadError::Reset(_))) => return give_up(&mut send, DoqErrorCode::RequestCancelled),
        Err(_) => return Done::Nothing,
    };
    let message = match check(&octets) {
        Ok(message) => message,
        Err(fault) => return visit.break_off(fault),
    };
    match ask(&visit.service.responder, message, visit.origin, framed) {
        Ok(response) => visit.deliver(&mut send, &response).await,
        Err(Action::Later(response)) => visit.deliver(&mut send, &framed(&response.await)).await,
        Err(Action::Stream(messages)) => {
            match timeout_at(visit.end_of_transfers, visit.stream(&mut send, messages)).await {
                Ok(done) => done,
                Err(_) => give_up(&mut send, DoqErrorCode::ExcessiveLoad),
            }
        }
        Err(_) => visit.break_off(b"not a query"),
    }
}

/// The one message of a stream, or what is wrong with it (RFC 9250 section 4.3.3).
fn check(octets: &[u8]) -> Result<&[u8], &'static [u8]> {
    let (length, message) = octets.split_first_chunk::<2>().ok_or(&b"the stream ended before the query"[..])?;
    let length = usize::from(u16::from_be_bytes(*length));
    match message {
        _ if message.len() < length => Err(b"the stream ended before the query"),
        _ if message.len() > length => Err(b"more than one message on a stream"),
        [] | [_] => Err(b"not a query"),
        [0, 0, ..] if has_keepalive(message) => Err(b"edns-tcp-keepalive"),
        [0, 0, ..] => Ok(message),
        _ => Err(b"the message id is not 0"),
    }
}

/// Whether the client sent edns-tcp-keepalive, which has no place here (RFC 9250 section 5.5.2).
fn has_keepalive(message: &[u8]) -> bool {
    let has_additional = message.get(10..HEADER).is_some_and(|count| count != [0, 0]);
    let decoded = if has_additional { Message::from_vec(message).ok() } else { None };
    decoded.is_some_and(|query| query.edns.is_some_and(|edns| edns.option(EdnsCode::Keepalive).is_some()))
}

/// Ends a stream without a response.
fn give_up(send: &mut SendStream, code: DoqErrorCode) -> Done {
    let _ = send.reset(code.into()); // fails if the client has ended it already
    Done::Nothing
}

impl<R: Respond> Visit<R> {
    /// Closes the connection of a client that breaks the protocol.
    fn break_off(&self, why: &[u8]) -> Done {
        self.connection.close(VarInt::from(DoqErrorCode::ProtocolError), why);
        Done::Broken
    }

    /// Writes a response and waits until the client has it: closing a connection forgets what is under way.
    async fn deliver(&self, send: &mut SendStream, response: &[u8]) -> Done {
        if self.write(send, response).await { self.finish(send).await } else { give_up(send, UNSPECIFIED) }
    }

    /// Writes octets, and notes whenever the client takes some; `false` if it does not.
    async fn write(&self, send: &mut SendStream, octets: &[u8]) -> bool {
        let all = async {
            let mut left = octets;
            while !left.is_empty() {
                let Ok(taken) = send.write(left).await else { return false };
                left = &left[taken..];
                self.seat.stall.moved();
            }
            true
        };
        timeout(self.service.limits.write_stall, all).await.unwrap_or(false)
    }

    async fn finish(&self, send: &mut SendStream) -> Done {
        if send.finish().is_ok() {
            let _ = timeout(self.service.limits.write_stall, send.stopped()).await; // acknowledged, cancelled or gone
            self.seat.stall.moved();
        }
        Done::Answered
    }

    /// Writes a response of many messages as they are made, when it is its turn.
    async fn stream(&self, send: &mut SendStream, messages: Box<dyn MakeMessages>) -> Done {
        let mut permits = Vec::new();
        self.seat.stall.end(); // the client waits for us now
        for limit in [&self.transfers, &self.client_transfers, &self.service.transfers] {
            let Ok(permit) = limit.clone().acquire_owned().await else {
                return give_up(send, DoqErrorCode::InternalError);
            };
            permits.push(permit);
        }
        let (queue, mut queued) = mpsc::channel(STREAM_AHEAD);
        let making = tokio::task::spawn_blocking(move || make_all(messages, &queue));
        while let Some(message) = queued.recv().await {
            self.seat.stall.moved();
            if !self.write(send, &message).await {
                return give_up(send, UNSPECIFIED);
            }
            self.seat.stall.end();
        }
        match making.await {
            Ok(Made::End) => self.finish(send).await,
            _ => give_up(send, DoqErrorCode::InternalError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query with these octets as its OPT options.
    fn query(id: u16, options: &[u8]) -> Vec<u8> {
        let head = [&id.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0, 1], b"\x03web\x00\x00\x01\x00\x01"].concat();
        let opt = [&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8][..], options].concat();
        [head, opt].concat()
    }

    #[test]
    fn rfc9250_4_2_1_a_stream_holds_one_query_whose_id_is_zero() {
        let good = query(0, &[]);
        assert_eq!(check(&framed(&good)), Ok(&good[..]));
        let two = [framed(&good), framed(&good)].concat();
        for (octets, why) in [
            (framed(&query(7, &[])), "id"),
            (two, "more than one"),
            (framed(&good)[..20].to_vec(), "ended"),
            (vec![0], "ended"),
            (vec![], "ended"),
            (framed(&[]), "not a query"),
        ] {
            let fault = check(&octets).unwrap_err();
            assert!(String::from_utf8_lossy(fault).contains(why), "{why}: {}", String::from_utf8_lossy(fault));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_a_message_or_a_fault(
            octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
            whole in proptest::prelude::any::<bool>(),
        ) {
            let stream = if whole { framed(&[&[0, 0], &octets[..]].concat()) } else { octets };
            if let Ok(message) = check(&stream) {
                proptest::prop_assert_eq!(framed(message), stream);
            }
        }
    }

    #[test]
    fn rfc9250_5_5_2_keepalive_has_no_place() {
        assert!(!has_keepalive(&query(0, &[0, 3, 0, 0])), "NSID has");
        assert!(has_keepalive(&query(0, &[0, 11, 0, 0])));
        assert!(has_keepalive(&query(0, &[0, 3, 0, 0, 0, 11, 0, 2, 0, 100])));
        assert!(!has_keepalive(&[0; 12]));
    }
}
