//! One connection, from its first octet to its last.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use super::clients::{Admission, Seat};
use super::frames::Frames;
use super::writer::{Message, framed, write};
use super::{Action, Made, MakeMessages, Respond, Service};
use crate::wire::decode::Origin;
use crate::wire::respond::MAX_TCP;

/// How long a connection that has to end waits for octets that are on their way.
pub(in crate::wire) const QUIET: Duration = Duration::from_millis(50);
/// How long it goes on in all while such octets come.
pub(in crate::wire) const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long it then waits for the client to end it too.
pub(in crate::wire) const LINGER: Duration = Duration::from_millis(500);
/// Messages of a stream that are made ahead of the writer.
pub(in crate::wire) const STREAM_AHEAD: usize = 2;

thread_local! {
    /// Where answers are written before their length is known: one per thread, since answering does not wait.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_TCP]);
}

/// Serves one connection.
pub(in crate::wire) async fn serve<R: Respond>(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    origin: Origin,
    admission: Admission,
    service: Arc<Service<R>>,
) {
    let limits = &service.limits;
    let born = admission.born;
    let mut frames = Frames::new(reader);
    let (answers, queued_answers) = mpsc::channel(limits.in_flight.max(1));
    let (streams, queued_messages) = mpsc::channel(STREAM_AHEAD);
    let room = Arc::new(Semaphore::new(limits.in_flight_octets.max(2 + MAX_TCP)));
    let seat = admission.seat.clone();
    let transfers = Arc::new(Semaphore::new(limits.transfers_per_connection));
    let connection = Connection { origin, seat, born, service: service.clone(), answers, streams, room, transfers };
    let end_of_life = born + limits.lifetime;
    let deadlines = [end_of_life + limits.write_stall, end_of_life + limits.transfer_time];
    let writing = write(writer, queued_answers, queued_messages, limits.write_stall, deadlines);
    let (end, written) = tokio::join!(connection.read(&mut frames), writing);
    if end == End::Ours && written.is_ok() {
        let _ = timeout(LINGER, frames.discard()).await; // either way it is over
    }
}

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client, or nobody has to be told.
    Theirs,
    /// We did, and the client may still be sending.
    Ours,
}

/// The reading half.
struct Connection<R> {
    origin: Origin,
    seat: Arc<Seat>,
    born: Instant,
    service: Arc<Service<R>>,
    answers: mpsc::Sender<Message>,
    streams: mpsc::Sender<Vec<u8>>,
    room: Arc<Semaphore>,
    /// A permit for each transfer of this connection that may run.
    transfers: Arc<Semaphore>,
}

/// What the reader waits for.
enum Event {
    Octets(std::io::Result<usize>),
    Timeout,
    Leave,
    Stop,
    WriterGone,
}

impl<R: Respond> Connection<R> {
    /// Reads and answers until the connection is to end. The queues close when this returns and no stream runs.
    ///
    /// All deadlines are those of whole messages: single octets do not move them.
    async fn read<I: AsyncRead + Unpin>(self, frames: &mut Frames<I>) -> End {
        let limits = &self.service.limits;
        let end_of_life = self.born + limits.lifetime;
        let mut patience = self.born + limits.first_query;
        let mut ending: Option<(End, Instant)> = None;
        loop {
            while let Some(message) = frames.pop() {
                if !self.handle(message).await {
                    return End::Ours;
                }
                let now = Instant::now();
                if now > end_of_life {
                    return End::Ours;
                }
                patience = now + limits.idle;
            }
            let until = match ending {
                Some((end, deadline)) if Instant::now() > deadline => return end,
                Some((_, deadline)) => deadline.min(Instant::now() + QUIET),
                None => patience.min(end_of_life),
            };
            match self.wait(frames, until, ending.is_some()).await {
                Event::Octets(Ok(1..)) => {}
                Event::Octets(_) | Event::WriterGone => return End::Theirs,
                Event::Timeout => match ending {
                    Some((end, _)) => return end,
                    None if until < end_of_life && self.is_busy() => patience = Instant::now() + limits.idle,
                    None if until == end_of_life => return End::Ours,
                    None => return End::Theirs,
                },
                Event::Stop => ending = Some((End::Ours, end_of_life.min(Instant::now() + LAST_WORDS))),
                // What is there already is still answered: a fresh client may have asked and not been heard yet.
                Event::Leave if self.seat.at_once.load(Ordering::Relaxed) => {
                    ending = Some((End::Theirs, Instant::now()))
                }
                Event::Leave => ending = Some((End::Theirs, end_of_life.min(Instant::now() + LAST_WORDS))),
            }
        }
    }

