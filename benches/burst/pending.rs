//! The queries that wait for their answers: a ring of ids for each client.

use std::time::Duration;

/// Octets of a message before its question, and of an EDNS record without options.
const HEADER: usize = 12;
const OPT: usize = 11;

/// A query with this id: where it lies among the queries, and since when it waits.
#[derive(Clone, Copy, Default)]
struct Slot {
    since: u64,
    start: u32,
    len: u16,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    Waiting,
    Lost,
}

/// What an answer is.
pub(crate) enum Verdict {
    /// To a query that waits, so many nanoseconds.
    Answer(u64),
    /// To a query that counts as lost already.
    Late,
    /// To no query, or another question than was asked.
    Wrong,
}

/// The rings of all clients.
pub(crate) struct Pending {
    slots: Vec<Slot>,
    /// Of each client: how many ids were ever taken, and below which none waits.
    heads: Vec<u64>,
    tails: Vec<u64>,
    ids: u64,
    waiting: u64,
    timeout: u64,
}

impl Pending {
    /// Rings of `ids` slots, a power of two of at most 65,536.
    pub(crate) fn new(clients: u32, ids: u64, timeout: Duration) -> Self {
        let rings = clients as usize;
        Self {
            slots: vec![Slot::default(); rings * ids as usize],
            heads: vec![0; rings],
            tails: vec![0; rings],
            ids,
            waiting: 0,
            timeout: timeout.as_nanos() as u64,
        }
    }

    /// How many queries wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// The id of a client's next query; true if a query that still waited lost its place, because ids come again.
    pub(crate) fn take(&mut self, client: u32, at: u64, start: usize, len: usize) -> (u16, bool) {
        let head = self.heads[client as usize];
        self.heads[client as usize] += 1;
        let index = self.index(client, head);
        let evicted = self.slots[index].state == State::Waiting;
        self.slots[index] = Slot { since: at, start: start as u32, len: len as u16, state: State::Waiting };
        self.waiting += u64::from(!evicted);
        (head as u16, evicted)
    }

    /// Says what an answer is, and ends the wait of its query.
    pub(crate) fn check(&mut self, client: Option<u32>, packet: &[u8], queries: &[u8], now: u64) -> Verdict {
        let known = client.filter(|client| (*client as usize) < self.heads.len());
        let (Some(client), [high, low, flags, ..]) = (known, packet) else { return Verdict::Wrong };
        let id = u16::from_be_bytes([*high, *low]);
        let newest = self.heads[client as usize].wrapping_sub(1);
        let sequence = newest.wrapping_sub(u64::from((newest as u16).wrapping_sub(id)));
        let index = self.index(client, sequence);
        let slot = self.slots[index];
        if slot.len == 0 {
            return Verdict::Wrong;
        }
        let query = &queries[slot.start as usize..][..usize::from(slot.len)];
        let question = if query[HEADER - 1] == 0 { &query[HEADER..] } else { &query[HEADER..query.len() - OPT] };
        let is_current = newest.wrapping_sub(sequence) < self.ids;
        let is_answer = flags & 0x80 != 0 && packet.get(HEADER..HEADER + question.len()) == Some(question);
        match slot.state {
            _ if !is_answer && is_current => Verdict::Wrong,
            State::Waiting if is_current => {
                self.slots[index].state = State::Free;
                self.waiting -= 1;
                Verdict::Answer(now.saturating_sub(slot.since))
            }
            State::Lost if is_current => Verdict::Late,
            State::Free if is_current => Verdict::Wrong,
            _ => Verdict::Late,
        }
    }

    /// Gives up what has waited too long; returns how many those are.
    pub(crate) fn expire(&mut self, now: u64) -> u64 {
        let mut lost = 0;
        for client in 0..self.heads.len() {
            let head = self.heads[client];
            let mut tail = self.tails[client].max(head.saturating_sub(self.ids));
            while tail < head {
                let index = self.index(client as u32, tail);
                let slot = &mut self.slots[index];
                if slot.state == State::Waiting {
                    if slot.since + self.timeout > now {
                        break;
                    }
                    slot.state = State::Lost;
                    lost += 1;
                }
                tail += 1;
            }
            self.tails[client] = tail;
        }
        self.waiting -= lost;
        lost
    }

    fn index(&self, client: u32, sequence: u64) -> usize {
        (u64::from(client) * self.ids + sequence % self.ids) as usize
    }
}
