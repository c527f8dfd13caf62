//! Many packets, their responses: a batch of datagrams is answered in steps, from one view.
//!
//! All packets are decoded, all names are looked up, all answers are settled, what they will copy is read, then
//! all are written: each step is a short loop whose turns do not depend on each other, so that the processor waits
//! for the memory of many at the same time (docs/decisions/0029-batches-in-steps.md). Everything stands on the
//! stack, in arrays that are prepared as far as the batch may need them; no lock, no log, and no allocation but
//! that of an answer of several sets.
//!
//! The worker brings packets and takes responses through [`HandleDatagrams`]; tests and benches
//! do the same without network.

use std::hint::black_box;

use super::decode::{Decoded, DropReason};
use super::respond::{Datagram, Reply, Settled, Silence, settle, write};
use super::rules::Rules;
use crate::answer::Query;
use crate::view::{FEW, Located, TOGETHER, View};

/// Datagrams of a batch, at most.
pub const BATCH: usize = TOGETHER;

/// One datagram of a batch, decoded. Written in place: it is larger than most answers.
pub struct Arrived<'p> {
    /// Its number in the batch.
    pub index: usize,
    /// What is asked.
    pub decoded: Decoded<'p>,
    /// Set if answers to it may be limited.
    pub datagram: Option<Datagram>,
}

impl Arrived<'_> {
    /// None yet.
    fn room() -> Self {
        Self { index: 0, decoded: Decoded::Drop(DropReason::Short), datagram: None }
    }

    /// The name to look up; empty if there is none.
    fn name(&self) -> &[u8] {
        match &self.decoded {
            Decoded::Query(query) => query.name.as_wire(),
            _ => &[],
        }
    }
}

/// A step of [`answer`] that is done for the whole batch. The last one, writing, ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// All packets are decoded.
    Decoded,
    /// All names are looked up.
    Located,
    /// All answers are settled, and what they will copy is read.
    Settled,
}

/// Where the packets of a batch come from, and where its responses go. Nothing here may wait.
pub trait HandleDatagrams<'p> {
    /// Decodes datagram `index` into `arrived`, which says that it is not limited; `false` if it is done with.
    fn decode(&mut self, index: usize, arrived: &mut Arrived<'p>) -> bool;

    /// Gives a query the number that its set is rotated by; `hash` is that of its name in the view's table.
    fn turn(&mut self, _query: &mut Query<'p>, _hash: u32) {}

    /// Where the next response is written.
    fn buffer(&mut self) -> &mut [u8];

    /// Takes the response in [`Self::buffer`], or hears why there is none.
    fn answered(&mut self, arrived: &Arrived<'p>, outcome: Result<Reply, Silence>);

    /// Hears how far the batch is.
    fn reached(&mut self, _step: Step) {}
}

/// Answers a batch of `count` datagrams, [`BATCH`] at most.
pub fn answer<'p>(view: &View, rules: &Rules, count: usize, handler: &mut impl HandleDatagrams<'p>) {
    match count {
        0 | 1 => answer_up_to::<1>(view, rules, count, handler),
        2..=FEW => answer_up_to::<FEW>(view, rules, count, handler),
        _ => answer_up_to::<BATCH>(view, rules, count, handler),
    }
}

#[inline(never)] // or a small batch would take the stack of a large one
fn answer_up_to<'p, const MOST: usize>(
    view: &View,
    rules: &Rules,
    count: usize,
    handler: &mut impl HandleDatagrams<'p>,
) {
    let mut arrived = std::array::from_fn::<_, MOST, _>(|_| Arrived::room());
    let mut taken = 0;
    for index in 0..count {
        (arrived[taken].index, arrived[taken].datagram) = (index, None);
        taken += usize::from(handler.decode(index, &mut arrived[taken]));
    }
    handler.reached(Step::Decoded);
    let arrived = &mut arrived[..taken];
    let located = locate::<MOST>(view, arrived);
    handler.reached(Step::Located);
    let mut settled = std::array::from_fn::<_, MOST, _>(|_| Settled::Elsewhere);
    let settled = &mut settled[..taken];
    for ((arrived, located), settled) in arrived.iter_mut().zip(&located).zip(&mut *settled) {
        if let Decoded::Query(query) = &mut arrived.decoded {
            handler.turn(query, located.hash);
        }
        *settled = settle(view, located.entry, &arrived.decoded, rules, arrived.datagram.as_ref());
    }
    let touch = |(arrived, settled): (&Arrived<'_>, &Settled<'_>)| settled.touch(&arrived.decoded, rules);
    black_box(arrived.iter().zip(&*settled).map(touch).fold(0, |all, read| all ^ read));
    handler.reached(Step::Settled);
    for (arrived, settled) in arrived.iter().zip(settled) {
        let outcome = write(view, &arrived.decoded, settled, rules, arrived.datagram.as_ref(), handler.buffer());
        handler.answered(arrived, outcome);
    }
}

/// Looks up the names of all.
fn locate<'v, const MOST: usize>(view: &'v View, arrived: &[Arrived<'_>]) -> [Located<'v>; MOST] {
    let mut names: [&[u8]; MOST] = [&[]; MOST];
    names.iter_mut().zip(arrived).for_each(|(name, arrived)| *name = arrived.name());
    let mut located = [Located::default(); MOST];
    view.locate(&names[..arrived.len()], &mut located);
    located
}
