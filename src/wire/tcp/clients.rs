//! Who has a connection: the limits in all and per client address.
//!
//! A client that opens one connection too many loses its oldest one that has nothing to do: programs keep connections
//! open and forget them, and the new one is the one that is needed. The new one is refused when all of them are busy,
//! or when too many are still ending, which takes each at most half a second: a client never has more than five times
//! its limit, even if it opens connections as fast as it can.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::metrics::dns::Refused;
use crate::wire::limits::TcpLimits;

/// How many connections of a client may be ending at once, for each that it may have.
const LEAVING: usize = 4;

/// All connections. The lock is held for some comparisons, when a connection comes and when it goes.
pub(in crate::wire) struct Clients {
    connections: usize,
    per_client: usize,
    in_flight: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    total: usize,
    by_client: HashMap<IpAddr, Seats>,
}

/// The connections of one client.
#[derive(Default)]
struct Seats {
    /// From the oldest to the newest.
    taken: VecDeque<Arc<Seat>>,
    /// How many were told to leave and are not gone yet.
    leaving: usize,
}

/// What is known of one connection from outside.
pub(in crate::wire) struct Seat {
    /// A permit for each query that is not answered yet.
    pub(in crate::wire) flights: Arc<Semaphore>,
    /// Tells the connection to end, since a newer one needs its place.
    pub(in crate::wire) leave: Notify,
}

/// A seat that is taken until this is dropped.
pub(in crate::wire) struct Admission {
    pub(in crate::wire) seat: Arc<Seat>,
    /// When the connection came.
    pub(in crate::wire) born: Instant,
    client: IpAddr,
    clients: Arc<Clients>,
}

impl Clients {
    pub(super) fn new(limits: &TcpLimits) -> Self {
        let TcpLimits { connections, connections_per_client: per_client, in_flight, .. } = *limits;
        Self { connections, per_client, in_flight, table: Mutex::default() }
    }

    /// Takes a seat for a connection of `client`.
    pub(in crate::wire) fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Admission, Refused> {
        let mut table = self.lock();
        if table.total >= self.connections {
            return Err(Refused::Connections);
        }
        let seats = table.by_client.entry(client).or_default();
        if seats.taken.len() >= self.per_client {
            let is_idle = |seat: &Arc<Seat>| seat.flights.available_permits() == self.in_flight;
            let oldest = seats.taken.iter().position(is_idle).filter(|_| seats.leaving < LEAVING * self.per_client);
            let displaced = oldest.and_then(|index| seats.taken.remove(index)).ok_or(Refused::Client)?;
            displaced.leave.notify_one();
            seats.leaving += 1;
        }
        let seat = Arc::new(Seat { flights: Arc::new(Semaphore::new(self.in_flight)), leave: Notify::new() });
        seats.taken.push_back(seat.clone());
        table.total += 1;
        Ok(Admission { seat, born: Instant::now(), client, clients: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut table = self.clients.lock();
        table.total -= 1;
        let Some(seats) = table.by_client.get_mut(&self.client) else { return };
        match seats.taken.iter().position(|seat| Arc::ptr_eq(seat, &self.seat)) {
            Some(index) => drop(seats.taken.remove(index)),
            None => seats.leaving -= 1,
        }
        if seats.taken.is_empty() && seats.leaving == 0 {
            table.by_client.remove(&self.client);
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
        let one = clients.admit(address(1)).ok();
        let _two = clients.admit(address(2)).ok();
        assert_eq!(clients.admit(address(3)).err(), Some(Refused::Connections));
        drop(one);
        assert!(clients.admit(address(3)).is_ok());
        assert_eq!(clients.lock().by_client.len(), 1);
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
