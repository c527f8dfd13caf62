//! Who has a connection: the limits in all and per client address.
//!
//! A client that opens one connection too many loses its oldest one that has nothing to do: programs keep connections
//! open and forget them, and the new one is the one that is needed. The new one is refused when all of them are busy,
//! or when too many are still ending, which takes each at most half a second: a client never has more than five times
//! its limit, even if it opens connections as fast as it can.
//!
//! When all connections are taken, the same happens over all clients. First goes the oldest one that has not asked
//! anything for a moment, since that is how slow clients take places; then the one whose client has for longest taken
//! nothing of what waits for it ([`super::stall`]), which is cut off in the middle; then the oldest one that has
//! nothing to do, or, when nobody stalls, the oldest that has only come. Clients that take their answers, transfers
//! that make progress and transfers that wait for their turn keep their places. While connections end there are up to a
//! quarter more than the limit; a new one beyond that waits a moment, and so does one that finds only clients that have
//! just begun to stall. It is refused when all are busy.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{AcquireError, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use super::stall::Stall;
use crate::metrics::dns::Refused;
use crate::wire::limits::TcpLimits;

/// How many connections of a client may be ending at once, for each that it may have.
const LEAVING: usize = 4;
/// How long a new connection waits for the place of one that is ending or stalls; others wait in the kernel meanwhile.
const PATIENCE: Duration = Duration::from_millis(300);
/// How old a connection is that has said nothing before it gives way to others than its like.
const GRACE: Duration = Duration::from_millis(200);
/// How often it looks again for one that stalls.
const LOOK: Duration = Duration::from_millis(10);
/// How long a connection that was told to leave may take to end by itself.
const FAREWELL: Duration = Duration::from_millis(250);
/// How many connections are looked at for one that has nothing to do, or stalls.
const LOOKED_AT: usize = 64;

/// All connections. The lock is held for some comparisons, when a connection comes and when it goes.
pub(in crate::wire) struct Clients {
    connections: usize,
    per_client: usize,
    in_flight: usize,
    transfers: usize,
    table: Mutex<Table>,
    /// Hears of each connection that was told to leave and is gone.
    gone: Notify,
}

#[derive(Default)]
struct Table {
    total: usize,
    /// Of these, those that were told to leave.
    leaving: usize,
    by_client: HashMap<IpAddr, Seats>,
    /// Connections in the order in which they came, until they are found to have asked something.
    silent: VecDeque<Weak<Seat>>,
    /// Those that have.
    heard: VecDeque<Weak<Seat>>,
}

/// The connections of one client.
struct Seats {
    /// From the oldest to the newest.
    taken: VecDeque<Arc<Seat>>,
    /// How many were told to leave and are not gone yet.
    leaving: usize,
    /// A permit for each transfer that the client may have running.
    transfers: Arc<Semaphore>,
}

impl Seats {
    fn new(transfers: usize) -> Self {
        Self { taken: VecDeque::new(), leaving: 0, transfers: Arc::new(Semaphore::new(transfers)) }
    }
}

/// What is known of one connection from outside.
pub(in crate::wire) struct Seat {
    /// A permit for each query that is not answered yet.
    pub(in crate::wire) flights: Arc<Semaphore>,
    /// How many there are in all.
    in_flight: usize,
    /// A permit for each transfer that the client may have running, on all its connections.
    pub(in crate::wire) transfers: Arc<Semaphore>,
    /// Tells the connection to end, since a newer one needs its place.
    pub(in crate::wire) leave: Notify,
    /// Whether it is to end without waiting for octets that are on their way, because all connections are taken.
    pub(super) at_once: AtomicBool,
    /// Whether a whole message has come.
    pub(super) heard: AtomicBool,
    /// Whether its client takes its answers.
    pub(in crate::wire) stall: Stall,
    /// Hears that the connection was told to leave at once.
    cut: Notify,
    client: IpAddr,
}

/// A seat that is taken until this is dropped.
pub(in crate::wire) struct Admission {
    pub(in crate::wire) seat: Arc<Seat>,
    /// When the connection came.
    pub(in crate::wire) born: Instant,
    clients: Arc<Clients>,
}

/// Why there is no seat.
struct Full {
    why: Refused,
    /// Whether there may be one in a moment.
    soon: bool,
}

