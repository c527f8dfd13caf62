//! Packets answered as a worker does it: in batches, with packets in between that get an error, no answer, or no look.

use zonebeat::answer::Query;
use zonebeat::view::View;
use zonebeat::wire::Rules;
use zonebeat::wire::batch::{Arrived, HandleDatagrams, answer};
use zonebeat::wire::decode::{Decoded, Origin};
use zonebeat::wire::respond::{Datagram, Reply, Silence};

/// A lone datagram, a few, and as many as a batch has.
pub(crate) const SIZES: [usize; 3] = [1, 7, 64];

/// One that the handler is done with; one without a header, a response; an opcode that nobody knows, a question that is
/// missing.
pub(crate) const ODD: [&[u8]; 5] = [
    b"",
    b"\x12\x34\x01",
    b"\x12\x34\x80\0\0\0\0\0\0\0\0\0",
    b"\x12\x34\x10\0\0\0\0\0\0\0\0\0",
    b"\x12\x34\0\0\0\x01\0\0\0\0\0\0",
];

/// A packet, who sent it, and the number before the one that its set is rotated by.
pub(crate) struct Packet {
    pub(crate) octets: Vec<u8>,
    pub(crate) origin: Origin,
    pub(crate) rotation: u32,
    pub(crate) datagram: Option<Datagram>,
}

/// An odd packet before every other one.
pub(crate) fn interspersed(packets: Vec<Packet>) -> Vec<Packet> {
    let odd = |(number, packet): (usize, Packet)| {
        let octets = ODD[number / 2 % ODD.len()].to_vec();
        let odd = number.is_multiple_of(2).then_some(Packet { octets, ..packet });
        odd.into_iter().chain([packet])
    };
    packets.into_iter().enumerate().flat_map(odd).collect()
}

/// Answers one batch; `answered` hears of each packet in turn, with its response. Returns of how many.
pub(crate) fn answer_batch<'p>(
    view: &View,
    rules: &Rules,
    packets: &'p [Packet],
    out: &mut [u8],
    answered: impl FnMut(&Arrived<'p>, Result<(Reply, &[u8]), Silence>),
) -> usize {
    let mut turn = Turn { view, rules, packets, out, answered, count: 0 };
    answer(view, rules, packets.len(), &mut turn);
    turn.count
}

/// One batch.
struct Turn<'t, 'p, F> {
    view: &'t View,
    rules: &'t Rules,
    packets: &'p [Packet],
    out: &'t mut [u8],
    answered: F,
    count: usize,
}

impl<'p, F: FnMut(&Arrived<'p>, Result<(Reply, &[u8]), Silence>)> HandleDatagrams<'p> for Turn<'_, 'p, F> {
    fn decode(&mut self, index: usize, arrived: &mut Arrived<'p>) -> bool {
        let Packet { octets, origin, rotation, datagram } = &self.packets[index];
        if octets.is_empty() {
            return false;
        }
        self.rules.decode_into(octets, *origin, &mut arrived.decoded);
        if let Decoded::Query(query) = &mut arrived.decoded {
            query.rotation = *rotation;
        }
        arrived.datagram = *datagram;
        true
    }

    fn turn(&mut self, query: &mut Query<'p>, hash: u32) {
        assert_eq!(hash, self.view.table.hash(query.name.as_wire()), "the hash is that of another name");
        query.rotation = query.rotation.wrapping_add(1);
    }

    fn buffer(&mut self) -> &mut [u8] {
        self.out
    }

    fn answered(&mut self, arrived: &Arrived<'p>, outcome: Result<Reply, Silence>) {
        self.count += 1;
        (self.answered)(arrived, outcome.map(|reply| (reply, &self.out[..reply.len])));
    }
}