    async fn wait<I: AsyncRead + Unpin>(&self, frames: &mut Frames<I>, until: Instant, ending: bool) -> Event {
        tokio::select! {
            biased; // so that a client that never pauses does not hide the other events
            () = self.answers.closed() => Event::WriterGone,
            () = self.seat.leave.notified(), if !ending => Event::Leave,
            () = self.service.stop.cancelled(), if !ending => Event::Stop,
            read = timeout_at(until, frames.fill()) => read.map_or(Event::Timeout, Event::Octets),
        }
    }

    /// Answers one message; `false` if the connection is to end. Waits while too much is in flight.
    async fn handle(&self, message: &[u8]) -> bool {
        let Ok(flight) = self.seat.flight().await else { return false };
        match ask(&self.service.responder, message, self.origin, framed) {
            Ok(octets) => self.queue(octets, flight).await,
            Err(Action::Stream(messages)) => {
                self.stream(messages, flight);
                true
            }
            Err(Action::Later(response)) => {
                self.answer_later(response, flight);
                true
            }
            Err(_) => false,
        }
    }

    async fn queue(&self, octets: Vec<u8>, flight: OwnedSemaphorePermit) -> bool {
        queue(&self.answers, self.room.clone(), octets, flight).await
    }

    /// Queues a response when it has come; others are answered meanwhile.
    fn answer_later(&self, response: BoxFuture<'static, Vec<u8>>, flight: OwnedSemaphorePermit) {
        let (answers, room) = (self.answers.clone(), self.room.clone());
        self.service.tasks.spawn(async move {
            let octets = framed(&response.await);
            queue(&answers, room, octets, flight).await; // a client that has gone does not hear of it
        });
    }

    /// Starts a stream on a thread that may block, once there are few enough of them on this
    /// connection, of this client, and then on the server. One that breaks or panics ends the
    /// connection: the client must not wait for the rest.
    fn stream(&self, messages: Box<dyn MakeMessages>, flight: OwnedSemaphorePermit) {
        let (queue, here, running) = (self.streams.clone(), self.transfers.clone(), self.service.transfers.clone());
        let (seat, client) = (self.seat.clone(), self.seat.transfers.clone());
        seat.stall.end(); // the client waits for us now
        self.service.tasks.spawn(async move {
            let all =
                async { (here.acquire_owned().await, client.acquire_owned().await, running.acquire_owned().await) };
            let _permits = tokio::select! {
                permits = all => permits,
                () = queue.closed() => return,
            };
            let made = tokio::task::spawn_blocking(move || make_all(messages, &queue)).await;
            if !matches!(made, Ok(Made::End)) {
                seat.leave.notify_one();
            }
            drop(flight);
        });
    }

    fn is_busy(&self) -> bool {
        self.seat.flights.available_permits() < self.service.limits.in_flight
    }
}

/// Queues a response once there is room for it; `false` if nobody writes it any more.
async fn queue(
    answers: &mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    octets: Vec<u8>,
    flight: OwnedSemaphorePermit,
) -> bool {
    let size = octets.len() as u32; // at most 2 + MAX_TCP
    let room = tokio::select! {
        room = room.acquire_many_owned(size) => room,
        () = answers.closed() => return false,
    };
    let Ok(room) = room else { return false };
    answers.send(Message { octets, _permits: [flight, room] }).await.is_ok()
}

/// Has a message answered: what `take` makes of the response, or what else happens.
pub(in crate::wire) fn ask<R: Respond, T>(
    responder: &R,
    message: &[u8],
    origin: Origin,
    take: impl FnOnce(&[u8]) -> T,
) -> Result<T, Action> {
    SCRATCH.with_borrow_mut(|scratch| match responder.respond(message, origin, scratch) {
        Action::Reply(len) => Ok(take(&scratch[..len])),
        other => Err(other),
    })
}

/// Makes the messages of a stream as fast as the client takes them, until it is gone.
pub(in crate::wire) fn make_all(mut messages: Box<dyn MakeMessages>, queue: &mpsc::Sender<Vec<u8>>) -> Made {
    let mut message = Vec::new();
    loop {
        match messages.next_message(&mut message) {
            Made::Message if queue.blocking_send(framed(&message)).is_err() => return Made::End,
            Made::Message => {}
            Made::End => break messages.all_taken(),
            Made::Broken => return Made::Broken,
        }
    }
    Made::End
}