impl From<Refused> for Full {
    fn from(why: Refused) -> Self {
        Self { why, soon: false }
    }
}

impl Clients {
    pub(super) fn new(limits: &TcpLimits) -> Self {
        let TcpLimits { connections, connections_per_client: per_client, in_flight, .. } = *limits;
        Self {
            connections,
            per_client,
            in_flight,
            transfers: limits.transfers_per_client,
            table: Mutex::default(),
            gone: Notify::new(),
        }
    }

    /// Takes a seat for a connection of `client`.
    pub(in crate::wire) fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Admission, Refused> {
        self.try_admit(client, false).map_err(|full| full.why)
    }

    fn try_admit(self: &Arc<Self>, client: IpAddr, patient: bool) -> Result<Admission, Full> {
        let mut table = self.lock();
        let leaving = table.leaving > 0;
        if table.total >= self.connections + self.connections / 4 {
            return Err(Full { why: Refused::Connections, soon: leaving });
        }
        table.make_room_for(client, self)?;
        if table.total - table.leaving >= self.connections {
            let made = table.make_room(patient);
            made.map_err(|stalling| Full { why: Refused::Connections, soon: leaving || stalling })?;
        }
        let born = Instant::now();
        let seats = table.by_client.entry(client).or_insert_with(|| Seats::new(self.transfers));
        let (flights, transfers) = (Arc::new(Semaphore::new(self.in_flight)), seats.transfers.clone());
        let (leave, at_once, heard) = (Notify::new(), AtomicBool::default(), AtomicBool::default());
        let (stall, cut) = (Stall::new(born), Notify::new());
        let seat =
            Arc::new(Seat { flights, in_flight: self.in_flight, transfers, leave, at_once, heard, stall, cut, client });
        seats.taken.push_back(seat.clone());
        table.total += 1;
        table.remember(&seat);
        Ok(Admission { seat, born, clients: self.clone() })
    }

