//! A stream of octets becomes messages (RFC 1035 section 4.2.2: two octets of length before each).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Octets that are read at once: some dozen queries.
const READ: usize = 2048;

/// The messages that a client sends.
pub(super) struct Frames<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), start: 0 }
    }

    /// The next whole message that has been read, without its length.
    pub(super) fn pop(&mut self) -> Option<&[u8]> {
        let &[l0, l1] = self.buffer.get(self.start..)?.first_chunk::<2>()?;
        let start = self.start + 2;
        let message = self.buffer.get(start..start + usize::from(u16::from_be_bytes([l0, l1])))?;
        self.start = start + message.len();
        Some(message)
    }

    /// Reads more, and returns how much; 0 at the end of the stream. Nothing is lost when this is dropped half-way.
    ///
    /// Call it when there is nothing left to pop: then the buffer never holds more than one message and one read, and
    /// grows with what the client has really sent, not with the length that it announced.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.reserve(READ);
        self.reader.read_buf(&mut self.buffer).await
    }

    /// Reads and forgets what still comes, so that closing does not reset the connection before the client has read our
    /// last answers.
    pub(super) async fn discard(&mut self) {
        self.buffer.clear();
        self.start = 0;
        while self.reader.read_buf(&mut self.buffer).await.is_ok_and(|count| count > 0) {
            self.buffer.clear();
        }
    }
}

/// The messages of a stream, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub async fn messages(reader: impl AsyncRead + Unpin) -> Vec<Vec<u8>> {
    let (mut frames, mut messages) = (Frames::new(reader), Vec::new());
    while frames.fill().await.is_ok_and(|count| count > 0) {
        while let Some(message) = frames.pop() {
            messages.push(message.to_vec());
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_found_however_the_stream_is_cut() {
        let stream = [&[0, 3][..], b"abc", &[0, 0], &[0, 1], b"d", &[0]].concat();
        for cut in 1..stream.len() {
            let (head, tail) = stream.split_at(cut);
            let mut frames = Frames::new(head.chain(tail));
            let mut found: Vec<Vec<u8>> = Vec::new();
            while frames.fill().await.expect("memory does not fail") > 0 {
                while let Some(message) = frames.pop() {
                    found.push(message.to_vec());
                }
            }
            assert_eq!(found, [&b"abc"[..], b"", b"d"], "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn memory_follows_what_was_sent_not_what_was_announced() {
        let stream = [0xFF, 0xFF, 1, 2, 3];
        let mut frames = Frames::new(&stream[..]);
        frames.fill().await.expect("memory does not fail");
        assert!(frames.pop().is_none());
        assert!(frames.buffer.capacity() < 2 * READ);
    }
}
