//! One QUIC connection: its streams, its deadlines, its end.

use std::sync::Arc;

use hickory_server::net::quic::DoqErrorCode;
use quinn::Connection;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::stream::{self, Done};
use crate::answer::Transport;
use crate::wire::decode::Origin;
use crate::wire::tcp::{Admission, LAST_WORDS, QUIET, Respond, Seat, Service};

/// What the streams of one connection share.
pub(super) struct Visit<R> {
    pub(super) connection: Connection,
    pub(super) origin: Origin,
    pub(super) service: Arc<Service<R>>,
    /// A permit for each transfer of this connection that may run.
    pub(super) transfers: Arc<Semaphore>,
    /// A permit for each transfer that its client may have running, on all its connections.
    pub(super) client_transfers: Arc<Semaphore>,
    /// Notes what its client takes.
    pub(super) seat: Arc<Seat>,
    /// When a transfer that runs has to be over.
    pub(super) end_of_transfers: Instant,
}

/// Serves one connection. Its deadlines are those of whole queries: packets and streams without one do not move them.
pub(super) async fn serve<R: Respond>(connection: Connection, admission: Admission, service: Arc<Service<R>>) {
    let limits = &service.limits;
    let end_of_life = admission.born + limits.lifetime;
    let visit = Arc::new(Visit {
        origin: Origin { transport: Transport::Quic, client: connection.remote_address().ip() },
        service: service.clone(),
        transfers: Arc::new(Semaphore::new(limits.transfers_per_connection)),
        client_transfers: admission.seat.transfers.clone(),
        seat: admission.seat.clone(),
        end_of_transfers: end_of_life + limits.transfer_time,
        connection,
    });
    let mut streams = JoinSet::new();
    if accept(&visit, &admission, end_of_life, &mut streams).await {
        while let Some(done) = streams.join_next().await {
            if let Ok(Done::Broken) = done {
                return;
            }
        }
        visit.connection.close(DoqErrorCode::NoError.into(), b"");
    }
}

/// Accepts streams until the connection is to end; `false` if it has ended already.
async fn accept<R: Respond>(
    visit: &Arc<Visit<R>>,
    admission: &Admission,
    end_of_life: Instant,
    streams: &mut JoinSet<Done>,
) -> bool {
    let limits = &visit.service.limits;
    let mut patience = admission.born + limits.first_query;
    let mut first = true;
    let mut ending: Option<Instant> = None;
    loop {
        let until = match ending {
            Some(deadline) => deadline.min(Instant::now() + QUIET),
            None => patience.min(end_of_life),
        };
        tokio::select! {
            biased;
            Some(done) = streams.join_next(), if !streams.is_empty() => match done {
                Ok(Done::Answered) => (first, patience) = (false, Instant::now() + limits.idle),
                Ok(Done::Broken) => return false,
                Ok(Done::Nothing) | Err(_) => {}
            },
            () = admission.seat.leave.notified(), if ending.is_none() => ending = Some(Instant::now() + LAST_WORDS),
            () = visit.service.stop.cancelled(), if ending.is_none() => ending = Some(Instant::now() + LAST_WORDS),
            accepted = timeout_at(until, visit.connection.accept_bi()) => match accepted {
                Ok(Ok((send, receive))) => {
                    let Ok(flight) = admission.seat.flight().await else { return false };
                    let deadline = if first { patience } else { Instant::now() + limits.first_query };
                    let visit = visit.clone();
                    streams.spawn(async move {
                        let _flight = flight;
                        stream::serve(&visit, send, receive, deadline).await
                    });
                }
                Ok(Err(_)) => return false,
                Err(_) if ending.is_none() && until < end_of_life && !streams.is_empty() => {
                    patience = Instant::now() + limits.idle;
                }
                Err(_) => return true,
            },
        }
    }
}