    /// The same, but waits a moment when connections that are ending, or begin to stall, are in the way.
    pub(super) async fn admit_soon(self: &Arc<Self>, client: IpAddr) -> Result<Admission, Refused> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let patient = Instant::now() < deadline;
            match self.try_admit(client, patient) {
                Err(full) if full.soon && patient => {}
                outcome => return outcome.map_err(|full| full.why),
            }
            // Looks again either way.
            let _ = timeout_at(deadline.min(Instant::now() + LOOK), self.gone.notified()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found among some connections.
struct Looked {
    /// The oldest that is idle.
    idle: Option<Arc<Seat>>,
    /// The one that has stalled for longest, of those that have for too long.
    stalled: Option<Arc<Seat>>,
    /// Whether any stalls.
    soon: bool,
}

impl Table {
    /// Lets a client have one more connection, if need be in the place of its oldest idle one.
    fn make_room_for(&mut self, client: IpAddr, limits: &Clients) -> Result<(), Refused> {
        let Some(seats) = self.by_client.get(&client).filter(|seats| seats.taken.len() >= limits.per_client) else {
            return Ok(());
        };
        let mut idle = seats.taken.iter().filter(|seat| seat.is_idle());
        let oldest = idle.next().filter(|_| seats.leaving < LEAVING * limits.per_client).cloned();
        self.displace(&oldest.ok_or(Refused::Client)?);
        Ok(())
    }

    /// Makes room in all, as the module says. Otherwise says whether one of those that were looked at may soon stall
    /// for too long; who is not patient takes the place of a connection that has only come instead of waiting for that.
    fn make_room(&mut self, patient: bool) -> Result<(), bool> {
        let now = Instant::now();
        if let Some(seat) = self.silent_before(now.checked_sub(GRACE)) {
            self.displace_at_once(&seat);
            return Ok(());
        }
        let Looked { idle, stalled, soon } = self.look(now);
        let seat = stalled
            .or_else(|| if soon { None } else { self.silent_before(Some(now)) })
            .or(idle)
            .or_else(|| if soon && patient { None } else { self.silent_before(Some(now)) });
        self.displace_at_once(&seat.ok_or(soon)?);
        Ok(())
    }

    /// The oldest connection that has said nothing, if it came by then.
    fn silent_before(&mut self, then: Option<Instant>) -> Option<Arc<Seat>> {
        while let Some(oldest) = self.silent.pop_front() {
            let Some(seat) = oldest.upgrade().filter(|seat| self.has(seat)) else { continue };
            if seat.heard.load(Ordering::Relaxed) {
                self.heard.push_back(oldest);
            } else if then.is_some_and(|then| seat.stall.born <= then) {
                return Some(seat);
            } else {
                self.silent.push_front(oldest);
                break;
            }
        }
        None
    }

    /// Looks at some connections that have said something.
    fn look(&mut self, now: Instant) -> Looked {
        let (mut idle, mut soon, mut stalled) = (None, false, None::<(Instant, Arc<Seat>)>);
        for _ in 0..LOOKED_AT.min(self.heard.len()) {
            let Some(oldest) = self.heard.pop_front() else { break };
            let Some(seat) = oldest.upgrade().filter(|seat| self.has(seat)) else { continue };
            self.heard.push_back(oldest);
            if seat.is_idle() {
                idle.get_or_insert(seat);
            } else if let Some((since, too_long)) = seat.stall.since(now) {
                soon = true;
                if too_long && stalled.as_ref().is_none_or(|(longest, _)| since < *longest) {
                    stalled = Some((since, seat));
                }
            }
        }
        Looked { idle, stalled: stalled.map(|(_, seat)| seat), soon }
    }

    fn displace_at_once(&mut self, seat: &Arc<Seat>) {
        seat.at_once.store(true, Ordering::Relaxed);
        self.displace(seat);
        seat.cut.notify_one();
    }

    /// Whether a connection is there and has not been told to leave.
    fn has(&self, seat: &Arc<Seat>) -> bool {
        let seats = self.by_client.get(&seat.client);
        seats.is_some_and(|seats| seats.taken.iter().any(|taken| Arc::ptr_eq(taken, seat)))
    }

    /// Tells a connection to leave.
    fn displace(&mut self, seat: &Arc<Seat>) {
        let Some(seats) = self.by_client.get_mut(&seat.client) else { return };
        seats.taken.retain(|taken| !Arc::ptr_eq(taken, seat));
        seats.leaving += 1;
        self.leaving += 1;
        seat.leave.notify_one();
    }

    /// Puts a connection into the order of all, and forgets those that are gone when they are the most of it.
    fn remember(&mut self, seat: &Arc<Seat>) {
        self.silent.push_back(Arc::downgrade(seat));
        for order in [&mut self.silent, &mut self.heard] {
            if order.len() > 2 * self.total + LOOKED_AT {
                order.retain(|seat| seat.strong_count() > 0);
            }
        }
    }
}

impl Seat {
    /// A permit for a query that has come, as soon as there is one. The connection counts as silent until then.
    pub(in crate::wire) async fn flight(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.heard.store(true, Ordering::Relaxed);
        if self.is_idle() {
            self.stall.moved();
        }
        self.flights.clone().acquire_owned().await
    }

    /// Waits until the connection has to be over because its place is needed: at once if its client stalls, since it
    /// would notice only when the client reads; soon if it does not.
    pub(in crate::wire) async fn cut(&self) {
        self.cut.notified().await;
        if !self.stall.since(Instant::now()).is_some_and(|(_, too_long)| too_long) {
            sleep(FAREWELL).await;
        }
    }

    fn is_idle(&self) -> bool {
        self.flights.available_permits() == self.in_flight
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut table = self.clients.lock();
        let table = &mut *table;
        table.total -= 1;
        let Some(seats) = table.by_client.get_mut(&self.seat.client) else { return };
        match seats.taken.iter().position(|seat| Arc::ptr_eq(seat, &self.seat)) {
            Some(index) => drop(seats.taken.remove(index)),
            None => {
                seats.leaving -= 1;
                table.leaving -= 1;
                self.clients.gone.notify_one();
            }
        }
        if seats.taken.is_empty() && seats.leaving == 0 {
            table.by_client.remove(&self.seat.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(connections: usize, connections_per_client: usize) -> Arc<Clients> {
        Arc::new(Clients::new(&TcpLimits { connections, connections_per_client, ..TcpLimits::default() }))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let clients = clients(2, 2);
        let one = clients.admit(address(1)).ok().unwrap();
        let two = clients.admit(address(2)).ok().unwrap();
        let _busy = [&one, &two].map(|admission| hear(admission).flights.clone().try_acquire_owned().unwrap());
        assert_eq!(clients.admit(address(3)).err(), Some(Refused::Connections));
        drop(one);
        assert!(clients.admit(address(3)).is_ok());
        assert_eq!(clients.lock().by_client.len(), 1);
    }

    /// Says something over a connection.
    fn hear(admission: &Admission) -> &Seat {
        admission.seat.heard.store(true, Ordering::Relaxed);
        &admission.seat
    }

    fn is_told_to_leave(admission: &Admission) -> bool {
        !admission.clients.lock().has(&admission.seat)
    }

    #[test]
    fn when_all_are_taken_silence_gives_way_first_and_then_idleness() {
        let clients = clients(8, 8);
        let admitted: Vec<_> = (1..=8).map(|last| clients.admit(address(last)).ok().unwrap()).collect();
        admitted.iter().filter(|seat| seat.seat.client != address(3)).for_each(|seat| assert!(hear(seat).is_idle()));
        let busy = admitted[0].seat.flights.clone().try_acquire_owned();
        let nine = clients.admit(address(9)).ok().unwrap();
        hear(&nine);
        assert!(is_told_to_leave(&admitted[2]), "it has said nothing");
        let ten = clients.admit(address(10)).ok().unwrap();
        assert!(!is_told_to_leave(&admitted[0]), "it is busy");
        assert!(is_told_to_leave(&admitted[1]), "it is the oldest that is idle");
        assert_eq!(clients.admit(address(11)).err(), Some(Refused::Connections), "a quarter more is the most");
        drop((admitted, busy, nine, ten));
        let table = clients.lock();
        assert_eq!((table.total, table.leaving, table.by_client.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_taken_who_reads_stays_and_who_stalls_for_longest_goes() {
        let clients = clients(8, 8);
        let admitted: Vec<_> = (1..=8).map(|last| clients.admit(address(last)).ok().unwrap()).collect();
        let _flights: Vec<_> =
            admitted.iter().map(|admission| hear(admission).flights.clone().try_acquire_owned().unwrap()).collect();
        assert_eq!(clients.admit(address(9)).err(), Some(Refused::Connections), "all wait for us");
        for stalled in [4, 2, 6] {
            admitted[stalled].seat.stall.moved();
            tokio::time::advance(PATIENCE / 10).await;
        }
        assert_eq!(clients.admit(address(9)).err(), Some(Refused::Connections), "they have only begun to stall");
        tokio::time::advance(PATIENCE).await;
        admitted[4].seat.stall.moved();
        let _nine = hear(&clients.admit(address(9)).ok().unwrap());
        let gone: Vec<_> = (0..8).filter(|&index| is_told_to_leave(&admitted[index])).collect();
        assert_eq!(gone, [2], "the fifth has taken something, the seventh has stalled for less");
    }

    #[test]
    fn the_oldest_idle_connection_makes_room_and_busy_ones_do_not() {
        let clients = clients(10, 2);
        let one = clients.admit(address(1)).ok().unwrap();
        let two = clients.admit(address(1)).ok().unwrap();
        let busy = one.seat.flights.try_acquire().unwrap();
        let three = clients.admit(address(1)).ok().unwrap();
        let _also = three.seat.flights.try_acquire().unwrap();
        assert_eq!(clients.admit(address(1)).err(), Some(Refused::Client));
        assert!(clients.admit(address(2)).is_ok(), "other clients are not concerned");
        drop(busy);
        drop(two);
        assert!(clients.admit(address(1)).is_ok(), "the first is idle now");
    }

    #[test]
    fn connections_that_were_told_to_leave_count_until_they_are_gone() {
        let clients = clients(20, 2);
        let most = 2 + 2 * LEAVING;
        let mut admitted: Vec<_> = (0..most).map(|_| clients.admit(address(1)).ok().unwrap()).collect();
        assert_eq!(clients.admit(address(1)).err(), Some(Refused::Client), "too many are leaving");
        assert!(clients.admit(address(2)).is_ok(), "other clients are not concerned");
        drop(admitted.remove(0));
        admitted.push(clients.admit(address(1)).ok().unwrap());
        assert_eq!(clients.admit(address(1)).err(), Some(Refused::Client));
        drop(admitted);
        assert!(clients.lock().by_client.is_empty());
    }
}
